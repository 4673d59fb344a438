"""Positions, portfolio and account values: those of the last session stay until the new session has told its own.

The client library forgets them when a session ends. A program that looks at ``ib.positions()`` in between would see a
flat account.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ibkr.core.startup import POSITIONS, is_about_account

_MAPS = ("positions", "portfolio", "accountValues", "acctSummary")


class Holdings:
    """Keeps these maps of the library's wrapper over the end of a session.

    When start-up asks for them, every row that is there is noted as old. When the answer is complete, the old rows that
    it has not replaced are removed. The portfolio arrives account by account.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._keeps = False
        self._kept: dict[str, Any] = {}
        self._old: dict[str, dict[Hashable, Any]] = {}
        self._awaited: set[str] = set()
        self._end_download, wrapper.accountDownloadEnd = wrapper.accountDownloadEnd, self._download_ended

    def begin(self) -> None:
        """An attempt begins: what there is will be kept."""
        self._keeps = True

    def session_ends(self) -> None:
        """The library is about to forget."""
        self._kept = {name: getattr(self._wrapper, name) for name in _MAPS}

    def session_ended(self) -> None:
        """The library has forgotten."""
        if self._keeps:
            for name, rows in self._kept.items():
                setattr(self._wrapper, name, rows)
        self._kept = {}

    def release(self) -> None:
        """Nothing will be kept any more."""
        self._keeps = False
        self._old.clear()

    def start_up(self, names: tuple[str, ...]) -> None:
        """A start-up asks for these answers: all that is there is old."""
        self._awaited.clear()
        self._old.clear()
        self._old["portfolio"] = _rows(self._wrapper.portfolio)
        self.asked(names)

    def asked(self, names: tuple[str, ...]) -> None:
        """These answers are asked for. For one that is still under way, rows that it has brought are not old."""
        self._awaited.update(name for name in names if is_about_account(name))
        if POSITIONS in names:
            self._old.setdefault("positions", _rows(self._wrapper.positions))
        if self._awaited:
            self._old.setdefault("accountValues", dict(self._wrapper.accountValues))

    def answered(self, name: str) -> None:
        """This answer is complete."""
        if name == POSITIONS:
            old = self._old.pop("positions", {})
            for account in self._wrapper.positions:
                _remove(self._wrapper.positions, account, old)
        if name in self._awaited:
            self._awaited.remove(name)
            if not self._awaited:
                self._remove_old_values()

    def portfolio_unreadable(self) -> None:
        """A row of the portfolio could not be decoded: which rows are gone is not known."""
        self._old.pop("portfolio", None)

    def _download_ended(self, account: str) -> None:
        _remove(self._wrapper.portfolio, account, self._old.get("portfolio", {}))
        self._end_download(account)

    def _remove_old_values(self) -> None:
        values, old = self._wrapper.accountValues, self._old.pop("accountValues", {})
        for key, value in old.items():
            if values.get(key) is value and not value.modelCode:
                del values[key]


def _rows(accounts: dict[str, dict[int, Any]]) -> dict[Hashable, Any]:
    return {(account, con_id): row for account, rows in accounts.items() for con_id, row in rows.items()}


def _remove(accounts: dict[str, dict[int, Any]], account: str, old: dict[Hashable, Any]) -> None:
    """Remove the rows of this account that are still the old ones."""
    rows = accounts.get(account, {})
    for con_id in [key for key, row in rows.items() if old.get((account, key)) is row]:
        del rows[con_id]
