"""Positions, portfolio and account values: those of the last session stay until the new session has told its own.

The client library forgets them when a session ends. A program that looks at ``ib.positions()`` in between would see a
flat account.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ibkr.core.startup import POSITIONS, is_about_account
from ibkr.session.library.wrapper import WrapperOverrides

if TYPE_CHECKING:
    from ib_async import AccountValue, PortfolioItem, Position

    Row: TypeAlias = Position | PortfolioItem

T = TypeVar("T")

_MAPS = ("positions", "portfolio", "accountValues", "acctSummary")


class AccountState:
    """Keeps these maps of the library's wrapper over the end of a session.

    When start-up asks for them, every row that is there is noted as old. When the answer is complete, the old rows that
    it has not replaced are removed. The portfolio arrives account by account.
    """

    def __init__(self, wrapper: WrapperOverrides) -> None:
        self._wrapper = wrapper
        self._keeps = False
        self._kept: dict[str, object] = {}
        self._old: dict[str, dict[Hashable, object]] = {}
        self._old_values: dict[tuple[str, ...], AccountValue] | None = None
        self._awaited: set[str] = set()

    def begin(self) -> None:
        """An attempt begins: what there is will be kept."""
        self._keeps = True

    def before_reset(self) -> None:
        """The library is about to forget."""
        self._kept = {name: getattr(self._wrapper, name) for name in _MAPS}

    def after_reset(self) -> None:
        """The library has forgotten."""
        if self._keeps:
            for name, rows in self._kept.items():
                setattr(self._wrapper, name, rows)
        self._kept = {}

    def release(self) -> None:
        """Nothing will be kept any more."""
        self._keeps = False
        self._old.clear()
        self._old_values = None

    def start_up(self, names: tuple[str, ...]) -> None:
        """A start-up asks for these answers: all that is there is old."""
        self._awaited.clear()
        self._old.clear()
        self._old_values = None
        self._old["portfolio"] = _rows(self._wrapper.portfolio)
        self.asked(names)

    def asked(self, names: tuple[str, ...]) -> None:
        """These answers are asked for. For one that is still under way, rows that it has brought are not old."""
        self._awaited.update(name for name in names if is_about_account(name))
        if POSITIONS in names:
            self._old.setdefault("positions", _rows(self._wrapper.positions))
        if self._awaited and self._old_values is None:
            self._old_values = dict(self._wrapper.accountValues)

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

    def portfolio_complete(self, account: str) -> None:
        """All rows of this account's portfolio have arrived."""
        _remove(self._wrapper.portfolio, account, self._old.get("portfolio", {}))

    def _remove_old_values(self) -> None:
        values, old, self._old_values = self._wrapper.accountValues, self._old_values or {}, None
        for key, value in old.items():
            if values.get(key) is value and not value.modelCode:
                del values[key]


def _rows(accounts: Mapping[str, Mapping[int, Row]]) -> dict[Hashable, object]:
    return {(account, con_id): row for account, rows in accounts.items() for con_id, row in rows.items()}


def _remove(accounts: Mapping[str, dict[int, T]], account: str, old: dict[Hashable, object]) -> None:
    """Remove the rows of this account that are still the old ones."""
    rows = accounts.get(account, {})
    for con_id in [key for key, row in rows.items() if old.get((account, key)) is row]:
        del rows[con_id]
