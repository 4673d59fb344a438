"""``ViewRegistry``: all the connectors that one site shows, by number."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from ibkr.web.connector_view import ConnectorView
from ibkr.web.web_settings import WebSettings


class ViewRegistry:
    """The connectors that one server shows. Use it in the server's event loop. A number is never used twice."""

    def __init__(self, settings: WebSettings, *views: ConnectorView) -> None:
        self.settings = settings
        self._numbers = count(1)
        self._views: dict[int, ConnectorView] = {}
        for view in views:
            self.add(view)

    def add(self, view: ConnectorView) -> int:
        """Add a view. Returns its number."""
        number = next(self._numbers)
        self._views[number] = view
        return number

    def remove(self, view: ConnectorView) -> None:
        """Remove a view."""
        self._views = {number: each for number, each in self._views.items() if each is not view}

    def find(self, number: int | None) -> ConnectorView | None:
        """Return the view with this number, or the first view if ``number`` is ``None``."""
        return next(iter(self), None) if number is None else self._views.get(number)

    def __iter__(self) -> Iterator[ConnectorView]:
        return iter(tuple(self._views.values()))

    def to_list(self) -> list[dict[str, Any]]:
        """Return number, address and state of each connector in JSON types, for the page's switcher."""
        shown = ("endpoint", "client_id", "state", "may_trade")
        statuses = ((number, view.status()) for number, view in self._views.items())
        return [{"number": number, **{key: status[key] for key in shown}} for number, status in statuses]
