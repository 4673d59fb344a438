"""What user interfaces show in addition to the status: orders, the gateway's messages, and response times."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Any, Generic, TypeVar

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.order_records import Order, SentOrder
from ibkr.core.serialization import mask_json, to_jsonable

KEPT = 500
"""How many messages and response times are kept."""


class ActivityRecord(FrozenRecord):
    """A record that can be converted to JSON types."""

    def to_dict(self, accounts: tuple[str, ...] = (), *, show_accounts: bool = False) -> dict[str, Any]:
        """Return the record as JSON types. Account ids and ``accounts`` are masked unless ``show_accounts`` is true."""
        names: tuple[str, ...] = self.__match_args__
        data = {name: to_jsonable(getattr(self, name)) for name in names}
        return data if show_accounts else dict(mask_json(data, accounts))


class OrderStage(StrEnum):
    """Where an order is, as far as this program knows."""

    OPEN = "open"
    """The broker has the order."""
    WAITING = "waiting"
    """The order waits in this program to be sent."""
    SENT = "sent"
    """The order was sent, and no gateway has acknowledged it yet."""
    UNCONFIRMED = "unconfirmed"
    """The session ended, or the gateway lost upstream, before an acknowledgement: the order may be at the broker."""


class OrderView(ActivityRecord):
    """One order that has not ended. ``status`` is IB's; empty until the broker reports one.

    ``perm_id`` and ``client_id`` are 0 if unknown. Prices are ``None`` if the order has none.
    """

    stage: OrderStage
    order_id: int
    client_id: int
    perm_id: int
    account: str
    symbol: str
    action: str
    quantity: float
    order_type: str
    limit_price: float | None = None
    stop_price: float | None = None
    order_ref: str = ""
    status: str = ""
    filled: float = 0.0
    average_price: float = 0.0


class Message(ActivityRecord):
    """An error, warning or notice from the gateway. ``number`` counts the messages of a connector from 1.

    ``request_id``: the id of the request or order that the message is about, or -1.
    """

    number: int
    at: datetime
    code: int
    text: str
    request_id: int


class AnswerTime(ActivityRecord):
    """How long the gateway took to answer a request of the program: ``seconds`` from sending to answer."""

    number: int
    at: datetime
    name: str
    seconds: float


T = TypeVar("T", bound=FrozenRecord)


class RecentRecords(Generic[T]):
    """The last ``KEPT`` records of one kind. Records are made only when somebody reads them."""

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._numbers = count(1)
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=KEPT)
        self._made: tuple[T, ...] = ()
        self._made_of = 0

    def note(self, *values: Any) -> None:
        """Store the values of a record, except its number."""
        self._rows.append((next(self._numbers), *values))

    def rows(self) -> tuple[T, ...]:
        """All kept records, oldest first."""
        last = self._rows[-1][0] if self._rows else 0
        if last != self._made_of:
            self._made, self._made_of = tuple(self._make(*row) for row in self._rows), last
        return self._made


def order_views(
    own_client: int, orders: Iterable[Order], pending: Iterable[SentOrder], unconfirmed: Iterable[SentOrder]
) -> Iterator[OrderView]:
    """Return every order that has not ended, each once: unconfirmed ones first, then pending ones, then open ones.

    Args:
        own_client: The client id with which ``pending`` and ``unconfirmed`` orders were sent.
        orders: Orders that the broker and the client library report.
        pending: Orders that were sent or wait to be sent, and are not acknowledged.
        unconfirmed: The orders of ``status.unconfirmed``.
    """
    # All orders that were placed by hand have the order id 0, and two live orders may have one id. Their permanent ids
    # distinguish them.
    known: dict[tuple[int, int], Order] = {}
    for each in orders:
        key = (each.client_id, each.order_id or -each.perm_id)
        known[(each.client_id, -each.perm_id) if key in known else key] = each
    for sent in unconfirmed:
        yield _sent_view(sent, OrderStage.UNCONFIRMED, known.pop((own_client, sent.order_id), None), own_client)
    for sent in pending:
        stage = OrderStage.SENT if sent.has_left else OrderStage.WAITING
        yield _sent_view(sent, stage, known.pop((own_client, sent.order_id), None), own_client)
    for order in known.values():
        yield _view(order)


def _view(order: Order) -> OrderView:
    shared = OrderView.__match_args__[1:]
    return OrderView(OrderStage.OPEN, *(getattr(order, name) for name in shared))


def _sent_view(sent: SentOrder, stage: OrderStage, order: Order | None, own_client: int) -> OrderView:
    return OrderView(
        stage,
        sent.order_id,
        own_client,
        order.perm_id if order else 0,
        sent.account,
        sent.symbol,
        sent.action,
        sent.quantity,
        sent.order_type,
        order.limit_price if order else None,
        order.stop_price if order else None,
        sent.order_ref,
        order.status if order else "",
        order.filled if order else 0.0,
        order.average_price if order else 0.0,
    )
