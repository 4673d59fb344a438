"""Orders on their way out: whether one may be sent, what is recorded of it, and when its call returns.

No order is sent, and no order id is taken, while it is not known what is being traded. The library's own calls are
checked and the client's calls below them, so that it holds whichever way an order is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ibkr.core.errors import NotReady
from ibkr.core.orders import SentOrder, SentOrders
from ibkr.core.status import Status
from ibkr.session.library import Arguments, Library
from ibkr.session.orders.convert import sent_order
from ibkr.session.orders.errors import OrderErrors
from ibkr.session.sender import Sender, Sending

if TYPE_CHECKING:
    from ib_async import Contract, Order


class Owner(Protocol):
    """The connector, as far as orders need it."""

    @property
    def latest(self) -> Status:
        """The status."""

    def orders_sent(self) -> None:
        """Orders or cancels were sent, or wait for their turn. In a plain script, returns when they have left."""


class OrderSender:
    """Raises ``NotReady`` instead of sending: a new or changed order needs ``may_trade``, all else a session.

    Cancels are never refused while there is one: less risk needs no permission. As a context manager, around a call
    that sends orders or cancels: only the outermost call waits until they have left, where the loop cannot see to that
    by itself, because the library must know of an order before its first message is read.
    """

    def __init__(
        self,
        library: Library,
        sender: Sender,
        sent: SentOrders,
        errors: OrderErrors,
        owner: Owner,
        on_unconfirmed: Callable[[tuple[SentOrder, ...]], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._sender, self._sent, self._errors, self._owner = sender, sent, errors, owner
        self._on_unconfirmed = on_unconfirmed
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._depth -= 1
        if not self._depth and kind is None:
            self._owner.orders_sent()

    def place(self, order_id: int, contract: Contract, order: Order) -> None:
        """Send a new or a changed order."""
        self.check(order)
        arguments = {"orderId": order_id, "contract": contract, "order": order}
        if order.whatIf:
            self._client.call_library("placeOrder", arguments)
        else:
            self._place(order_id, contract, order, arguments)
        self._client.updateReqId(order_id + 1)  # the caller may have chosen it himself

    def cancel(self, order_id: int, arguments: Arguments) -> None:
        """Send a cancel."""
        self.check_session("cancel")
        self._errors.sent_again(order_id)
        with self._sender.telling(Sending(what=f"cancel of order {order_id}")):
            self._client.call_library("cancelOrder", arguments)

    def cancel_all(self, arguments: Arguments) -> None:
        """Send a global cancel."""
        self.check_session("global cancel")
        with self._sender.telling(Sending(what="global cancel")):
            self._client.call_library("reqGlobalCancel", arguments)

    def exercise(self, arguments: Arguments) -> None:
        """Send the exercise of an option."""
        self.check(None)
        with self._sender.telling(Sending(why_not=self._why_no_trade, what="exercise of an option")):
            self._client.call_library("exerciseOptions", arguments)

    def check(self, order: Order | None) -> None:
        """Raises ``NotReady`` if an order like this may not be sent now; None: any new order."""
        if order is not None and order.whatIf:
            self.check_session("what-if order")
            return
        reason = self._why_no_trade()
        if reason:
            raise NotReady(
                f"the order was not sent, nor will it be later, and no order id was taken: {reason}."
                " Place it again once connector.status.may_trade is true",
                self._owner.latest,
            )

    def check_session(self, what: str) -> None:
        """Raises ``NotReady`` if there is no session."""
        if not self._client.isReady() or not self._sender.has_transport:
            status = self._owner.latest
            raise NotReady(f"the {what} was not sent: there is no session: {status.reason}", status)

    def check_socket(self) -> None:
        """Raises ``NotReady`` if nothing can be sent.

        Subscriptions are recorded before they come here, and wait for their session; other requests cannot.
        """
        if not self._client.isConnected():
            status = self._owner.latest
            raise NotReady(f"Not connected, the request was not sent, nor will it be later: {status.reason}", status)

    def _why_no_trade(self) -> str:
        reason = self._owner.latest.may_trade_reason
        return reason or ("" if self._sender.has_transport else "the connection has ended")

    def _place(self, order_id: int, contract: Contract, order: Order, arguments: Arguments) -> None:
        is_new = (self._client.clientId, order_id) not in self._wrapper.trades
        sent = sent_order(order_id, contract, order)
        if is_new:
            self._sent.sent(sent)
        else:
            self._sent.changed(sent)
            self._errors.sent_again(order_id)
        sending = Sending(
            partial(self._left, order_id),
            why_not=self._why_no_trade,
            on_dropped=partial(self._dropped, sent, is_new=is_new),
            what=f"order {sent.order_id} ({sent.action} {sent.quantity:g} {sent.symbol} {sent.order_type})",
        )
        try:
            with self._sender.telling(sending):
                self._client.call_library("placeOrder", arguments)
        except Exception:  # the caller gets it, and nothing has been sent
            if is_new:
                self._sent.acknowledged(order_id)
            raise

    def _left(self, order_id: int) -> None:
        if self._sent.left(order_id):
            self._on_unconfirmed(self._sent.unconfirmed)

    def _dropped(self, sent: SentOrder, *, is_new: bool) -> None:
        """An order, or a change to one, will never be sent."""
        if is_new:
            self._sent.dropped(sent.order_id)
        else:
            self._sent.change_dropped(sent)
        self._on_unconfirmed(self._sent.unconfirmed)
