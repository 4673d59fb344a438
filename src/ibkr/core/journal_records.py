"""Records that are written to the journal, and ``LastKnownState``, which is read from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.gap_report import BrokerSnapshot, GapReport
from ibkr.core.order_records import Execution, LostOrder, Order, Position, SentOrder

PROGRAM_ENDED = "the program had ended; its journal has the last known state"
"""The cause of the gap between the end of a program and its next start."""


class IntentKind(StrEnum):
    """What a program intends to send."""

    ORDER = "order"
    CHANGE = "change"
    CANCEL = "cancel"
    CANCEL_ALL = "global cancel"
    EXERCISE = "exercise"


class IntentState(StrEnum):
    """What is known about the result of an intent."""

    WAITING = "waiting"
    """The message waits to be sent."""
    SENT = "sent"
    """The message may have been sent. This state is written before its bytes are sent."""
    NOT_SENT = "not sent"
    """The message was dropped, and will never be sent."""
    ACKNOWLEDGED = "acknowledged"
    """The gateway has reported or refused the order, change or cancel."""
    UNCONFIRMED = "unconfirmed"
    """The gateway had the order, and no longer reports it. This is not what ``status.unconfirmed`` means."""
    CLEARED = "cleared"
    """The program has checked the result itself."""


class Intent(FrozenRecord):
    """An order, change or cancel, written before its bytes are sent. ``number`` counts them in one journal, from 1.

    ``perm_id`` is 0 until the gateway reports it. Prices are ``None`` if the order has none.
    """

    number: int
    at: datetime
    kind: IntentKind
    order: SentOrder
    limit_price: float | None = None
    stop_price: float | None = None
    knew_ended: bool = False
    state: IntentState = IntentState.SENT
    perm_id: int = 0


class IntentOutcome(FrozenRecord):
    """The result of the intent with this number."""

    number: int
    state: IntentState
    perm_id: int = 0


class SessionLogin(FrozenRecord):
    """A session has begun, with these accounts."""

    accounts: tuple[str, ...]


class JournalUpdate(FrozenRecord):
    """New data from the gateway. ``until``: when the program last received something.

    ``is_whole``: ``orders`` has all live orders, and ``ended`` has all ended orders. ``positions``: all positions, or
    ``None`` if they are unchanged. ``report``: the report of the gap that this update ends.
    """

    until: datetime
    orders: tuple[Order, ...] = ()
    executions: tuple[Execution, ...] = ()
    positions: tuple[Position, ...] | None = None
    is_whole: bool = False
    ended: frozenset[int] = frozenset()
    knows_others: bool = False
    report: GapReport | None = None


class LastKnownState(FrozenRecord):
    """What the last program with this journal knew when it ended.

    ``until``: when the program last received something; ``None``: never. ``lost``: its unconfirmed orders, by the
    numbers of their intents. ``accounts`` is empty before the first session.
    """

    picture: BrokerSnapshot
    until: datetime | None = None
    knows_others: bool = False
    accounts: tuple[str, ...] = ()
    lost: Mapping[int, LostOrder] = field(default_factory=dict)
    highest_id: int = 0
    last_number: int = 0

    @property
    def told(self) -> Iterator[int | str]:
        """Every permanent id and execution id that the last program knew."""
        yield from self.picture.orders
        yield from self.picture.ended
        yield from self.picture.executions
