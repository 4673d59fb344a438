"""``UnacknowledgedOrders``: orders that no gateway has acknowledged, and what proves that the broker has an order."""

from __future__ import annotations

from collections.abc import Iterable

from ibkr.core.frozen_record import replace
from ibkr.core.order_records import ROUNDING, Execution, LostOrder, Order, SentOrder


class _Sent:
    """One order without acknowledgement.

    All sent orders are counted; ``number`` is the order's number. Rows that were reported before the order was sent
    prove nothing. ``terms``: the first terms and all later ones; the broker may have any of them. ``perm_id``: 0 until
    the gateway has reported it. ``knew_ended``: the completed orders were known when the order was sent. ``chain``: the
    id of the parent order, whose orders are all transmitted together; 0 if the order is alone. ``is_held``: the order
    waits in the gateway to be transmitted.
    """

    def __init__(
        self,
        order: SentOrder,
        number: int,
        *,
        perm_id: int = 0,
        knew_ended: bool = False,
        chain: int = 0,
        is_held: bool = False,
    ) -> None:
        self.order, self.number, self.perm_id, self.knew_ended = order, number, perm_id, knew_ended
        self.chain, self.is_held = chain, is_held
        self.terms = [order]


class UnacknowledgedOrders:
    """Orders without acknowledgement: of this session, and of sessions that have ended.

    Orders of this session become unconfirmed when upstream is lost, because the gateway may not have forwarded
    them. They also become unconfirmed when their acknowledgement is overdue.

    A row from the gateway proves that the broker has an order if the row matches the order and was first reported after
    the order was sent. So ``record_row`` stores when each permanent id and execution id first arrived. If the order of
    a row is not unacknowledged, the ``fits`` methods return True.
    """

    def __init__(self) -> None:
        self._pending: dict[int, _Sent] = {}
        self._unconfirmed: dict[int, _Sent] = {}
        self._overdue: set[int] = set()
        self._lost_changes: dict[int, SentOrder] = {}
        self._sendings = 0
        self._first_rows: dict[int | str, int] = {}
        self.knows_ended = False
        """The gateway has reported its completed orders."""

    @property
    def unconfirmed(self) -> tuple[SentOrder, ...]:
        """Orders that may or may not be at the broker, oldest first; then changes that were never sent."""
        overdue = (sent.order for order_id, sent in self._pending.items() if order_id in self._overdue)
        return (*(sent.order for sent in self._unconfirmed.values()), *overdue, *self._lost_changes.values())

    @property
    def pending(self) -> tuple[SentOrder, ...]:
        """Orders of this session that wait to be sent or acknowledged, and are not unconfirmed."""
        return tuple(sent.order for order_id, sent in self._pending.items() if order_id not in self._overdue)

    def load_lost_orders(self, lost: Iterable[LostOrder], known_rows: Iterable[int | str]) -> None:
        """Add the orders of a program that has ended, and the ids of the rows that this program knew."""
        self._first_rows = dict.fromkeys(known_rows, 0) | self._first_rows
        self._sendings += 1
        for each in lost:
            order = each.terms[-1]
            if order.is_change:
                self._lost_changes[order.order_id] = order
                continue
            sent = _Sent(order, self._sendings, perm_id=each.perm_id, knew_ended=each.knew_ended)
            sent.terms = list(each.terms)
            self._unconfirmed[order.order_id] = sent

    def sent(self, order: SentOrder, *, parent_id: int = 0, transmits: bool = True) -> bool:
        """Add an order that goes to the gateway. Returns whether ``unconfirmed`` changes: a dropped entry is removed.

        Without ``transmits``, the gateway keeps the order until another order of its chain transmits the chain. Before
        that, the order cannot be at the broker, and is not unconfirmed.
        """
        self._sendings += 1
        was_dropped = self.never_left(order.order_id)
        was_unconfirmed = self._lost_changes.pop(order.order_id, None) is not None or was_dropped
        if was_dropped:
            del self._unconfirmed[order.order_id]
        chain = parent_id or (0 if transmits else order.order_id)
        self._pending[order.order_id] = _Sent(
            order, self._sendings, knew_ended=self.knows_ended, chain=chain, is_held=not transmits
        )
        if transmits and parent_id:
            self._transmit(parent_id)
        return was_unconfirmed

    def _transmit(self, chain: int) -> None:
        for sent in self._pending.values():
            if sent.chain == chain:
                sent.is_held = False

    def on_the_way_with(self, order_id: int) -> tuple[int, ...]:
        """The orders whose acknowledgement is expected after this order was sent: all orders of its chain."""
        sent = self._pending.get(order_id)
        if sent is None or sent.is_held:
            return ()
        return tuple(
            each for each, other in self._pending.items() if each == order_id or (other.chain == sent.chain != 0)
        )

    def never_left(self, order_id: int) -> bool:
        """Whether this order was dropped before it was written to the socket."""
        sent = self._unconfirmed.get(order_id)
        return sent is not None and not sent.order.has_left

    def changed(self, order: SentOrder, *, transmits: bool = True) -> None:
        """Store that new terms for an order go to the gateway."""
        sent = self._get(order.order_id)
        if sent is not None and transmits and sent.is_held:
            self._transmit(sent.chain)
        if sent is not None:
            sent.terms.append(order)
            sent.order = replace(order, has_left=sent.order.has_left)

    def left(self, order_id: int) -> bool:
        """Store that the order or a change to it was written to the socket. Returns whether ``unconfirmed`` changes."""
        sent = self._get(order_id)
        if sent is not None:
            sent.order = replace(sent.order, has_left=True)
        return self._lost_changes.pop(order_id, None) is not None or self.is_unconfirmed(order_id)

    def dropped(self, order_id: int) -> None:
        """Store that a new order will never be written."""
        sent = self._pending.pop(order_id, None)
        self._overdue.discard(order_id)
        if sent is not None:
            self._unconfirmed[order_id] = sent

    def change_dropped(self, order: SentOrder) -> None:
        """Store that a change will never be written: the broker has the order with other terms, or does not have it."""
        sent = self._get(order.order_id)
        if sent is not None and sent.order.has_left:
            sent.terms[1:] = [each for each in sent.terms[1:] if each is not order]
            sent.order = replace(sent.terms[-1], has_left=True)
        self._lost_changes[order.order_id] = replace(order, has_left=False, is_change=True)

    def mark_lost(self, order: SentOrder, perm_id: int) -> None:
        """Store that the gateway had this order, and now reports it neither as open nor as completed."""
        self._unconfirmed[order.order_id] = _Sent(order, self._sendings, perm_id=perm_id)

    def is_pending(self, order_id: int) -> bool:
        """Whether the order was sent, in this or an earlier session, and is not acknowledged."""
        return self._get(order_id) is not None

    def is_of_ended_session(self, order_id: int) -> bool:
        """Whether the order is unconfirmed, and was not sent in this session."""
        return order_id in self._unconfirmed

    def is_unconfirmed(self, order_id: int) -> bool:
        """Whether the order is unconfirmed."""
        return order_id in self._unconfirmed or order_id in self._overdue

    def record_row(self, row_id: int | str) -> bool:
        """Store that the gateway reports an order or execution with this id. Returns whether this id is new."""
        if not row_id or row_id in self._first_rows:
            return False
        self._first_rows[row_id] = self._sendings
        return True

    def fits_order(self, row: Order) -> bool:
        """Whether an open order with the id of an unacknowledged order is that order.

        If it was sent in this session, the size is not compared: TWS may round it, and nobody else can have our
        client id. If it was sent in an earlier session, the size or the order reference must also be the same.
        """
        sent = self._get(row.order_id)
        if sent is None or sent.perm_id == row.perm_id != 0:
            return True
        if row.order_id in self._pending:
            fits = any(self._has_contract_of(each, row) for each in sent.terms)
        else:
            fits = any(each.matches(row) or each.matches_reference(row) for each in sent.terms)
        return fits and self._is_newer(row.perm_id, sent)

    def fits_status(self, order_id: int, perm_id: int, total: float, *, is_over: bool) -> bool:
        """Whether a status belongs to an order of this session.

        Args:
            order_id: The order id in the status.
            perm_id: The permanent id in the status.
            total: Filled plus remaining quantity.
            is_over: The order has ended, so the remaining quantity may be missing.
        """
        if order_id in self._unconfirmed:
            return self._unconfirmed[order_id].perm_id == perm_id != 0
        sent = self._pending.get(order_id)
        if sent is None:
            return True
        sizes = [each.quantity for each in sent.terms]
        is_same_size = is_over or any(not size or abs(size - total) < ROUNDING for size in sizes)
        return is_same_size and self._is_newer(perm_id, sent)

    def fits_execution(self, row: Execution, so_far: float) -> bool:
        """Whether an execution with the id of an unacknowledged order belongs to that order.

        ``so_far``: the executed quantity of the order, including this execution.
        """
        sent = self._get(row.order_id)
        if sent is None:
            return True
        is_newer = (
            self._is_newer(row.perm_id, sent) and self._first_rows.get(row.exec_id, self._sendings) >= sent.number
        )
        return is_newer and any(
            row.con_id in each.leg_ids
            or (self._has_contract_of(each, row) and (not each.quantity or so_far <= each.quantity + ROUNDING))
            for each in sent.terms
        )

    def may_be_ended(self, order: SentOrder, row: Order) -> bool:
        """Whether a completed order, which has no order id, may be this unconfirmed order."""
        sent = self._get(order.order_id)
        if sent is None or not self.is_unconfirmed(order.order_id):
            return False
        if sent.perm_id:
            return sent.perm_id == row.perm_id
        is_newer = sent.knew_ended and self._is_newer(row.perm_id, sent)
        return is_newer and any(each.matches_reference(row) for each in sent.terms)

    def acknowledged(self, order_id: int) -> bool:
        """Forget an order that the gateway has acknowledged. Returns whether it was unconfirmed."""
        was_unconfirmed = self.is_unconfirmed(order_id)
        for each in (self._pending, self._unconfirmed):
            each.pop(order_id, None)
        self._overdue.discard(order_id)
        return was_unconfirmed

    def mark_pending_unconfirmed(self) -> bool:
        """Mark sent orders as unconfirmed: upstream is or was lost. Returns whether an order becomes unconfirmed."""
        return self.mark_overdue(list(self._pending))

    def mark_overdue(self, order_ids: Iterable[int]) -> bool:
        """Mark orders whose acknowledgements are overdue as unconfirmed. Returns whether an order becomes unconfirmed.

        Orders that wait to be sent are not affected.
        """
        before = len(self._overdue)
        for order_id in order_ids:
            sent = self._pending.get(order_id)
            if sent is not None and sent.order.has_left and not sent.is_held:
                self._overdue.add(order_id)
        return len(self._overdue) > before

    def session_ended(self) -> bool:
        """Mark pending orders as unconfirmed at the end of a session. Returns whether there are such orders."""
        over = {order_id: sent for order_id, sent in self._pending.items() if not sent.is_held}
        self._unconfirmed.update(over)
        self._pending = {order_id: sent for order_id, sent in self._pending.items() if sent.is_held}
        self._overdue.clear()
        return bool(over)

    def clear(self, order_ids: Iterable[int]) -> bool:
        """Forget orders that the caller has checked itself. Returns whether any of them was unconfirmed.

        If a newer order with the same id is pending, its acknowledgement is still expected.
        """
        had = set(order_ids) & (self._unconfirmed.keys() | self._lost_changes.keys() | self._overdue)
        for order_id in had:
            self._unconfirmed.pop(order_id, None)
            self._lost_changes.pop(order_id, None)
            if order_id in self._overdue:
                self._overdue.remove(order_id)
                del self._pending[order_id]
        return bool(had)

    def _get(self, order_id: int) -> _Sent | None:
        return self._pending.get(order_id) or self._unconfirmed.get(order_id)

    def _has_contract_of(self, terms: SentOrder, row: Order | Execution) -> bool:
        """Whether a row with the id of this order may have its contract, and has its side.

        If this session has sent the order, symbols are not compared. Nobody else can have our client id, and the
        gateway may report another symbol than the program gave, for example if it gave a bond's CUSIP. An order that
        the gateway keeps may be from an earlier session.
        """
        sent = self._pending.get(row.order_id)
        return terms.matches_contract(row, compares_symbols=sent is None or sent.is_held)

    def _is_newer(self, perm_id: int, sent: _Sent) -> bool:
        """Whether this permanent id was first reported after the order was sent. True for 0, because 0 means no id."""
        if sent.perm_id and perm_id:
            return perm_id == sent.perm_id
        return self._first_rows.get(perm_id, self._sendings) >= sent.number
