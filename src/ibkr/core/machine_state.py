"""``MachineState``: everything that the state machine knows. Only reactions change it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from math import inf

from ibkr.core.attempt_failure import Failure
from ibkr.core.events import Key, LostStream
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.gateway_status import GatewayStatus
from ibkr.core.lease import LeaseStatus
from ibkr.core.order_records import SentOrder
from ibkr.core.outage import Outage
from ibkr.core.states import FarmState, UpstreamState
from ibkr.core.status import MaintenanceWindow


class Phase(StrEnum):
    """Where the connection is in its life cycle. The public state is derived from the phase and the other fields."""

    IDLE = "idle"
    """No connection is requested. The last socket may still be closing."""
    OPENING = "opening"
    """An attempt is running."""
    IDENTIFYING = "identifying the peer"
    """The peer was silent. First we find out what the port speaks, then the attempt fails."""
    CLOSING = "closing"
    """A connection is requested. First the old socket must close."""
    WAITING = "waiting"
    """Between two attempts."""
    STARTUP = "start-up"
    """The session is up, and start-up requests are pending."""
    RESTORING = "restoring"
    """Subscriptions were requested again; their first messages are pending."""
    UP = "up"
    """The session is up, and nothing is pending."""
    FAILED = "failed"
    """``connect()`` stopped trying."""


class StartupState(StrEnum):
    """Progress of a session's start-up."""

    FIRST = "first"
    """The first start-up of this session is running: the client library has no data yet."""
    AGAIN = "again"
    """Start-up is running again, after 1101 or 1102."""
    OVER = "over"
    """Start-up has ended, with or without all answers."""


class RestoreState(StrEnum):
    """Progress of the restore of a session's subscriptions."""

    DUE = "due"
    """The subscriptions must be requested."""
    SENT = "sent"
    """The subscriptions were requested, and first messages are pending."""
    DONE = "done"
    """Each request was answered or timed out, or there was no request."""


IN_SESSION = (Phase.STARTUP, Phase.RESTORING, Phase.UP)
"""The phases in which a session is up. Exception: its transport may have closed before its socket."""


