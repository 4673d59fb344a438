"""Start-up: what every new session begins with, asked in one go, every answer checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, cast

from ibkr.core.startup import (
    ACCOUNT_UPDATES,
    COMPLETED_ORDERS,
    EXECUTIONS,
    MAX_ACCOUNTS,
    OPEN_ORDERS,
    ORDER_REQUESTS,
    OTHERS,
    POSITIONS,
    TRADED,
    account_values,
)
from ibkr.session.library import Library

_OTHER_ON_THE_KEY = {OTHERS: OPEN_ORDERS, OPEN_ORDERS: OTHERS}


class _Request:
    """How to ask. Those on a key that the library shares have the ``key``, and ``again``, the bare message.

    Where somebody's asking already pends on the key, it is shared: the library would forget it for a second one.
    """

    __slots__ = ("again", "ask", "key")

    def __init__(
        self, ask: Callable[[], Awaitable[object]], again: Callable[[], None] | None = None, key: str = ""
    ) -> None:
        self.ask, self.again, self.key = ask, again, key


class _Asked:
    """A request that is out: the library's future for it, its key there, and whether the asking was ours."""

    __slots__ = ("future", "is_ours", "key")

    def __init__(self, future: asyncio.Future[Any], key: int | str, *, is_ours: bool) -> None:
        self.future, self.key, self.is_ours = future, key, is_ours


