"""Events: everything that can happen to the state machine. Commands of the caller, and messages about the connection.

Events are frozen, and named in the past tense. Most have the number of the attempt that they are about. The state
machine ignores events of an older attempt.

This file has over 300 lines because there are many kinds of events.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from ibkr.core.attempt_failure import Failure
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.gateway_status import GatewayStatus
from ibkr.core.lease import LeaseStatus
from ibkr.core.order_records import SentOrder
from ibkr.core.states import Feed


class Now(FrozenRecord):
    """The time of a step: monotonic seconds for durations, and an aware wall time for display."""

    mono: float
    wall: datetime


class Timer(StrEnum):
    """The timers of the state machine. Only one timer of each kind runs: a second start replaces the first."""

    RETRY = "retry"
    ATTEMPT = "attempt"
    SOCKET_END = "socket end"
    END_WATCH = "end watch"
    """The next attempt waits for the old socket to close. If this timer fires, our own code lost ``SocketClosed``."""
    REQUEST = "request"
    UPSTREAM = "upstream"
    RESTORE = "restore"
    LIVENESS = "liveness"
    STREAMS = "streams"
    RESYNC = "resync"
    WATCH = "watch"
    ALERT = "alert"
    CALENDAR = "calendar"
    LATE_LOOK = "late look"
    """Fires some time after upstream was restored: request executions that came late."""
    READ_ONLY = "read-only"
    """Ask whether the gateway's API is still read-only."""


Key: TypeAlias = int | str
"""A subscription's request id, or its name if it has no id."""


class LostStream(FrozenRecord):
    """A subscription that does not run: refused, ended, silent or withheld.

    ``words`` name the subscription and the cause. ``code`` is IB's code for the cause, or ``None``. ``feed`` is the
    kind of farm that delivers its data. ``None``: the data comes directly from upstream. ``tries`` counts the requests
    since the last data. IB's pacing forbids another request before ``earliest`` (monotonic seconds). ``ran``: it has
    run before. ``is_asked``: after a refusal, it was requested again and has not been refused again. ``refused_in``:
    how many seconds the last refusal took.
    """

    req_id: Key
    feed: Feed | None
    words: str
    code: int | None = None
    tries: int = 0
    earliest: float = 0.0
    ran: bool = True
    is_asked: bool = False
    refused_in: float = 0.0


class ActiveStream(FrozenRecord):
    """A subscription that was active, and may be silent for at most ``patience`` seconds."""

    req_id: Key
    patience: float


class ConnectRequested(FrozenRecord):
    """The caller wants a session. The state machine stops trying after ``attempts`` failures (``None``: never)."""

    attempts: int | None


class DisconnectRequested(FrozenRecord):
    """The caller wants no session. ``abort`` drops the socket immediately; otherwise it closes gracefully."""

    abort: bool


class ReconnectRequested(FrozenRecord):
    """The caller wants the next attempt immediately. If a session is up, it is dropped."""


class RetryRequested(FrozenRecord):
    """The caller wants the next attempt immediately, if the connector waits between two attempts."""


class ProbeRequested(FrozenRecord):
    """The caller wants to know whether the session is alive before it sends an order."""


class ClockJumped(FrozenRecord):
    """The wall clock jumped ahead of the monotonic clock by ``seconds``: the computer slept, or the clock was set."""

    seconds: float


class TimerFired(FrozenRecord):
    """A timer fired, ``late`` seconds after its due time.

    ``last_message``: when the last message was decoded. ``has_socket``: the port has accepted the connection.
    """

    timer: Timer
    late: float = 0.0
    last_message: float = 0.0
    has_socket: bool = False


class AttemptFailed(FrozenRecord):
    """The attempt failed without a session. If it had a socket, the socket is being closed."""

    attempt: int
    failure: Failure


class PeerIdentified(FrozenRecord):
    """What the port speaks, after a silent attempt. ``failure`` is ``None`` if we do not know what it speaks."""

    attempt: int
    failure: Failure | None


class SessionOpened(FrozenRecord):
    """Handshake and ``startApi`` are done: managed accounts and the next valid id have arrived.

    ``requests`` names the start-up requests. ``to_restore``: there are subscriptions from before this session; later
    subscriptions are requested directly. ``to_restore_later``: handlers of ``connectedEvent`` requested some of these
    subscriptions, and may request them again.
    """

    attempt: int
    server_version: int
    accounts: tuple[str, ...]
    requests: tuple[str, ...] = ()
    to_restore: bool = True
    to_restore_later: bool = False


class TransportClosed(FrozenRecord):
    """Messages can no longer be sent. Earlier messages may still be unread; ``SocketClosed`` comes after them."""

    attempt: int
    detail: str


