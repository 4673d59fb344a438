"""Serves the page of a connector in its own thread: for ``connector.serve()`` and ``ibkr serve``."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibkr.connector import IBConnector
from ibkr.core.errors import ConfigError
from ibkr.core.extras import install_hint

if TYPE_CHECKING:
    from ibkr.web.connector_view import ConnectorView
    from ibkr.web.web_settings import WebSettings

_PACKAGES = ("starlette", "uvicorn", "prometheus_client")
"""The packages of the extra ``serve``."""
_TIMEOUT = 5.0
"""Seconds for a server to start and to stop. Both take less than one second."""

_servers: dict[tuple[str, int], _PageServer] = {}
_lock = threading.Lock()


def missing_package() -> str:
    """Return the first package of the extra that is not installed, or an empty text if no package is missing."""
    absent = (name.replace("_", "-") for name in _PACKAGES if importlib.util.find_spec(name) is None)
    return next(absent, "")


class ServedPage:
    """One connector on a site. ``url`` is the address of its page; the server listens on ``host`` and ``port``."""

    def __init__(self, url: str, server: _PageServer, view: ConnectorView) -> None:
        self.url = url
        self.host, self.port = server.address
        self._server, self._view = server, view

    def close(self, *, wait: bool, within: float = 0.5) -> None:
        """Remove the connector from the site. When the last connector is removed, the server stops.

        Args:
            wait: Return only when the server has stopped.
            within: Seconds for the sinks to handle what is queued.
        """
        with _lock:
            if self._server.remove(self._view, within):
                _servers.pop(self._server.address, None)
        if wait:
            self._server.join_if_stopping()


def serve_page(
    connector: IBConnector,
    host: str,
    port: int,
    token: str,
    names: tuple[str, ...],
    history: str | os.PathLike[str] | None,
    *,
    show_accounts: bool,
) -> ServedPage:
    """Show a connector at this address, next to the connectors already shown there; see ``IBConnector.serve``."""
    if package := missing_package():
        raise ModuleNotFoundError(install_hint("connector.serve()", "serve", package))
    from ibkr.web.web_settings import WebSettings

    settings = WebSettings(host, port, token=token, names=names, show_accounts=show_accounts)
    return serve_in_thread(connector, settings, history)


def serve_in_thread(
    connector: IBConnector, settings: WebSettings, history: str | os.PathLike[str] | None, **options: Any
) -> ServedPage:
    """Like ``serve_page``. ``options`` are passed to ``ConnectorView``. Raises ``ConfigError`` and ``OSError``."""
    from ibkr.observe.history import History
    from ibkr.web.connector_view import ConnectorView

    address = host, port = settings.host, settings.port
    with _lock:
        server = _servers.get(address)
        if server is not None and server.settings.token != settings.token:
            raise ConfigError("serve.token", "***", f"another connector is served at {host}:{port} with another token")
        opened = History(None if history is None else Path(history), show_accounts=settings.show_accounts)
        try:
            if server is None:
                server = _PageServer(settings)
                _servers[server.address] = server
            view = ConnectorView(connector, settings, history=opened, **options)
            number = server.add(view)
        except BaseException:
            opened.close()
            raise
    return ServedPage(server.url if number == 1 else f"{server.url}?connector={number}", server, view)


class _PageServer:
    """A server in a thread. It starts when it is made, and stops with its last connector. Raises ``OSError``."""

    def __init__(self, settings: WebSettings) -> None:
        from ibkr.web.http_server import listen, url_of
        from ibkr.web.view_registry import ViewRegistry

        self.settings = settings
        self._listening: socket.socket = listen(settings)
        self.address = settings.host, self._listening.getsockname()[1]
        self.url: str = url_of(*self.address)
        self._views = ViewRegistry(settings)
        self._connectors, self._is_stopping = 0, False
        self._closing: set[asyncio.Task[None]] = set()
        self._has_started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ibkr page {self.url}", daemon=True)
        self._thread.start()
        self._has_started.wait(_TIMEOUT)

    def add(self, view: ConnectorView) -> int:
        """Add a connector. Returns its number."""

        async def add() -> int:
            view.open()
            return self._views.add(view)

        number = asyncio.run_coroutine_threadsafe(add(), self._loop).result(_TIMEOUT)
        self._connectors += 1
        return number

    def remove(self, view: ConnectorView, within: float) -> bool:
        """Remove a connector. Returns whether it was the last connector, so that the server stops."""
        self._connectors -= 1
        self._is_stopping = not self._connectors
        self._loop.call_soon_threadsafe(self._close, view, within)
        return self._is_stopping

    def _close(self, view: ConnectorView, within: float) -> None:
        self._views.remove(view)
        if self._is_stopping:
            self._stop.set()
        closing = self._loop.create_task(view.close(within))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def join_if_stopping(self) -> None:
        """Wait for the end of a server that no longer has a connector."""
        if self._is_stopping:
            self._thread.join(_TIMEOUT)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        from ibkr.web.http_server import serve

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._has_started.set()
        await serve(self._views, self._listening, self._stop)
        if self._closing:
            await asyncio.wait(self._closing)
