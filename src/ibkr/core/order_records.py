"""Orders, executions and positions as frozen records."""

from __future__ import annotations

from datetime import datetime

from ibkr.core.frozen_record import FrozenRecord

ROUNDING = 1e-6
"""Quantities that differ by less than this are equal."""
_SIDES = ("BUY", "SELL")


class Order(FrozenRecord):
    """An order at the broker, identified by its ``perm_id``.

    ``order_id`` and ``client_id`` are 0 if the broker does not report them, as for orders that have ended. Prices are
    ``None`` if the order has none. ``ended_at``: when it ended, if known. ``symbol`` and ``underlying`` have the same
    meaning as in ``SentOrder``.
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
    underlying: str = ""

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.action == "BUY"

    def differs(self, other: Order) -> bool:
        """Whether the state or the terms of the order are different."""
        mine, others = (
            (each.status, each.filled, each.quantity, each.limit_price, each.stop_price) for each in (self, other)
        )
        return mine != others


class Execution(FrozenRecord):
    """A fill. A correction has the same ``exec_id`` except for a greater number at its end.

    ``is_combo``: of a combination (BAG), whose legs have their own executions. ``symbol`` and ``underlying`` have the
    same meaning as in ``SentOrder``.
    """

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
    is_combo: bool = False
    underlying: str = ""

    @property
    def is_buy(self) -> bool:
        """Whether it is a purchase."""
        return self.side == "BOT"

    @property
    def signed(self) -> float:
        """The change of the position in shares: negative for a sale, 0 for a combination."""
        if self.is_combo:
            return 0.0
        return self.shares if self.is_buy else -self.shares


class Position(FrozenRecord):
    """What an account holds of one contract."""

    account: str
    con_id: int
    symbol: str
    quantity: float
    average_cost: float


class SentOrder(FrozenRecord):
    """An order as it was sent.

    ``has_left``: it was written to the socket; otherwise it was never sent. ``is_change``: new terms for an order that
    the broker has. ``action`` is BUY, SELL, EXERCISE or LAPSE. ``leg_ids``: contract ids of a combination's
    legs. ``symbol``: the contract's local symbol if it is given, otherwise ``underlying``. ``underlying``: the
    contract's own ``symbol``, which a future or option shares with its underlying. It is empty if it is not given, and
    in the records of older journals.
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
    leg_ids: tuple[int, ...] = ()
    underlying: str = ""

    def __str__(self) -> str:
        never = "" if self.has_left else ", which was never sent"
        return f"{self.order_id} ({self.words}{never})"

    @property
    def words(self) -> str:
        """The order in words."""
        change = "a change to " if self.is_change else ""
        return change + f"{self.action} {self.quantity:g} {self.symbol} {self.order_type}".rstrip()

    def matches_reference(self, order: Order) -> bool:
        """Whether this order and the broker's have the same reference, contract and side.

        The size may differ: the broker reduces the child of a partly filled parent, and orders in OCA groups.
        """
        is_same = bool(self.order_ref) and self.order_ref == order.order_ref
        return is_same and self.matches_contract(order)

    def matches(self, order: Order) -> bool:
        """Whether the broker's order has the contract, side and quantity that were sent.

        If the quantity is 0, the broker decides it, for example for an order with a cash quantity.
        """
        is_same_size = not self.quantity or abs(self.quantity - order.quantity) < ROUNDING
        return is_same_size and self.matches_contract(order)

    def matches_contract(self, row: Order | Execution, *, compares_symbols: bool = True) -> bool:
        """Whether contract and side are the same.

        If a contract id is unknown, the symbols are compared, unless the caller has better evidence.
        """
        if self.con_id and row.con_id:
            is_same_contract = self.con_id == row.con_id
        else:
            is_same_contract = not compares_symbols or self._may_have_symbols_of(row)
        return is_same_contract and (self.action not in _SIDES or row.is_buy is (self.action == "BUY"))

    def _may_have_symbols_of(self, row: Order | Execution) -> bool:
        """Whether the symbols do not contradict that the contract is the same.

        A program need not give both symbols. A local symbol may begin with other letters than the symbol: the future
        EUR is 6EZ7. The local symbol of a combination is a number.
        """
        own, reported = _symbols(self), _symbols(row)
        if row.symbol.isdigit() or not own or not reported:
            return True
        return own == reported if len(own) == len(reported) == 2 else bool(own & reported)


def _symbols(record: Order | Execution | SentOrder) -> set[str]:
    """The different symbols of a contract. IB ignores case, and local symbols have spaces to align their parts."""
    return {"".join(text.split()).upper() for text in (record.symbol, record.underlying) if text}


class LostOrder(FrozenRecord):
    """An unconfirmed order of a program that has ended: its ``terms`` as first sent, and as changed since.

    ``perm_id`` and ``knew_ended`` have the same meaning as in ``UnacknowledgedOrders``.
    """

    terms: tuple[SentOrder, ...]
    perm_id: int = 0
    knew_ended: bool = False
