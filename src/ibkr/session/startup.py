"""Start-up: what every new session begins with, asked in one go, every answer checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_ORDER_REQUESTS = ("open orders", "completed orders")
_MAX_ACCOUNTS = 50  # as the client library's MaxSyncedSubAccounts: beyond, the gateway refuses (facts/operations.md)


@dataclass(frozen=True, slots=True)
class _Request:
    """How to ask. ``again`` is the bare message, for a request whose first asking still pends on a shared key."""

    ask: Callable[[], Awaitable[Any]]
    again: Callable[[], None] | None = None


class StartUp:
    """One session's start-up. ``on_answer`` gets the name of each request that was answered in full."""

    def __init__(self, ib: Any, account: str, *, readonly: bool, on_answer: Callable[[str, bool], None]) -> None:
        self._ib = ib
        self._on_answer = on_answer
        self._requests = self._requests_of(account, readonly)
        self._pending: dict[str, asyncio.Future[Any]] = {}
        self._answered: set[str] = set()
        self._read_only = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every request by name, in wire order."""
        return tuple(self._requests)

    def ask(self) -> None:
        """Send all of them; executions follow once the orders have ended, so that each finds its trade."""
        self._answered.clear()
        if self._ib.client.clientId == 0:
            self._ib.reqAutoOpenOrders(True)
        for name in self._requests:
            if name != "executions":
                self._ask(name)
        self._ask_executions()

    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these once more; those that pend on a shared key only if ``shared``."""
        for name in names:
            request = self._requests[name]
            if name not in self._pending or request.again is None:
                self._ask(name)
            elif shared:
                request.again()

    def read_only(self) -> None:
        """The gateway refused the order requests because its API is read-only: that is their answer."""
        self._read_only = True
        for name, key in zip(_ORDER_REQUESTS, ("openOrders", "completedOrders"), strict=True):
            if name in self._pending:
                self._ib.wrapper._endReq(key)

    def _ask(self, name: str) -> None:
        request = self._requests[name]
        future = self._pending.get(name)
        if future is not None and not future.done() and request.again is not None:
            request.again()
            return
        future = asyncio.ensure_future(request.ask())
        self._pending[name] = future
        future.add_done_callback(lambda ended: self._answer(name, ended))

    def _ask_executions(self) -> None:
        if "executions" not in self._pending and not self._orders_pending():
            self._ask("executions")

    def _orders_pending(self) -> bool:
        return any(name in self._requests and name not in self._answered for name in _ORDER_REQUESTS)

    def _answer(self, name: str, ended: asyncio.Future[Any]) -> None:
        if self._pending.get(name) is ended:
            del self._pending[name]
        if ended.cancelled() or ended.exception() is not None:
            return  # the session ended meanwhile: its loss is told on its own
        self._answered.add(name)
        if name in _ORDER_REQUESTS:
            self._ask_executions()
        self._on_answer(name, self._read_only and name in _ORDER_REQUESTS)

    def _requests_of(self, account: str, readonly: bool) -> dict[str, _Request]:
        ib, client = self._ib, self._ib.client
        accounts = client.getAccounts()
        if not account and len(accounts) == 1:
            account = accounts[0]
        requests = {"positions": _Request(ib.reqPositionsAsync, client.reqPositions)}
        if not readonly:
            requests["open orders"] = _Request(ib.reqOpenOrdersAsync, client.reqOpenOrders)
            requests["completed orders"] = _Request(
                lambda: ib.reqCompletedOrdersAsync(False), lambda: client.reqCompletedOrders(False)
            )
        if account:
            requests["account updates"] = _Request(
                lambda: ib.reqAccountUpdatesAsync(account), lambda: client.reqAccountUpdates(True, account)
            )
        if len(accounts) <= _MAX_ACCOUNTS:
            for each in accounts:
                requests[f"account values of {each}"] = _Request(
                    lambda each=each: ib.reqAccountUpdatesMultiAsync(each)  # type: ignore[misc]
                )
        requests["executions"] = _Request(ib.reqExecutionsAsync)
        return requests
