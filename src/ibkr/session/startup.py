"""Start-up: the requests that every new session begins with, and the check of their answers.

This file has over 300 lines because each request can be answered, refused, unreadable or late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, cast

from ibkr.core.startup_requests import (
    ACCOUNT_UPDATES,
    COMPLETED_ORDERS,
    EXECUTIONS,
    MAX_ACCOUNTS,
    OPEN_ORDERS,
    ORDER_REQUESTS,
    OTHER_CLIENTS_ORDERS,
    POSITIONS,
    TRADING_STATE,
    account_values,
)
from ibkr.session.library import Library

_EXECUTIONS_WAIT = 0.25
"""Seconds that the request for executions waits for completed orders, after open orders are known."""
_SHARED_KEY_OTHER = {OTHER_CLIENTS_ORDERS: OPEN_ORDERS, OPEN_ORDERS: OTHER_CLIENTS_ORDERS}


class _Request:
    """How to send a request.

    Some requests have no id, but a fixed key in the library. They have ``key`` here, and ``resend`` sends only their
    message. If a request with this key is already pending, no second request is begun: the library would forget the
    first. Instead, both wait for the same answer.
    """

    __slots__ = ("key", "resend", "send")

    def __init__(
        self, send: Callable[[], Awaitable[object]], resend: Callable[[], None] | None = None, key: str = ""
    ) -> None:
        self.send, self.resend, self.key = send, resend, key


class _Pending:
    """A pending request: the library's future and key for it, and whether we have begun it."""

    __slots__ = ("future", "is_ours", "key")

    def __init__(self, future: asyncio.Future[Any], key: Hashable, *, is_ours: bool) -> None:
        self.future, self.key, self.is_ours = future, key, is_ours


