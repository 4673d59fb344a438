"""The guard: no order leaves, and no order id is taken, while it is not known what is being traded.

It stands at the library's own calls and at the client's below them, so that it holds whichever way an order is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ibkr.core.errors import NotReady
from ibkr.core.status import Status

_TAKES_AN_ID = ("bracketOrder", "exerciseOptions")
"""Calls of the library that take order ids before they send anything, or without sending anything."""


class Guard:
    """Raises ``NotReady`` in place of the call: a new or changed order needs ``may_trade``, all else a session.

    Cancels are never refused while there is one: less risk needs no permission.
    """

    def __init__(self, ib: Any, status: Callable[[], Status]) -> None:
        self._client = ib.client
        self._status = status
        self._place = ib.client.placeOrder
        for owner, name in (*((ib, name) for name in _TAKES_AN_ID), (ib.client, "exerciseOptions")):
            _check_first(owner, name, self._may_trade)
        _check_first(ib, "placeOrder", self._may_send)
        _check_first(ib, "whatIfOrderAsync", partial(self._needs_session, "what-if order"))
        _check_first(ib.client, "cancelOrder", partial(self._needs_session, "cancel"))
        _check_first(ib.client, "reqGlobalCancel", partial(self._needs_session, "global cancel"))
        _check_first(ib.client, "send", self._needs_socket)
        ib.client.placeOrder = self._placed

    def _placed(self, orderId: int, contract: Any, order: Any) -> None:
        self._may_send(contract, order)
        self._place(orderId, contract, order)
        self._client.updateReqId(orderId + 1)  # the caller may have chosen it himself

    def _may_send(self, contract: Any, order: Any) -> None:
        if order.whatIf:
            self._needs_session("what-if order")
        else:
            self._may_trade()

    def _may_trade(self, *_args: Any, **_named: Any) -> None:
        status = self._status()
        if not status.may_trade:
            raise NotReady(
                f"the order was not sent, nor will it be later, and no order id was taken: {status.may_trade_reason}."
                " Place it again once connector.status.may_trade is true",
                status,
            )

    def _needs_socket(self, *_fields: Any, **_named: Any) -> None:
        """Subscriptions are recorded before they come here, and wait for their session; the rest cannot."""
        if not self._client.isConnected():
            status = self._status()
            raise NotReady(f"Not connected, the request was not sent, nor will it be later: {status.reason}", status)

    def _needs_session(self, what: str, *_args: Any, **_named: Any) -> None:
        if not self._client.isReady():
            status = self._status()
            raise NotReady(f"the {what} was not sent: there is no session: {status.reason}", status)


def _check_first(owner: Any, name: str, check: Callable[..., None]) -> None:
    # Closures of both would be some KB of each connector.
    setattr(owner, name, partial(_checked, check, getattr(owner, name)))


def _checked(check: Callable[..., None], call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    check(*args, **named)
    return call(*args, **named)