class StartUp:
    """One session's start-up. ``on_answer`` gets the name of each request that was answered in full, ``on_unreadable``
    that of an answer with a row that could not be decoded.

    Answers are seen where the library ends a request, within the packet that brought them, not turns of the loop
    later: whoever owns the ``IB`` object calls ``ended`` and ``failed``.
    """

    def __init__(
        self,
        library: Library,
        account: str,
        *,
        readonly: bool,
        on_answer: Callable[[str, bool], None],
        on_unreadable: Callable[[str], None],
    ) -> None:
        self._ib, self._client, self._wrapper = library.ib, library.client, library.wrapper
        self._on_answer = on_answer
        self._on_unreadable = on_unreadable
        self._requests = self._requests_of(account, readonly)
        # Several for one name when it was asked again under a new id: whichever is answered first serves.
        self._pending: dict[str, list[_Asked]] = {}
        self._answered: set[str] = set()
        self._unreadable: set[str] = set()
        self._read_only = False
        self._later: asyncio.TimerHandle | None = None
        self.was_asked = False
        self.with_others = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every request by name, in wire order; those for orders of other clients only ``with_others``."""
        return tuple(name for name in self._requests if self.with_others or name != OTHERS)

    @property
    def awaits_orders(self) -> bool:
        """Whether it is not known yet what is being traded."""
        return any(name in self._requests and name not in self._answered for name in TRADED)

    @property
    def awaits_others(self) -> bool:
        """Whether the answer about orders of other clients is on its way, and nobody but us has asked for it."""
        futures = self._wrapper.futures
        return any(each.is_ours and futures.get(each.key) is each.future for each in self._pending.get(OTHERS, ()))

    @property
    def knows_others(self) -> bool:
        """Whether the orders of other clients have been told."""
        return OTHERS in self._answered and not self._read_only

    def ask(self) -> None:
        """Send all of them; executions follow once the orders have ended, so that each finds its trade."""
        self.was_asked = True
        self._cancel_later()
        self._answered.clear()
        self._unreadable.clear()
        self._forget_own_ids()
        if self._client.clientId == 0:
            self._ib.reqAutoOpenOrders(True)
        for name in self._requests:
            if name not in (OTHERS, EXECUTIONS) and not self._waits_its_turn(name):
                self._ask(name)
        self._ask_executions()

    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these once more; those that pend on a shared key only if ``shared``."""
        self._answered.difference_update(names)
        self._unreadable.difference_update(name for name in names if name not in self._pending)
        for name in names:
            is_free = shared or name not in self._pending or self._requests[name].again is None
            if is_free and not self._waits_its_turn(name):
                self._ask(name)

    def ask_others_later(self, delay: float) -> None:
        """Ask for the orders of other clients too, ``delay`` seconds from now, and in every start-up to come."""
        if not self.with_others:
            self.with_others = True
            self._later = asyncio.get_running_loop().call_later(delay, self._ask_others, delay)

    def ended(self, key: Hashable) -> None:
        """The library has ended the request of this key with its answer, whoever asked."""
        for name, askings in self._pending.items():
            if any(asked.key == key for asked in askings):
                if name in self._unreadable:
                    self._end_unreadable(name)
                else:
                    self._answer(name)
                return

    def row_unreadable(self, name: str) -> None:
        """A row of this answer could not be decoded: the answer will be incomplete, or is not any more."""
        if name == OPEN_ORDERS and OTHERS in self._pending:  # it may belong to either
            self._unreadable.add(OTHERS)
        if name in self._pending:
            self._unreadable.add(name)
        elif name in self._answered:
            self._answered.remove(name)
            self._on_unreadable(name)

    def failed(self, req_id: int) -> None:
        """The gateway answered this request with an error: no answer. It is asked once more when it is overdue."""
        for name, askings in self._pending.items():
            if any(asked.key == req_id for asked in askings):
                left = [asked for asked in askings if asked.key != req_id]
                if left:
                    self._pending[name] = left
                else:
                    del self._pending[name]
                return

    def read_only(self) -> None:
        """The gateway refused the order requests because its API is read-only: that is their answer."""
        self._read_only = True
        for name in (*ORDER_REQUESTS, OTHERS):
            if name in self._pending:
                self._wrapper.end_request(self._requests[name].key)

    def abandon(self) -> None:
        """The session is over: nobody waits for these any more."""
        self._cancel_later()
        for name in list(self._pending):
            self._forget(name)

    def _forget(self, name: str) -> None:
        for asked in self._pending.pop(name):
            if asked.is_ours:
                asked.future.cancel()

    def _forget_own_ids(self) -> None:
        """What is asked anew is not served by an answer to the old asking, where the two can be told apart."""
        for name in [name for name in self._pending if self._requests[name].again is None]:
            self._forget(name)

    def _ask(self, name: str) -> None:
        request = self._requests[name]
        shared = self._wrapper.futures.get(request.key) if request.key else None
        if request.again is not None and shared is not None and not shared.done():
            if name not in self._pending:
                self._pending[name] = [_Asked(shared, request.key, is_ours=False)]
            request.again()
            return
        key = request.key or self._client.next_req_id
        future = cast("asyncio.Future[Any]", request.ask())  # the library says no more than that it can be awaited
        if self._ib.RaiseRequestErrors:
            future.add_done_callback(_taken)
        self._pending.setdefault(name, []).append(_Asked(future, key, is_ours=True))
        if future.done():
            self._answer(name)

    def _ask_others(self, delay: float) -> None:
        """If that was not done yet, and where orders are asked for; not while somebody's asking is on the key."""
        if OTHERS not in self._requests or self._read_only or OTHERS in (*self._answered, *self._pending):
            return
        if self._requests[OTHERS].key in self._wrapper.futures:
            self._later = asyncio.get_running_loop().call_later(delay, self._ask_others, delay)
        else:
            self._ask(OTHERS)

    def _cancel_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _waits_its_turn(self, name: str) -> bool:
        """Both questions about open orders are on one key of the library: one is asked when the other is answered."""
        return _OTHER_ON_THE_KEY.get(name) in self._pending

    def _ask_executions(self) -> None:
        if EXECUTIONS not in self._pending and not self._orders_pending():
            self._ask(EXECUTIONS)

    def _orders_pending(self) -> bool:
        over = self._answered | self._unreadable.difference(self._pending)
        return any(name in self._requests and name not in over for name in ORDER_REQUESTS)

    def _answer(self, name: str) -> None:
        self._forget(name)
        self._answered.add(name)
        self._go_on_after(name)
        self._on_answer(name, self._read_only and name in (*ORDER_REQUESTS, OTHERS))

    def _end_unreadable(self, name: str) -> None:
        self._forget(name)
        self._go_on_after(name)
        self._on_unreadable(name)

    def _go_on_after(self, name: str) -> None:
        """Ask for what could not be asked for while this was under way."""
        if name == OPEN_ORDERS and self.with_others:
            self._ask(OTHERS)
        elif name == OTHERS and OPEN_ORDERS not in (*self._answered, *self._pending, *self._unreadable):
            self._ask(OPEN_ORDERS)
        if name in ORDER_REQUESTS:
            self._ask_executions()

    def _requests_of(self, account: str, readonly: bool) -> dict[str, _Request]:
        ib, client = self._ib, self._client
        accounts = client.getAccounts()
        if not account and len(accounts) == 1:
            account = accounts[0]
        requests = {POSITIONS: _Request(ib.reqPositionsAsync, client.reqPositions, "positions")}
        if not readonly:
            requests[OPEN_ORDERS] = _Request(ib.reqOpenOrdersAsync, client.reqOpenOrders, "openOrders")
            requests[COMPLETED_ORDERS] = _Request(
                lambda: ib.reqCompletedOrdersAsync(False), lambda: client.reqCompletedOrders(False), "completedOrders"
            )
            requests[OTHERS] = _Request(ib.reqAllOpenOrdersAsync, client.reqAllOpenOrders, "openOrders")
        if account:
            requests[ACCOUNT_UPDATES] = _Request(
                lambda: ib.reqAccountUpdatesAsync(account),
                lambda: client.reqAccountUpdates(True, account),
                "accountValues",
            )
        if len(accounts) <= MAX_ACCOUNTS:
            for each in accounts:
                requests[account_values(each)] = _Request(partial(ib.reqAccountUpdatesMultiAsync, each))
        requests[EXECUTIONS] = _Request(ib.reqExecutionsAsync)
        return requests


def _taken(future: asyncio.Future[Any]) -> None:
    """Nobody awaits it; an error that the caller's ``RaiseRequestErrors`` made of an answer is told by its code."""
    if not future.cancelled():
        future.exception()
