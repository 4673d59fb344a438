"""Start-up: what every new session begins with, asked in one go, every answer checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ORDER_REQUESTS = ("open orders", "completed orders")
_MAX_ACCOUNTS = 50  # as the client library's MaxSyncedSubAccounts: beyond, the gateway refuses (facts/operations.md)


@dataclass(frozen=True, slots=True)
class _Request:
    """How to ask. ``again`` is the bare message, for a request whose first asking still pends on a shared key."""

    ask: Callable[[], asyncio.Future[Any]]
    again: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is out: the library's future for it, and its request id, if it has one."""

    future: asyncio.Future[Any]
    req_id: int | None


class StartUp:
    """One session's start-up. ``on_answer`` gets the name of each request that was answered in full.

    Answers are seen where the library ends a request, within the packet that brought them, not turns of the loop
    later: whoever owns the ``IB`` object calls ``ended`` and ``failed``.
    """

    def __init__(self, ib: Any, account: str, *, readonly: bool, on_answer: Callable[[str, bool], None]) -> None:
        self._ib = ib
        self._on_answer = on_answer
        self._requests = self._requests_of(account, readonly)
        self._pending: dict[str, _Asked] = {}
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
            if shared or name not in self._pending or self._requests[name].again is None:
                self._ask(name)

    def ended(self, future: asyncio.Future[Any]) -> None:
        """The library has ended the request of this future with its answer."""
        for name, asked in self._pending.items():
            if asked.future is future:
                self._answer(name)
                return

    def failed(self, req_id: int) -> None:
        """The gateway answered this request with an error: no answer. It is asked once more when it is overdue."""
        for name, asked in self._pending.items():
            if asked.req_id == req_id:
                del self._pending[name]
                return

    def read_only(self) -> None:
        """The gateway refused the order requests because its API is read-only: that is their answer."""
        self._read_only = True
        for name, key in zip(_ORDER_REQUESTS, ("openOrders", "completedOrders"), strict=True):
            if name in self._pending:
                self._ib.wrapper._endReq(key)

    def abandon(self) -> None:
        """The session is over: nobody waits for these any more."""
        for asked in self._pending.values():
            asked.future.cancel()
        self._pending.clear()

    def _ask(self, name: str) -> None:
        request = self._requests[name]
        if name in self._pending and request.again is not None:
            request.again()
            return
        req_id = self._ib.client._reqIdSeq
        future = request.ask()
        self._pending[name] = _Asked(future, req_id if request.again is None else None)
        if future.done():
            self._answer(name)

    def _ask_executions(self) -> None:
        if "executions" not in self._pending and not self._orders_pending():
            self._ask("executions")

    def _orders_pending(self) -> bool:
        return any(name in self._requests and name not in self._answered for name in _ORDER_REQUESTS)

    def _answer(self, name: str) -> None:
        del self._pending[name]
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
