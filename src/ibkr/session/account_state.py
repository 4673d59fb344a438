"""Keeps positions, portfolio and account values of the last session until the data of the new session has arrived.

The client library clears this data when a session ends. Otherwise, a program that reads ``ib.positions()`` before the
new data arrives would see an empty account.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ibkr.core.startup_requests import POSITIONS, is_about_account
from ibkr.session.library.wrapper import WrapperOverrides

if TYPE_CHECKING:
    from ib_async import AccountValue, PortfolioItem, Position

    Row: TypeAlias = Position | PortfolioItem

T = TypeVar("T")

_MAPS = ("positions", "portfolio", "accountValues", "acctSummary")


class AccountState:
    """Keeps these maps of the library's wrapper when a session ends.

    When start-up requests an answer, all its existing rows are marked as outdated. When the answer is complete, the
    outdated rows that the answer has not replaced are removed. The portfolio is completed one account after another.
    """

    def __init__(self, wrapper: WrapperOverrides) -> None:
        self._wrapper = wrapper
        self._is_saving = False
        self._saved: dict[str, object] = {}
        self._outdated: dict[str, dict[Hashable, object]] = {}
        self._outdated_values: dict[tuple[str, ...], AccountValue] | None = None
        self._awaited: set[str] = set()

    def begin(self) -> None:
        """An attempt begins: keep the rows from now on."""
        self._is_saving = True

    def before_reset(self) -> None:
        """Save the rows: the library is about to clear them."""
        self._saved = {name: getattr(self._wrapper, name) for name in _MAPS}

    def after_reset(self) -> None:
        """Put the rows back: the library has cleared them."""
        if self._is_saving:
            for name, rows in self._saved.items():
                setattr(self._wrapper, name, rows)
        self._saved = {}

    def release(self) -> None:
        """Stop keeping rows."""
        self._is_saving = False
        self._outdated.clear()
        self._outdated_values = None

    def start_up(self, names: tuple[str, ...]) -> None:
        """Start-up requests these answers: mark all rows as outdated."""
        self._awaited.clear()
        self._outdated.clear()
        self._outdated_values = None
        self._outdated["portfolio"] = _rows(self._wrapper.portfolio)
        self.requested(names)

    def requested(self, names: tuple[str, ...]) -> None:
        """Mark the rows of these requested answers as outdated, except rows from an answer that is still arriving."""
        self._awaited.update(name for name in names if is_about_account(name))
        if POSITIONS in names:
            self._outdated.setdefault("positions", _rows(self._wrapper.positions))
        if self._awaited and self._outdated_values is None:
            self._outdated_values = dict(self._wrapper.accountValues)

    def answered(self, name: str) -> None:
        """This answer is complete: remove the outdated rows that the answer has not replaced."""
        if name == POSITIONS:
            old = self._outdated.pop("positions", {})
            for account in self._wrapper.positions:
                _remove(self._wrapper.positions, account, old)
        if name in self._awaited:
            self._awaited.remove(name)
            if not self._awaited:
                self._remove_old_values()

    def portfolio_unreadable(self) -> None:
        """A row of the portfolio could not be decoded. Remove no rows, because it is not known which rows are gone."""
        self._outdated.pop("portfolio", None)

    def portfolio_complete(self, account: str) -> None:
        """Handle that all portfolio rows of this account have arrived: remove the outdated rows."""
        _remove(self._wrapper.portfolio, account, self._outdated.get("portfolio", {}))

    def _remove_old_values(self) -> None:
        values, old, self._outdated_values = self._wrapper.accountValues, self._outdated_values or {}, None
        for key, value in old.items():
            if values.get(key) is value and not value.modelCode:
                del values[key]


def _rows(accounts: Mapping[str, Mapping[int, Row]]) -> dict[Hashable, object]:
    return {(account, con_id): row for account, rows in accounts.items() for con_id, row in rows.items()}


def _remove(accounts: Mapping[str, dict[int, T]], account: str, old: dict[Hashable, object]) -> None:
    """Remove the outdated rows of this account, except rows that were replaced."""
    rows = accounts.get(account, {})
    for con_id in [key for key, row in rows.items() if old.get((account, key)) is row]:
        del rows[con_id]