class Identity(FrozenRecord):
    """Where to connect, and as whom. ``readonly``: the program does not trade. ``account``: the traded account."""

    host: str
    port: int
    client_id: int
    timeout: float = 5.0
    readonly: bool = False
    account: str = ""

    def endpoint(self, port: int) -> str:
        """The address with this port, for people."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


class StreamWatch(FrozenRecord):
    """A stream that is requested again at ``due`` unless it ticks after ``since`` (monotonic seconds)."""

    since: float
    due: float


class RefusedRequest(FrozenRecord):
    """A start-up request that the gateway has refused: its text and its code."""

    words: str
    code: int


class SessionInfo:
    """What is known about one session. A new session starts with these defaults.

    Most fields are independent of each other. Only ``status_fields`` combines them.
    """

    server_version: int | None = None
    accounts: tuple[str, ...] = ()
    wrong_login: str = ""
    """Why an order would go to the wrong account, in words."""
    read_only: bool = False
    upstream: UpstreamState = UpstreamState.UNKNOWN
    startup: StartupState = StartupState.FIRST
    is_compared: bool = False
    """Orders, executions and positions are known and compared with the last known state."""
    was_asked_again: bool = False
    """The unanswered requests of this start-up were sent again."""
    refused_tries: int = 0
    """How often refused start-up requests were sent again."""
    restore: RestoreState = RestoreState.DUE
    gap_cause: str = ""
    """Why the compared state of this session is unknown again, in words: the cause of the gap."""
    late_requests_left: int = 0
    """How many more times late executions will be requested."""
    is_requesting_late_executions: bool = False
    """A request for late executions is pending."""
    restore_later: bool = False
    """Subscriptions that handlers of ``connectedEvent`` had requested are restored after the new event."""
    resync_due: bool = False
    """Another 1101 came less than a second after the start-up of the previous 1101: a new start-up begins soon."""
    resynced_at: float = -inf
    missing_requested_at: float = -inf
    """When missing answers were last requested because of 1102."""
    refused: tuple[LostStream, ...] = ()
    held_back: int = 0
    """Subscriptions that wait in the rate limiter."""
    ended: tuple[LostStream, ...] = ()
    withheld: tuple[LostStream, ...] = ()
    silent: tuple[LostStream, ...] = ()
    streams_requested_at: float | None = None
    upstream_down_since: float | None = None
    too_fast: int = 0
    """How often the gateway reported that messages come too fast (100)."""
    transport_closed: str | None = None
    """Why messages can no longer be sent, in words. Set when the transport closes, before the socket closes."""
    probe_sent_at: float | None = None
    """When the first unanswered probe was sent."""
    probes_unanswered: int = 0
    probe_is_routine: bool = False
    """The unanswered probe was sent because ``probe_every`` elapsed, while messages were coming."""
    last_probe_at: float = -inf
    lateness_forgiven: bool = False
    suspect: bool = False
    cancel_sent: bool = False
    """The global cancel of a halt was sent in this session."""
    cancels: int = 0
    """How many global cancels were sent in this session."""

    def __init__(self) -> None:
        self.farms: dict[str, FarmState] = {}
        self.asked: set[str] = set()
        self.answered: set[str] = set()
        self.missing: set[str] = set()
        self.unreadable: set[str] = set()
        """The missing requests with an answer of which a row could not be decoded."""
        self.startup_refused: dict[str, RefusedRequest] = {}
        """The requests that the gateway has refused. A refusal is an answer."""
        self.answered_while_down: set[str] = set()
        """Requests whose last answer came while upstream was down, when the gateway did not know the current state."""
        self.outdated: set[str] = set()
        """Requests that must be sent again, but not yet. They were sent before a loss, so their answers are ignored."""
        self.watched: dict[tuple[Key, str], StreamWatch] = {}
        """Watches by request id and by the farm that is back."""
        self.broken_since: dict[str, float] = {}
        """For each broken farm, the time when it broke."""
        self.limited: dict[str, None] = {}
        """What the gateway sends too much of, in words."""
        self.retry_at: dict[tuple[Key, int, bool], float] = {}
        """When each stream that does not run is requested again; see ``stream_failures.py``."""
        self.prioritized: set[Key] = set()
        """The streams of ``retry_at`` that are requested immediately, because their farm or upstream is back."""

    @property
    def is_usable(self) -> bool:
        """Whether messages can be sent in this session."""
        return self.transport_closed is None

    @property
    def pending(self) -> set[str]:
        """Start-up requests without an answer or a refusal, for which an answer is still expected."""
        return self.asked - self.answered - self.missing - self.startup_refused.keys()


class MachineState:
    """Everything that reactions need to know. Times are monotonic seconds unless they are aware datetimes."""

    phase: Phase = Phase.IDLE
    ever_wanted: bool = False
    budget: int | None = None
    """Attempts that may fail before ``FAILED``. ``None``: no limit."""
    attempt: int = 0
    """The number of the newest attempt. Numbers are never reused."""
    socket_open: bool = False
    """The socket of the newest attempt has not closed."""
    attempt_started: float = 0.0
    attempts_made: int = 0
    """Attempts since the last good session."""
    out_since: float = 0.0
    """When attempts began; a closed port is tried less often after ``later_after``."""
    had_session: bool = False
    """A start-up has ended since ``connect()``."""
    accounts: tuple[str, ...] = ()
    """The accounts of the first session since ``connect()``."""
    failure: Failure | None = None
    broken_off: str = ""
    """Why the connector stopped without the transition table: an internal error."""
    failures_in_a_row: int = 0
    id_in_use_since: float | None = None
    id_alert: str = ""
    """The alert about a client id that stays in use."""
    lost_because: str = ""
    half_open: bool = False
    """For the peer, the lost session may still be open: nothing has come from the peer since the loss."""
    silent_failure: Failure | None = None
    """The failure after which we identified the peer. This is done at most one time after ``connect()``."""
    next_retry_at: datetime | None = None
    outage: Outage | None = None
    """The current outage, or the last one."""
    gap_outage: int = 0
    """The number of the outage since the last ``READY``. 0: no outage, for example after ``disconnect()``."""
    other_port: int | None = None
    """The other port to try, after 1300 named a new port. The attempts use the two ports in turn."""
    upstream_notices: int = 0
    maintenance: MaintenanceWindow | None = None
    calendar_holds_until: datetime | None = None
    trouble_since: float | None = None
    """The time from which a requested connection is not ``READY``: an outage, or a first connection that fails."""
    trouble_in: MaintenanceWindow | None = None
    """The last maintenance window during that time."""
    alert: str = ""
    unconfirmed: tuple[SentOrder, ...] = ()
    halted: str = ""
    """Why new orders are refused until ``resume()``. Empty if there is no halt."""
    cancel_all: bool = False
    """The global cancel of a halt has not reached the gateway yet."""
    journal_accounts: tuple[str, ...] = ()
    """The accounts that the journal belongs to."""
    journal_session: bool = False
    """The journal has an earlier session with our client id."""
    journal_trouble: str = ""
    """Why the journal cannot be written."""
    gateway: GatewayStatus | None = None
    """The gateway's process. ``None`` if no driver watches it."""
    lease: LeaseStatus | None = None
    """This program's role and lease in its fleet. ``None``: no fleet."""
    client_id: int | None = None
    """The newest attempt's client id if a fleet assigned it. ``None``: the configured id is used."""
    has_taken_over: bool = False
    """This program became leader after its last session, so only the broker knows what the former leader did."""

    def __init__(self, port: int) -> None:
        self.port = port
        """The port of the next attempt."""
        self.losses: list[float] = []
        self.session = SessionInfo()
