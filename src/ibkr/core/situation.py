"""All that the machine knows, in one place. Only the reactions write it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from math import inf

from ibkr.core.facts import EndedStream, Key, RefusedStream
from ibkr.core.failure import Failure
from ibkr.core.gateway import GatewayStatus
from ibkr.core.orders import SentOrder
from ibkr.core.outage import Outage
from ibkr.core.state import FarmState, UpstreamState
from ibkr.core.value import Value
from ibkr.core.window import Window


class Phase(StrEnum):
    """Where the life of the session stands. What the caller sees is derived from this and the axes."""

    IDLE = "idle"
    """Not wanted. The last socket may still be ending."""
    OPENING = "opening"
    """One attempt is under way."""
    LOOKING = "looking"
    """The attempt was silent, and its end waits for a look at what the port speaks."""
    CLOSING = "closing"
    """Wanted again; the end of the old socket is awaited first."""
    WAITING = "waiting"
    """Between two attempts."""
    STARTUP = "start-up"
    """The session is up, start-up requests are out."""
    RESTORING = "restoring"
    """Subscriptions were sent again, their first messages are awaited."""
    UP = "up"
    """Nothing is under way."""
    FAILED = "failed"
    """Given up."""


class StartupState(StrEnum):
    """How far a session's start-up has come, since the gateway last said that it forgot (1101)."""

    FIRST = "first"
    """The first of this session is under way: the client library's state is not filled yet."""
    AGAIN = "again"
    """After 1101 it is under way once more."""
    OVER = "over"
    """It has ended, with all answers or without. What is traded is not known yet."""
    COMPARED = "compared"
    """It has ended, and what is traded was compared with what was known before."""

    @property
    def has_ended(self) -> bool:
        """Whether a late answer is compared as soon as it comes."""
        return self in (StartupState.OVER, StartupState.COMPARED)


class RestoreState(StrEnum):
    """How far the subscriptions of a session have come."""

    DUE = "due"
    """They are to be sent, each under its own request id."""
    DUE_AGAIN = "due again"
    """They are to be sent again under fresh ids: on this socket the gateway has forgotten them (1101)."""
    SENT = "sent"
    """They were sent, and first messages are awaited."""
    DONE = "done"
    """Everything was sent and answered or timed out, or there was nothing to send."""


IN_SESSION = (Phase.STARTUP, Phase.RESTORING, Phase.UP)
"""The phases in which a session is up, but for the moment between the end of its transport and that of its socket."""


class Identity(Value):
    """Who connects where. ``readonly``: the program has said that it will not trade; ``account``: what it trades."""

    host: str
    port: int
    client_id: int
    timeout: float = 5.0
    readonly: bool = False
    account: str = ""

    def endpoint(self, port: int) -> str:
        """The address in words, with the port that is in use."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


class Watched(Value):
    """A stream that is to be asked for again at ``due``, unless it ticks after ``since`` (monotonic seconds)."""

    since: float
    due: float


class Session:
    """What is known of one session. A new one begins knowing nothing.

    Each of these comes in its own time, beside almost any of the others; only ``derive`` says what they come to
    together.
    """

    server_version: int | None = None
    accounts: tuple[str, ...] = ()
    wrong_login: str = ""
    """Why an order would go to an account that nobody meant, in words."""
    read_only: bool = False
    upstream: UpstreamState = UpstreamState.UNKNOWN
    startup: StartupState = StartupState.FIRST
    asked_again: bool = False
    """What was overdue in this start-up has been asked for once more."""
    restore: RestoreState = RestoreState.DUE
    data_lost: bool = False
    """The gateway has forgotten (1101) what was known and compared in this session: that is the cause of the gap."""
    refused: tuple[RefusedStream, ...] = ()
    held_back: int = 0
    """Subscriptions that the limiter has not let go yet."""
    ended: tuple[EndedStream, ...] = ()
    withheld: tuple[str, ...] = ()
    streams_asked_at: float | None = None
    upstream_down_since: float | None = None
    too_fast: int = 0
    """How often the gateway has said that messages come too fast (100)."""
    transport_ended: str | None = None
    """Why nothing can be sent any more, in words, from the end of the transport until that of the socket."""
    probe_sent_at: float | None = None
    """When the probe was sent that is unanswered."""
    last_probe_at: float = -inf
    lateness_forgiven: bool = False
    suspect: bool = False

    def __init__(self) -> None:
        self.farms: dict[str, FarmState] = {}
        self.asked: set[str] = set()
        self.answered: set[str] = set()
        self.missing: set[str] = set()
        self.unreadable: set[str] = set()
        """Those of the missing ones of which a row could not be decoded."""
        self.told_while_down: set[str] = set()
        """Those that were last answered while upstream was down, by a gateway that did not know what goes on."""
        self.watched: dict[tuple[Key, str], Watched] = {}
        """By request id and the farm that is back."""
        self.broken_since: dict[str, float] = {}
        """Since when each farm that is broken is so."""

    @property
    def is_usable(self) -> bool:
        """Whether messages can be sent in it."""
        return self.transport_ended is None

    @property
    def pending(self) -> set[str]:
        """Start-up requests that are neither answered nor given up."""
        return self.asked - self.answered - self.missing


class Situation:
    """The link's whole story, as far as reactions need it. Times are monotonic seconds unless aware datetimes."""

    phase: Phase = Phase.IDLE
    ever_wanted: bool = False
    budget: int | None = None
    """Attempts that may fail before ``FAILED``; None: without limit."""
    attempt: int = 0
    """The number of the newest attempt; numbers are never used twice."""
    socket_open: bool = False
    """The newest attempt's socket has not ended."""
    attempt_started: float = 0.0
    attempts_made: int = 0
    """Attempts since the session was last whole."""
    out_since: float = 0.0
    """Since when attempts are made: the slower cadence of a closed port counts from here."""
    had_session: bool = False
    """A start-up has ended since ``connect()``."""
    accounts: tuple[str, ...] = ()
    """Those of the first session since ``connect()``."""
    failure: Failure | None = None
    broken_off: str = ""
    """Why it was given up from outside of the table."""
    failures_in_a_row: int = 0
    id_in_use_since: float | None = None
    id_alert: str = ""
    """What a person should know of a client id that stays in use."""
    lost_because: str = ""
    half_open: bool = False
    """The peer's system may still hold the session that was lost: nothing has been heard of it since."""
    looked: Failure | None = None
    """The failure because of which it was looked at what the port speaks, once since ``connect()``."""
    next_retry_at: datetime | None = None
    outage: Outage | None = None
    """The one under way, or the last one."""
    gap_outage: int = 0
    """The number of the outage since the last ``READY``; 0 if there was none, as after ``disconnect()``."""
    other_port: int | None = None
    """Where the attempt after it goes, once 1300 has named a new port: it and the configured one in turn."""
    upstream_notices: int = 0
    maintenance: Window | None = None
    calendar_holds_until: datetime | None = None
    trouble_since: float | None = None
    """Since when a connection is wanted that is not ``READY``: an outage, or a first connection that does not come."""
    trouble_in: Window | None = None
    """The last maintenance window that this trouble was in."""
    alert: str = ""
    unconfirmed: tuple[SentOrder, ...] = ()
    gateway: GatewayStatus | None = None
    """The gateway's process, where somebody watches it."""

    def __init__(self, port: int) -> None:
        self.port = port
        """Where the next attempt goes."""
        self.losses: list[float] = []
        self.session = Session()
