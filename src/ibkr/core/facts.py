"""What can happen: commands of the caller, and news of the link. Past tense, frozen.

Facts of the link carry the number of the attempt that they are about; news of an older attempt changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from ibkr.core.failure import Failure
from ibkr.core.gateway import GatewayStatus
from ibkr.core.orders import SentOrder
from ibkr.core.state import Feed
from ibkr.core.value import Value


class Now(Value):
    """The moment of a step: monotonic seconds for durations, an aware wall time to show."""

    mono: float
    wall: datetime


class Timer(StrEnum):
    """The timers that the machine may have running, each at most once."""

    RETRY = "retry"
    ATTEMPT = "attempt"
    SOCKET_END = "socket end"
    END_WATCH = "end watch"
    """The next attempt waits for the old socket's end. When this timer fires, our own code has lost that end."""
    REQUEST = "request"
    UPSTREAM = "upstream"
    RESTORE = "restore"
    LIVENESS = "liveness"
    STREAMS = "streams"
    WATCH = "watch"
    ALERT = "alert"
    CALENDAR = "calendar"


Key: TypeAlias = int | str
"""A subscription's request id; its name, where it has none."""


class RefusedStream(Value):
    """A subscription that the gateway has refused; ``words`` name it and the cause.

    ``code``: IB's code for the cause; None where the request could not be made.
    """

    words: str
    code: int | None = None


class EndedStream(Value):
    """A subscription that the gateway has ended, by request id; ``words`` name it and the cause, ``code`` is IB's.

    ``feed``: what it comes over; None: no farm, straight from upstream.
    """

    req_id: Key
    feed: Feed | None
    words: str
    code: int | None = None


class WatchedStream(Value):
    """A subscription, by request id, that may be silent for ``patience`` seconds and no longer."""

    req_id: Key
    patience: float


class ConnectWanted(Value):
    """The caller wants a session. ``attempts`` is how many may fail before it is given up; None: never give up."""

    attempts: int | None


class DisconnectWanted(Value):
    """The caller wants no session. ``abort`` drops the socket at once; otherwise it may close in good order."""

    abort: bool


class ReconnectWanted(Value):
    """The caller wants the session dropped, if there is one, and the next attempt made at once."""


class RetryWanted(Value):
    """The caller wants the next attempt made at once, if one is waited for."""


class ProbeWanted(Value):
    """The caller wants to know whether the session lives, before it trusts it with an order."""


class ClockJumped(Value):
    """The wall clock went ahead of the monotonic one by ``seconds``: the machine slept, or its clock was set."""

    seconds: float


class TimerFired(Value):
    """A timer came due, ``late`` seconds after its time.

    ``last_byte`` is when the socket last brought one, ``has_socket`` whether there is one: the port has accepted.
    """

    timer: Timer
    late: float = 0.0
    last_byte: float = 0.0
    has_socket: bool = False


class AttemptFailed(Value):
    """No session came of the attempt; its socket, if it had one, is being ended."""

    attempt: int
    failure: Failure


class PeerSeen(Value):
    """What the port speaks, after an attempt that was silent; ``failure`` is None where that cannot be told."""

    attempt: int
    failure: Failure | None


class SessionOpened(Value):
    """Handshake and startApi are through: managed accounts and the next valid id are in.

    ``requests``: what start-up will ask for, by name. ``to_restore``: whether anything was asked for before this
    session; what is asked for from now on goes out by itself.
    """

    attempt: int
    server_version: int
    accounts: tuple[str, ...]
    requests: tuple[str, ...] = ()
    to_restore: bool = True


class TransportEnded(Value):
    """Nothing can be sent any more. Messages that came before may still be unread; ``SocketEnded`` follows them."""

    attempt: int
    detail: str


class SocketEnded(Value):
    """The socket is gone, for whatever reason; ``detail`` says it in words.

    ``unanswered``: our system has given it up because nothing came back, so the peer's system may still hold it.
    """

    attempt: int
    detail: str
    before_any_byte: bool = False
    unanswered: bool = False


class CodeReceived(Value):
    """The gateway sent a code of its own (code, text) that is about its session or its upstream."""

    attempt: int
    code: int
    text: str


class FarmsTold(Value):
    """The gateway sent codes (code, text) about data farms; one packet often brings several."""

    attempt: int
    notices: tuple[tuple[int, str], ...]


class StartupAsked(Value):
    """Start-up requests went out again, by name: there may be more of them than at first."""

    attempt: int
    names: tuple[str, ...]


class StartupAnswered(Value):
    """These start-up requests are answered in full; ``read_only`` when an answer was that the API is read-only."""

    attempt: int
    names: tuple[str, ...]
    read_only: bool = False


class RowsUnreadable(Value):
    """Rows of these answers could not be decoded: an answer that is awaited, or was given, is not complete."""

    attempt: int
    names: tuple[str, ...]


class SubscriptionsMoved(Value):
    """Where subscriptions stand: how many still wait for a first message, and which were refused.

    Of the ``pending`` so many are ``held_back`` by the limiter, not sent yet. ``ended`` are those that the gateway has
    ended, ``withheld`` those that it has silenced (10197).
    """

    attempt: int
    pending: int
    refused: tuple[RefusedStream, ...] = ()
    ended: tuple[EndedStream, ...] = ()
    withheld: tuple[str, ...] = ()
    held_back: int = 0


class StreamsWatched(Value):
    """These streams used to tick, and should again now that ``farm``, or all of upstream (``""``), is back."""

    attempt: int
    farm: str
    streams: tuple[WatchedStream, ...]


class OrdersUnconfirmed(Value):
    """Of these orders, sent in sessions that have ended, nobody knows whether they are at the broker."""

    orders: tuple[SentOrder, ...]


class GatewayTold(Value):
    """The state of the gateway's process has changed; ``None``: nobody watches it."""

    gateway: GatewayStatus | None


class Heard(Value):
    """A byte came after a probe was sent."""

    attempt: int


Fact: TypeAlias = (
    ConnectWanted
    | DisconnectWanted
    | ReconnectWanted
    | RetryWanted
    | ProbeWanted
    | ClockJumped
    | TimerFired
    | AttemptFailed
    | PeerSeen
    | SessionOpened
    | TransportEnded
    | SocketEnded
    | CodeReceived
    | FarmsTold
    | StartupAsked
    | StartupAnswered
    | RowsUnreadable
    | SubscriptionsMoved
    | StreamsWatched
    | OrdersUnconfirmed
    | GatewayTold
    | Heard
)