class SocketClosed(FrozenRecord):
    """The socket is closed; ``detail`` gives the cause in words.

    ``unanswered``: our system gave up the connection because no answer came, so the peer may still have it open.
    """

    attempt: int
    detail: str
    before_any_byte: bool = False
    unanswered: bool = False


class CodeReceived(FrozenRecord):
    """The gateway sent a code about its session or upstream."""

    attempt: int
    code: int
    text: str


class FarmStatusReceived(FrozenRecord):
    """The gateway sent notices (code, text) about data farms. One packet often has several."""

    attempt: int
    notices: tuple[tuple[int, str], ...]


class StartupRequested(FrozenRecord):
    """These start-up requests were sent again. There may be more requests than before."""

    attempt: int
    names: tuple[str, ...]


class StartupAnswered(FrozenRecord):
    """These start-up requests are completely answered. ``read_only``: an answer showed that the API is read-only."""

    attempt: int
    names: tuple[str, ...]
    read_only: bool = False


class StartupRefused(FrozenRecord):
    """The gateway refused this start-up request, or ended its stream, with this text and code."""

    attempt: int
    name: str
    words: str
    code: int


class RowsNotDecoded(FrozenRecord):
    """Rows of these answers could not be decoded, so the answers are incomplete."""

    attempt: int
    names: tuple[str, ...]


class SubscriptionsChanged(FrozenRecord):
    """The state of the subscriptions: how many wait for a first message, and which do not run.

    Of the ``pending`` subscriptions, ``held_back`` wait in the rate limiter. The gateway has ``refused``, ``ended`` or
    ``withheld`` (10197) others. ``silent`` subscriptions delivered data before, and deliver none now.
    """

    attempt: int
    pending: int
    refused: tuple[LostStream, ...] = ()
    ended: tuple[LostStream, ...] = ()
    withheld: tuple[LostStream, ...] = ()
    held_back: int = 0
    silent: tuple[LostStream, ...] = ()


class ActiveStreamsFound(FrozenRecord):
    """These streams were active, and should be active again now that ``farm`` (``""``: upstream) is back."""

    attempt: int
    farm: str
    streams: tuple[ActiveStream, ...]


class UnconfirmedOrdersChanged(FrozenRecord):
    """The new value of ``status.unconfirmed``: orders that nobody knows to be at the broker, and changes never sent."""

    orders: tuple[SentOrder, ...]


class JournalOpened(FrozenRecord):
    """The journal was opened.

    ``accounts``: the accounts that the journal belongs to. ``had_session``: it has records of an earlier session.
    """

    accounts: tuple[str, ...] = ()
    had_session: bool = False


class JournalTroubleChanged(FrozenRecord):
    """Why the journal cannot be written, in words. Empty if the journal works."""

    trouble: str


class Halted(FrozenRecord):
    """New orders are refused until ``Resumed``. ``cancel_all``: all orders must be cancelled, too.

    The event replaces an earlier one: it says whether the global cancel of any halt that is now in force is due.
    """

    reason: str
    cancel_all: bool = False


class Resumed(FrozenRecord):
    """The halt has ended."""


class GlobalCancelDelivered(FrozenRecord):
    """The gateway has received the global cancel with this number.

    We know this because the gateway has answered a request that was sent after the cancel.
    """

    attempt: int
    number: int


class GatewayStatusChanged(FrozenRecord):
    """The state of the gateway's process changed. ``None``: no driver watches the process."""

    gateway: GatewayStatus | None


class LeaseChanged(FrozenRecord):
    """This program's role in its fleet, or its lease, changed."""

    lease: LeaseStatus


class LimitReached(FrozenRecord):
    """The gateway sends more of something than we accept. ``words`` say what this is."""

    attempt: int
    words: str


class ProbeAnswered(FrozenRecord):
    """The gateway answered a probe or another request for its time."""

    attempt: int


Event: TypeAlias = (
    ConnectRequested
    | DisconnectRequested
    | ReconnectRequested
    | RetryRequested
    | ProbeRequested
    | ClockJumped
    | TimerFired
    | AttemptFailed
    | PeerIdentified
    | SessionOpened
    | TransportClosed
    | SocketClosed
    | CodeReceived
    | FarmStatusReceived
    | StartupRequested
    | StartupAnswered
    | StartupRefused
    | RowsNotDecoded
    | SubscriptionsChanged
    | ActiveStreamsFound
    | UnconfirmedOrdersChanged
    | JournalOpened
    | JournalTroubleChanged
    | Halted
    | Resumed
    | GlobalCancelDelivered
    | GatewayStatusChanged
    | LeaseChanged
    | LimitReached
    | ProbeAnswered
)