class StartUp:
    """The start-up of one session.

    Answers are seen when the library ends a request, in the same slice of messages, and not a few loop turns later.
    ``MessageHandler`` calls ``ended`` and ``refused``.

    Args:
        library: The client library's objects.
        account: The account to follow, or empty.
        readonly: Do not request orders.
        on_answer: Called with the name of each answered request, and whether the answer was that the API is read-only.
        on_unreadable: Called with the name of an answer that has a row that could not be decoded.
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
        # A name has several requests if it was requested again with a new id. The first answer is used.
        self._pending: dict[str, list[_Pending]] = {}
        self._answered: set[str] = set()
        self._unreadable: set[str] = set()
        self._refused: set[str] = set()
        self._outdated: set[Hashable] = set()
        self._overdue: set[str] = set()
        self._read_only = False
        self._others_timer: asyncio.TimerHandle | None = None
        self._executions_timer: asyncio.TimerHandle | None = None
        self.is_sending = False
        self.was_sent = False
        self.include_others = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all requests in the order of sending.

        Other clients' orders are included only if ``include_others`` is set.
        """
        return tuple(name for name in self._requests if self.include_others or name != OTHER_CLIENTS_ORDERS)

    @property
    def awaits_orders(self) -> bool:
        """Whether open orders or executions are still unknown."""
        return any(name in self._requests and name not in self._answered | self._refused for name in TRADING_STATE)

    @property
    def awaits_others(self) -> bool:
        """Whether the answer about other clients' orders is pending, and only we have requested it."""
        futures = self._wrapper.futures
        return any(
            each.is_ours and futures.get(each.key) is each.future
            for each in self._pending.get(OTHER_CLIENTS_ORDERS, ())
        )

    @property
    def awaits_executions(self) -> bool:
        """Whether the answer about executions is pending."""
        return EXECUTIONS in self._pending

    @property
    def knows_others(self) -> bool:
        """Whether the orders of other clients are known."""
        return OTHER_CLIENTS_ORDERS in self._answered and not self._read_only

    def send_all(self) -> None:
        """Send all requests. Executions follow after the orders, so that each execution finds its trade.

        Executions wait only briefly for completed orders, because no order may be sent before executions are known.
        """
        self.was_sent = True
        self._read_only = False
        self._cancel_others_timer()
        self._cancel_executions_timer()
        self._answered.clear()
        self._unreadable.clear()
        self._refused.clear()
        if self._client.clientId == 0:
            self._ib.reqAutoOpenOrders(True)
        for name in self._requests:
            if name != OTHER_CLIENTS_ORDERS:
                self._mark_outdated(name)
            if name not in (OTHER_CLIENTS_ORDERS, EXECUTIONS) and not self._must_wait(name):
                self._send(name)
        self._send_executions()

    def request_fresh(self, names: tuple[str, ...]) -> None:
        """Send these requests again. Earlier answers are outdated: only the new answers are used."""
        for name in names:
            self._mark_outdated(name)
        self._resend(names, shared=True)

    def request_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these overdue requests again. Requests that wait on a shared key are sent only if ``shared``.

        The first answer that comes now is used. Answers to requests that were already outdated are no longer expected.
        """
        self._outdated.difference_update(self._requests[name].key for name in names)
        self._overdue.update(names)
        self._resend(names, shared=shared)

    def _resend(self, names: tuple[str, ...], *, shared: bool) -> None:
        self._answered.difference_update(names)
        self._refused.difference_update(names)
        if OPEN_ORDERS in names:
            self._read_only = False
        self._unreadable.difference_update(name for name in names if name not in self._pending)
        for name in names:
            is_free = shared or name not in self._pending or self._requests[name].resend is None
            if is_free and not self._must_wait(name):
                self._send(name)

    def request_others_later(self, delay: float) -> None:
        """Request the orders of other clients, too: in ``delay`` seconds, and in every later start-up."""
        if not self.include_others:
            self.include_others = True
            self._others_timer = asyncio.get_running_loop().call_later(delay, self._send_others, delay)

    def ended(self, key: Hashable) -> None:
        """The library has ended the request of this key with its answer. The request may be ours or the program's."""
        for name, pending_requests in self._pending.items():
            if any(pending_request.key == key for pending_request in pending_requests):
                if key in self._outdated:
                    self._wait_for_next_answer(name, key)
                elif name in self._unreadable:
                    self._end_unreadable(name)
                else:
                    self._answer(name)
                return

    def row_unreadable(self, name: str) -> None:
        """Treat this answer as incomplete, because a row of it could not be decoded."""
        if name == OPEN_ORDERS and OTHER_CLIENTS_ORDERS in self._pending:  # the row may belong to either
            self._unreadable.add(OTHER_CLIENTS_ORDERS)
        if name in self._pending:
            self._unreadable.add(name)
        elif name in self._answered:
            self._answered.remove(name)
            self._on_unreadable(name)

    def refused(self, req_id: int) -> str:
        """The gateway answered this request with an error.

        Returns the name of the request, or an empty text if it is not a start-up request.
        """
        for name, pending_requests in self._pending.items():
            if any(pending_request.key == req_id for pending_request in pending_requests):
                self.end_refused(name)
                return name
        return ""

    def end_refused(self, name: str) -> None:
        """The gateway has refused this request: send the requests that had to wait for this request."""
        if name in self._pending:
            for pending_request in self._pending[name]:
                if self._wrapper.futures.get(pending_request.key) is pending_request.future and pending_request.is_ours:
                    self._wrapper.forget(pending_request.key)
                self._outdated.discard(pending_request.key)
            self._forget(name)
        self._answered.discard(name)
        self._refused.add(name)
        self._continue_after(name)

    def read_only(self) -> None:
        """Treat the order requests as answered: the gateway refused them because its API is read-only."""
        self._read_only = True
        self._outdated.clear()
        for name in (*ORDER_REQUESTS, OTHER_CLIENTS_ORDERS):
            if name in self._pending:
                self._wrapper.end_request(self._requests[name].key)

    def abandon(self) -> None:
        """Stop waiting for answers, because the session is over."""
        self._cancel_others_timer()
        self._cancel_executions_timer()
        for name in list(self._pending):
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._overdue.discard(name)
        for pending_request in self._pending.pop(name):
            if pending_request.is_ours:
                pending_request.future.cancel()

    def _mark_outdated(self, name: str) -> None:
        """Ignore the answer that is still expected: the answer with its id, or the next answer with the shared key.

        If the answer is overdue, it is no longer expected.
        """
        if name not in self._pending or self._must_wait(name):
            return
        key = self._requests[name].key
        if not key:
            self._forget(name)
        elif name not in self._overdue:
            self._outdated.add(key)

    def _wait_for_next_answer(self, name: str, key: Hashable) -> None:
        """Ignore this answer to an earlier request. Wait for the next answer, which belongs to the last request."""
        self._outdated.discard(key)
        self._unreadable.discard(name)
        self._pending[name] = [_Pending(self._begin(lambda: self._wrapper.startReq(key)), key, is_ours=True)]

    def _send(self, name: str) -> None:
        request = self._requests[name]
        shared = self._wrapper.futures.get(request.key) if request.key else None
        if request.resend is not None and shared is not None and not shared.done():
            if name not in self._pending:
                self._pending[name] = [_Pending(shared, request.key, is_ours=False)]
            request.resend()
            return
        key = request.key or self._client.next_req_id
        future = self._begin(request.send)
        self._pending.setdefault(name, []).append(_Pending(future, key, is_ours=True))
        if future.done():
            self._answer(name)

    def _begin(self, send: Callable[[], Awaitable[object]]) -> asyncio.Future[Any]:
        self.is_sending = True
        try:
            future = cast("asyncio.Future[Any]", send())  # the library's annotation is too wide
        finally:
            self.is_sending = False
        if self._ib.RaiseRequestErrors:
            future.add_done_callback(_retrieve_exception)
        return future

    def _send_others(self, delay: float) -> None:
        """Request other clients' orders, unless that is done, orders are not requested, or the shared key is used."""
        if (
            OTHER_CLIENTS_ORDERS not in self._requests
            or self._read_only
            or OTHER_CLIENTS_ORDERS in (*self._answered, *self._pending)
            or not self._client.isReady()  # the session has ended, and a handler that runs the loop delays its cleanup
        ):
            return
        if self._requests[OTHER_CLIENTS_ORDERS].key in self._wrapper.futures:
            self._others_timer = asyncio.get_running_loop().call_later(delay, self._send_others, delay)
        else:
            self._send(OTHER_CLIENTS_ORDERS)

    def _cancel_others_timer(self) -> None:
        if self._others_timer is not None:
            self._others_timer.cancel()
            self._others_timer = None

    def _must_wait(self, name: str) -> bool:
        """Whether the other request about open orders is pending. Both requests have the same key in the library."""
        return _SHARED_KEY_OTHER.get(name) in self._pending

    def _send_executions(self) -> None:
        if EXECUTIONS in self._pending:
            return
        missing = self._orders_pending()
        if not missing:
            self._cancel_executions_timer()
            self._send(EXECUTIONS)
        elif missing == [COMPLETED_ORDERS] and self._executions_timer is None:
            self._executions_timer = asyncio.get_running_loop().call_later(_EXECUTIONS_WAIT, self._send_executions_now)

    def _send_executions_now(self) -> None:
        """Request executions, although completed orders have not come. They may come later or never."""
        self._executions_timer = None
        if EXECUTIONS not in (*self._pending, *self._answered):
            self._send(EXECUTIONS)

    def _cancel_executions_timer(self) -> None:
        if self._executions_timer is not None:
            self._executions_timer.cancel()
            self._executions_timer = None

    def _orders_pending(self) -> list[str]:
        over = self._answered | self._refused | self._unreadable.difference(self._pending)
        return [name for name in ORDER_REQUESTS if name in self._requests and name not in over]

    def _answer(self, name: str) -> None:
        self._forget(name)
        self._answered.add(name)
        self._continue_after(name)
        self._on_answer(name, self._read_only and name in (*ORDER_REQUESTS, OTHER_CLIENTS_ORDERS))

    def _end_unreadable(self, name: str) -> None:
        self._forget(name)
        self._continue_after(name)
        self._on_unreadable(name)

    def _continue_after(self, name: str) -> None:
        """Send requests that had to wait for this request."""
        if name == OPEN_ORDERS and self.include_others:
            self._send(OTHER_CLIENTS_ORDERS)
        elif name == OTHER_CLIENTS_ORDERS and OPEN_ORDERS not in (
            *self._answered,
            *self._pending,
            *self._unreadable,
            *self._refused,
        ):
            self._send(OPEN_ORDERS)
        if name in ORDER_REQUESTS:
            self._send_executions()

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
            requests[OTHER_CLIENTS_ORDERS] = _Request(ib.reqAllOpenOrdersAsync, client.reqAllOpenOrders, "openOrders")
        # The gateway would send nothing about an account that the login does not have. An account with an A at its end
        # belongs to an advisor and means all of the advisor's accounts.
        if account and (not accounts or not {account, account.removesuffix("A")}.isdisjoint(accounts)):
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


def _retrieve_exception(future: asyncio.Future[Any]) -> None:
    """Prevent a log message: nobody awaits this future. The error is already reported with its code."""
    if not future.cancelled():
        future.exception()
