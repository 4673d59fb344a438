"""Orders, executions and positions as plain values: what a gap is told in, and which orders nobody has acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from ibkr.core.value import Value


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
    """An order as it was sent. ``has_left``: it was written to the socket; otherwise it never left this program."""

    order_id: int
    account: str
    con_id: int
    symbol: str
    action: str
    quantity: float
    order_type: str
    order_ref: str
    has_left: bool = False

    def __str__(self) -> str:
        never = "" if self.has_left else ", which never left this program"
        return f"{self.order_id} ({self.action} {self.quantity:g} {self.symbol} {self.order_type}{never})"

    def may_be(self, order: Order) -> bool:
        """Whether an order whose id is not told is this one, by the reference that the program gave it."""
        mine = (self.order_ref, self.action, self.con_id or order.con_id)
        return bool(self.order_ref) and mine == (order.order_ref, order.action, order.con_id)


class SentOrders:
    """Which orders no gateway has acknowledged: in this session, and those whose session has ended since."""

    def __init__(self) -> None:
        self._pending: dict[int, SentOrder] = {}
        self._unconfirmed: dict[int, SentOrder] = {}

    @property
    def unconfirmed(self) -> tuple[SentOrder, ...]:
        """Those of which nobody knows whether they are at the broker, oldest first."""
        return tuple(self._unconfirmed.values())

    def sent(self, order: SentOrder) -> None:
        """A new order goes to the gateway."""
        self._pending[order.order_id] = order

    def left(self, order_id: int) -> bool:
        """It was written to the socket; True if it is unconfirmed, and sent anew by the caller."""
        for orders in (self._pending, self._unconfirmed):
            if order_id in orders:
                orders[order_id] = replace(orders[order_id], has_left=True)
        return order_id in self._unconfirmed

    def is_pending(self, order_id: int) -> bool:
        """Whether it was sent, in this session or an earlier one, and nothing was heard of it."""
        return order_id in self._pending or order_id in self._unconfirmed

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
        return any([self._unconfirmed.pop(order_id, None) is not None for order_id in order_ids])
