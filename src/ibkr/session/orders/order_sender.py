"""Sends orders: checks whether an order may be sent, records it, and returns when it is sent.

While the program's orders and executions are unknown, no order is sent and no order id is used. Both the library's
calls and the client's calls below them are checked, so this is true for every way to send an order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING

from ibkr.core.errors import JournalError, NotReady
from ibkr.core.journal_records import IntentKind
from ibkr.core.order_records import SentOrder
from ibkr.core.policy import Policy
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.connector_interface import ConnectorInterface
from ibkr.session.library import Arguments, Library
from ibkr.session.orders.ack_timer import AckTimer
from ibkr.session.orders.convert import exercise_of, sent_order
from ibkr.session.orders.intents import IntentLog
from ibkr.session.orders.order_error_handler import OrderErrorHandler
from ibkr.session.orders.order_halt import HaltSwitch
from ibkr.session.orders.order_terms import TermsChange
from ibkr.session.orders.trades import TradeTracker
from ibkr.session.sender import Sender, SendOptions

if TYPE_CHECKING:
    from ib_async import Contract, Order


class OrderSender:
    """Raises ``NotReady`` instead of sending, if ``may_trade`` is false. Cancels only need a session.

    Cancels are never refused during a session, because they reduce risk. Use this object as a context manager around
    a call that sends orders or cancels. In a plain script, only the outermost call waits until they are sent: the
    library must know an order before the first message about that order is read.
    """

    def __init__(
        self,
        library: Library,
        sender: Sender,
        sent: UnacknowledgedOrders,
        errors: OrderErrorHandler,
        trades: TradeTracker,
        intents: IntentLog,
        halt: HaltSwitch,
        connector: ConnectorInterface,
        policy: Policy,
        on_unconfirmed: Callable[[tuple[SentOrder, ...]], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._sender, self._sent, self._errors, self._trades = sender, sent, errors, trades
        self._connector = connector
        self._intents, self._halt = intents, halt
        self._on_unconfirmed = on_unconfirmed
        self._ack_timer = AckTimer(sent, policy, connector.post, lambda: on_unconfirmed(sent.unconfirmed))
        self._depth = 0
        self._checked: Order | None = None
        """The order that is being sent, from its check until the client has it. Nothing else runs in between."""
        self._refused: set[int] = set()
        """Ids of new orders that were refused and not placed since: their child orders must not be sent."""

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._depth -= 1
        self._checked = None  # forget the order even if it was not sent; it is checked again next time
        if not self._depth and kind is None:
            self._connector.orders_sent()

    def begin(self) -> None:
        """Begin a session in the running loop."""
        self._ack_timer.begin()

    def end(self) -> None:
        """End the session."""
        self._ack_timer.end()

    def place(self, order_id: int, contract: Contract, order: Order) -> None:
        """Send a new or a changed order."""
        if order is not self._checked:
            self.check(order, order_id)
        arguments = {"orderId": order_id, "contract": contract, "order": order}
        if order.whatIf:
            self._client.call_library("placeOrder", arguments)
        else:
            self._place(order_id, contract, order, arguments)
        self._client.updateReqId(order_id + 1)  # the caller may have chosen the id

    def cancel(self, order_id: int, arguments: Arguments) -> None:
        """Send a cancel."""
        self.check_session("cancel")
        self._errors.change_sent(order_id)
        self._intents.record_cancel(IntentKind.CANCEL, order_id)
        with self._sender.sending_as(SendOptions(label=lambda: f"cancel of order {order_id}")):
            self._client.call_library("cancelOrder", arguments)

    def cancel_all(self, arguments: Arguments) -> None:
        """Send a global cancel."""
        self.check_session("global cancel")
        self._intents.record_cancel(IntentKind.CANCEL_ALL)
        with self._sender.sending_as(SendOptions(label=lambda: "global cancel")):
            self._client.call_library("reqGlobalCancel", arguments)

    def exercise(self, arguments: Arguments) -> None:
        """Send the exercise of an option."""
        self.check(None)
        sent = exercise_of(**arguments)
        number = self._record(IntentKind.EXERCISE, sent)
        self._sent.sent(sent)
        self._send("exerciseOptions", arguments, sent, number)
        self._client.updateReqId(sent.order_id + 1)  # the caller may have chosen the id

    def check(self, order: Order | None, order_id: int = 0) -> None:
        """Raise ``NotReady`` if this order may not be sent now. ``None`` means any new order.

        Raises ``ValueError`` if the order can never be sent, because it has ended.
        """
        if order is not None:
            self._check_not_ended(order_id or order.orderId)
        if order is not None and order.whatIf:
            self.check_session("what-if order")
            return
        reason = self._trade_refusal()
        if not reason and order is not None and order.parentId and self._was_refused(order.parentId):
            reason = f"its parent, order {order.parentId}, was never sent"
        if reason:
            if order is not None and self._is_new(order_id or order.orderId):
                self._refused.add(order_id or order.orderId)
            raise NotReady(
                f"the order was not sent, will not be sent later, and used no order id: {reason}."
                " Place it again once connector.status.may_trade is true",
                self._connector.latest,
            )
        self._checked = order if self._depth else None

    def _check_not_ended(self, order_id: int) -> None:
        """Raise ``ValueError`` if the order has ended. The library would notice this only after sending it."""
        trade = self._wrapper.trades.get(self._wrapper.own_order_key(order_id))
        if trade is not None and trade.isDone():
            raise ValueError(
                f"order {order_id} was not sent, because it has ended: {trade.orderStatus.status}."
                " Place a new Order object without an orderId"
            )

    def check_session(self, label: str) -> None:
        """Raise ``NotReady`` if there is no session."""
        if not self._client.isReady() or not self._sender.has_transport:
            status = self._connector.latest
            raise NotReady(f"the {label} was not sent: there is no session: {status.reason}", status)

    def check_socket(self) -> None:
        """Raise ``NotReady`` if nothing can be sent.

        Subscriptions were recorded before, and wait for the session. Other requests cannot wait.
        """
        if not self._client.isConnected():
            status = self._connector.latest
            raise NotReady(
                f"Not connected: the request was not sent, and will not be sent later: {status.reason}", status
            )

    def _trade_refusal(self) -> str:
        halt = self._halt.reason
        reason = self._connector.latest.may_trade_reason or (f"halted: {halt}" if halt else "")
        return reason or ("" if self._sender.has_transport else "the connection has ended")

    def _is_new(self, order_id: int) -> bool:
        """Whether the gateway cannot have an order with this id. An order that was dropped is new again.

        If an order was sent with the client's own call, the library has no trade of it until the gateway reports it.
        """
        is_known = self._wrapper.own_order_key(order_id) in self._wrapper.trades or self._sent.is_pending(order_id)
        return not is_known or self._sent.never_left(order_id)

    def _was_refused(self, order_id: int) -> bool:
        return self._sent.never_left(order_id) or (order_id in self._refused and self._is_new(order_id))

    def _place(self, order_id: int, contract: Contract, order: Order, arguments: Arguments) -> None:
        is_new, was_unconfirmed = self._is_new(order_id), False
        key = self._wrapper.own_order_key(order_id)
        if isinstance(key, int):
            order.permId = key  # the library finds the trade by this id, which another order object does not have
        elif is_new:
            order.permId = 0  # in a copy of an order: the permanent id of that order
        sent = sent_order(order_id, contract, order)
        number = self._record(IntentKind.ORDER if is_new else IntentKind.CHANGE, sent, order)
        change = self._trades.terms.placed(key, order, is_new=is_new)
        if is_new:
            self._refused.discard(order_id)
            was_unconfirmed = self._sent.sent(sent, parent_id=order.parentId, transmits=order.transmit)
        else:
            self._sent.changed(sent, transmits=order.transmit)
            self._errors.change_sent(order_id)
        try:
            self._send("placeOrder", arguments, sent, number, order, None if is_new else change)
        finally:
            if was_unconfirmed:
                self._on_unconfirmed(self._sent.unconfirmed)

    def _send(
        self,
        method: str,
        arguments: Arguments,
        sent: SentOrder,
        number: int,
        order: Order | None = None,
        change: TermsChange | None = None,
    ) -> None:
        """Send an order or the exercise of an option. A ``change`` that is never sent is reverted."""
        sending = SendOptions(
            partial(self._message_sent, sent.order_id, number, change, is_exercise=order is None),
            refusal=partial(self._send_refusal, sent.order_id, number, order, is_change=change is not None),
            on_dropped=partial(self._message_dropped, sent, number, change),
            label=lambda: f"order {sent.order_id} ({sent.words})",
            group=None if order is None or change is not None else _group_of(sent.order_id, order),
        )
        try:
            with self._sender.sending_as(sending):
                self._client.call_library(method, arguments)
        except Exception:  # the caller gets the error, and nothing was sent
            if change is None:
                self._sent.acknowledged(sent.order_id)
                self._refused.add(sent.order_id)
            else:
                change.revert()
            self._intents.mark_refused(number)
            raise
        self._intents.mark_waiting(number)

    def _record(self, kind: IntentKind, sent: SentOrder, terms: Order | None = None) -> int:
        """Commit the intent. Raises ``NotReady`` if the commit fails and orders require it.

        Also raises ``NotReady`` if the order may no longer be sent after the commit.
        """
        try:
            return self._intents.record(kind, sent, terms, self._check_after_commit)
        except (JournalError, NotReady) as error:
            if kind is IntentKind.ORDER:
                self._refused.add(sent.order_id)
            if isinstance(error, NotReady):
                raise
            raise NotReady(
                f"the order was not sent, and will not be sent later: {error}", self._connector.latest
            ) from error

    def _check_after_commit(self) -> None:
        if reason := self._trade_refusal():
            raise NotReady(
                f"the order was not sent, and will not be sent later: {reason}."
                " Place it again once connector.status.may_trade is true",
                self._connector.latest,
            )

    def _send_refusal(self, order_id: int, number: int, order: Order | None, *, is_change: bool) -> str:
        if is_change and self._sent.never_left(order_id):
            return "the order itself was never sent"
        if order is not None and order is self._checked:
            return ""
        # The commit may wait, and a halt may begin meanwhile.
        return self._trade_refusal() or self._intents.commit_before_send(number) or self._trade_refusal()

    def _message_sent(self, order_id: int, number: int, change: TermsChange | None, *, is_exercise: bool) -> None:
        self._intents.mark_sent(number)
        if change is not None:
            change.sent()
        if not is_exercise:
            for each in self._sent.on_the_way_with(order_id):
                self._ack_timer.expect(each)
        if self._sent.left(order_id):
            self._on_unconfirmed(self._sent.unconfirmed)

    def _message_dropped(self, sent: SentOrder, number: int, change: TermsChange | None) -> None:
        """Handle an order or change that will never be sent. The broker keeps the terms from before a change."""
        self._intents.mark_dropped(number, sent, is_change=change is not None)
        if change is None:
            self._sent.dropped(sent.order_id)
        else:
            change.revert()
            self._sent.change_dropped(sent)
        self._on_unconfirmed(self._sent.unconfirmed)


def _group_of(order_id: int, order: Order) -> Hashable:
    """The group with which a new order is sent if it has to wait: its bracket or chain, or its OCA group.

    A change is in no group: it must not overtake an earlier change of the same order.
    """
    if order.parentId or not order.transmit:
        return order.parentId or order_id
    return order.ocaGroup or None
