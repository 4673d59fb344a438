"""The guard: no order leaves, and no order id is taken, while it is not known what is being traded.

It checks the library's own calls and the client's calls below them, so that it holds whichever way an order is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ibkr.core.errors import NotReady
from ibkr.core.status import Status
from ibkr.session.egress import Egress, Sending
from ibkr.session.orders.desk import Desk

_TAKES_AN_ID = ("bracketOrder", "exerciseOptions")
"""Calls of the library that take order ids before they send anything, or without sending anything."""
_SENDS_ORDERS = ("placeOrder", "cancelOrder", "exerciseOptions", "reqGlobalCancel")


class Guard:
    """Raises ``NotReady`` in place of the call: a new or changed order needs ``may_trade``, all else a session.

    Cancels are never refused while there is one: less risk needs no permission. ``wait`` is called after each call that
    sends orders or cancels: it returns when they have left, where the loop cannot see to that by itself.
    """

    def __init__(
        self, ib: Any, egress: Egress, desk: Desk, status: Callable[[], Status], wait: Callable[[], None]
    ) -> None:
        client = self._client = ib.client
        self._egress, self._desk, self._status, self._wait = egress, desk, status, wait
        self._depth = 0
        self._place, self._cancel = client.placeOrder, client.cancelOrder
        self._exercise, self._cancel_all = client.exerciseOptions, client.reqGlobalCancel
        client.placeOrder, client.cancelOrder = self._placed, self._cancelled
        client.exerciseOptions, client.reqGlobalCancel = self._exercised, self._cancelled_all
        for name in _TAKES_AN_ID:
            _check_first(ib, name, self._may_trade)
        _check_first(ib, "placeOrder", self._may_send)
        _check_first(ib, "whatIfOrderAsync", partial(self._needs_session, "what-if order"))
        _check_first(client, "send", self._needs_socket)
        for owner in (client, ib):
            for name in _SENDS_ORDERS:
                setattr(owner, name, partial(self._waited, getattr(owner, name)))
        desk.why_no_trade = self._why_no_trade

    def _placed(self, orderId: int, contract: Any, order: Any) -> None:
        self._may_send(contract, order)
        self._place(orderId, contract, order)
        self._client.updateReqId(orderId + 1)  # the caller may have chosen it himself

    def _cancelled(self, orderId: int, *args: Any, **named: Any) -> None:
        self._needs_session("cancel")
        self._desk.errors.sent_again(orderId)
        with self._egress.telling(Sending(what=f"cancel of order {orderId}")):
            self._cancel(orderId, *args, **named)

    def _cancelled_all(self, *args: Any, **named: Any) -> None:
        self._needs_session("global cancel")
        with self._egress.telling(Sending(what="global cancel")):
            self._cancel_all(*args, **named)

    def _exercised(self, *args: Any, **named: Any) -> None:
        self._may_trade()
        with self._egress.telling(Sending(why_not=self._why_no_trade, what="exercise of an option")):
            self._exercise(*args, **named)

    def _waited(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Only the outermost call waits: the library must know of an order before its first message is read."""
        self._depth += 1
        try:
            result = call(*args, **named)
        finally:
            self._depth -= 1
        if not self._depth:
            self._wait()
        return result

    def _may_send(self, contract: Any, order: Any) -> None:
        if order.whatIf:
            self._needs_session("what-if order")
        else:
            self._may_trade()

    def _why_no_trade(self) -> str:
        return self._status().may_trade_reason or ("" if self._egress.has_transport else "the connection has ended")

    def _may_trade(self, *_args: Any, **_named: Any) -> None:
        reason = self._why_no_trade()
        if reason:
            raise NotReady(
                f"the order was not sent, nor will it be later, and no order id was taken: {reason}."
                " Place it again once connector.status.may_trade is true",
                self._status(),
            )

    def _needs_socket(self, *_fields: Any, **_named: Any) -> None:
        """Subscriptions are recorded before they come here, and wait for their session; the rest cannot."""
        if not self._client.isConnected():
            status = self._status()
            raise NotReady(f"Not connected, the request was not sent, nor will it be later: {status.reason}", status)

    def _needs_session(self, what: str, *_args: Any, **_named: Any) -> None:
        if not self._client.isReady() or not self._egress.has_transport:
            status = self._status()
            raise NotReady(f"the {what} was not sent: there is no session: {status.reason}", status)


def _check_first(owner: Any, name: str, check: Callable[..., None]) -> None:
    # Closures of both would be some KB of each connector.
    setattr(owner, name, partial(_checked, check, getattr(owner, name)))


def _checked(check: Callable[..., None], call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    check(*args, **named)
    return call(*args, **named)
