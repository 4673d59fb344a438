"""Orders, executions and positions as plain values: what a gap is told in, and which orders nobody has acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from ibkr.core.value import Value

_ROUNDING = 1e-6


class Order(Value):
    """An order as the broker has it, known by its ``perm_id``.

    ``order_id`` and ``client_id`` are 0 where the broker does not say them: of orders that have ended it does not.
    Prices are None where the order has none. ``ended_at``: when it ended, where that was told.
    """

    perm_id: int
    client_id: int
    order_id: int
    account: str
    con_id: int
    symbol: str
    action: str
    quantity: float
    order_type: str
    limit_price: float | None
    stop_price: float | None
    order_ref: str
    status: str
    filled: float
    average_price: float
    is_live: bool
    ended_at: datetime | None = None

    def differs(self, other: Order) -> bool:
        """Whether its state or its terms are others."""
        mine, others = (
            (each.status, each.filled, each.quantity, each.limit_price, each.stop_price) for each in (self, other)
        )
        return mine != others


class Execution(Value):
    """A fill. ``exec_id`` ends with a number that is greater in a correction of it."""

    exec_id: str
    perm_id: int
    client_id: int
    order_id: int
    account: str
    con_id: int
    symbol: str
    side: str
    shares: float
    price: float
    time: datetime
    order_ref: str

    @property
    def signed(self) -> float:
        """Shares, negative where they were sold."""
        return self.shares if self.side == "BOT" else -self.shares


class Position(Value):
    """What an account holds of one contract."""

    account: str
    con_id: int
    symbol: str
    quantity: float
    average_cost: float


class SentOrder(Value):
    """An order as it was sent.

    ``has_left``: it was written to the socket; otherwise it never left this program. ``is_change``: these are new terms
    for an order that the broker has.
    """

    order_id: int
    account: str
    con_id: int
    symbol: str
    action: str
    quantity: float
    order_type: str
    order_ref: str
    has_left: bool = False
    is_change: bool = False

    def __str__(self) -> str:
        change = "a change to " if self.is_change else ""
        never = "" if self.has_left else ", which never left this program"
        return f"{self.order_id} ({change}{self.action} {self.quantity:g} {self.symbol} {self.order_type}{never})"

    def may_be(self, order: Order) -> bool:
        """Whether an order whose id is not told is this one, by the reference that the program gave it."""
        return bool(self.order_ref) and self.order_ref == order.order_ref and self.fits(order)

    def fits(self, order: Order) -> bool:
        """Whether contract, side and quantity of what the broker has are those that were sent.

        A quantity of 0 leaves it to the broker, as with a cash quantity.
        """
        is_same_size = not self.quantity or abs(self.quantity - order.quantity) < _ROUNDING
        return is_same_size and self.trades(order.con_id, order.symbol, is_buy=order.action == "BUY")

    def trades(self, con_id: int, symbol: str, *, is_buy: bool) -> bool:
        """Whether this is its contract and its side.

        Where one of the contract ids is not known, the symbols are compared: the local one of an option or a future
        begins with that of what is under it. That of a combination is a number.
        """
        if self.con_id and con_id:
            is_same_contract = self.con_id == con_id
        else:
            is_same_contract = symbol.isdigit() or symbol.startswith(self.symbol) or self.symbol.startswith(symbol)
        return is_same_contract and is_buy is (self.action == "BUY")


class _Sent:
    """What is known of one order that is not acknowledged.

    ``number`` counts sendings: rows that were told before it are no evidence. ``terms``: as first sent and as changed
    since; the broker may have any of them. ``perm_id``: where the gateway has told it already. ``knew_ended``: the
    completed orders had been told before it was sent.
    """

    def __init__(self, order: SentOrder, number: int, *, perm_id: int = 0, knew_ended: bool = False) -> None:
        self.order, self.number, self.perm_id, self.knew_ended = order, number, perm_id, knew_ended
        self.terms = [order]


class SentOrders:
    """Which orders no gateway has acknowledged: in this session, and those whose session has ended since.

    A row of the gateway's is evidence of such an order if it is newer than the sending and fits it. Every permanent id
    and execution id is therefore noted (``told``) when it is first heard of. Rows about orders that are not on the list
    always fit.
    """

    def __init__(self) -> None:
        self._pending: dict[int, _Sent] = {}
        self._unconfirmed: dict[int, _Sent] = {}
        self._lost_changes: dict[int, SentOrder] = {}
        self._sendings = 0
        self._told: dict[int | str, int] = {}
        self.knows_ended = False
        """The gateway has told its completed orders."""

    @property
    def unconfirmed(self) -> tuple[SentOrder, ...]:
        """Those of which nobody knows whether they are at the broker, oldest first; then changes that never left."""
        return (*(sent.order for sent in self._unconfirmed.values()), *self._lost_changes.values())

    def sent(self, order: SentOrder) -> None:
        """A new order goes to the gateway."""
        self._sendings += 1
        self._pending[order.order_id] = _Sent(order, self._sendings, knew_ended=self.knows_ended)

    def changed(self, order: SentOrder) -> None:
        """New terms for an order go to the gateway."""
        sent = self._get(order.order_id)
        if sent is not None:
            sent.terms.append(order)
            sent.order = replace(order, has_left=sent.order.has_left)

    def left(self, order_id: int) -> bool:
        """It, or a change to it, was written to the socket; True if that changes ``unconfirmed``."""
        sent = self._get(order_id)
        if sent is not None:
            sent.order = replace(sent.order, has_left=True)
        return self._lost_changes.pop(order_id, None) is not None or order_id in self._unconfirmed

    def dropped(self, order_id: int) -> None:
        """A new order will never be written."""
        sent = self._pending.pop(order_id, None)
        if sent is not None:
            self._unconfirmed[order_id] = sent

    def change_dropped(self, order: SentOrder) -> None:
        """A change will never be written; the broker has the order on other terms, or not at all."""
        self._lost_changes[order.order_id] = replace(order, has_left=False, is_change=True)

    def lost_sight(self, order: SentOrder, perm_id: int) -> None:
        """The gateway had this order, and tells of it no more: neither as open nor as completed."""
        self._unconfirmed[order.order_id] = _Sent(order, self._sendings, perm_id=perm_id)

    def is_pending(self, order_id: int) -> bool:
        """Whether it was sent, in this session or an earlier one, and nothing was heard of it."""
        return self._get(order_id) is not None

    def is_unconfirmed(self, order_id: int) -> bool:
        """Whether it was sent in an earlier session, or lost sight of, and nothing was heard of it since."""
        return order_id in self._unconfirmed

    def told(self, row_id: int | str) -> bool:
        """The gateway tells of an order or execution with this id; True if for the first time."""
        if not row_id or row_id in self._told:
            return False
        self._told[row_id] = self._sendings
        return True

    def fits_order(self, row: Order) -> bool:
        """Whether an open order with the id of one that is not acknowledged is that one.

        In the session in which it was sent nobody else can have our client id: its size may be another, as TWS may
        round it.
        """
        sent, is_buy = self._get(row.order_id), row.action == "BUY"
        if sent is None:
            return True
        if row.order_id in self._pending:
            fits = any(each.trades(row.con_id, row.symbol, is_buy=is_buy) for each in sent.terms)
        else:
            fits = any(each.fits(row) for each in sent.terms)
        return fits and self._is_newer(row.perm_id, sent)

    def fits_status(self, order_id: int, perm_id: int, total: float, *, is_over: bool) -> bool:
        """Whether a status is that of an order sent in this session. ``total``: what is filled and what remains.

        Of an order that ``is_over`` nothing may remain.
        """
        if order_id in self._unconfirmed:
            return self._unconfirmed[order_id].perm_id == perm_id != 0
        sent = self._pending.get(order_id)
        if sent is None:
            return True
        sizes = [each.quantity for each in sent.terms]
        is_same_size = is_over or any(not size or abs(size - total) < _ROUNDING for size in sizes)
        return is_same_size and self._is_newer(perm_id, sent)

    def fits_execution(self, row: Execution, so_far: float) -> bool:
        """Whether an execution with the id of an order that is not acknowledged is of that one. ``so_far``: all of the
        order that is executed.
        """
        sent = self._get(row.order_id)
        if sent is None:
            return True
        is_newer = self._is_newer(row.perm_id, sent) and self._told.get(row.exec_id, self._sendings) >= sent.number
        return is_newer and any(
            each.trades(row.con_id, row.symbol, is_buy=row.side == "BOT")
            and (not each.quantity or so_far <= each.quantity + _ROUNDING)
            for each in sent.terms
        )

    def may_be_ended(self, order: SentOrder, row: Order) -> bool:
        """Whether a completed order, which comes without its order id, may be this unconfirmed one."""
        sent = self._unconfirmed.get(order.order_id)
        if sent is None:
            return False
        if sent.perm_id:
            return sent.perm_id == row.perm_id
        is_newer = sent.knew_ended and self._is_newer(row.perm_id, sent)
        return is_newer and any(each.may_be(row) for each in sent.terms)

    def acknowledged(self, order_id: int) -> bool:
        """The gateway knows it; True if it was unconfirmed."""
        self._pending.pop(order_id, None)
        return self._unconfirmed.pop(order_id, None) is not None

    def session_ended(self) -> bool:
        """Nothing more will be heard in this session; True if an order is unconfirmed by it."""
        has_any = bool(self._pending)
        self._unconfirmed.update(self._pending)
        self._pending.clear()
        return has_any

    def clear(self, order_ids: Iterable[int]) -> bool:
        """The caller knows better; True if any of them was unconfirmed."""
        lists = (self._unconfirmed, self._lost_changes)
        return any([each.pop(order_id, None) is not None for order_id in order_ids for each in lists])

    def _get(self, order_id: int) -> _Sent | None:
        return self._pending.get(order_id) or self._unconfirmed.get(order_id)

    def _is_newer(self, perm_id: int, sent: _Sent) -> bool:
        """Whether an order at the broker was first told after this one was sent. 0, for none, is no older order."""
        if sent.perm_id and perm_id:
            return perm_id == sent.perm_id
        return self._told.get(perm_id, self._sendings) >= sent.number
