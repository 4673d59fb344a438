"""What ``ibkr demo`` plays: each fault of the simulated gateway, when it counts as noticed, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ibkr.core.codes import TOO_FAST, WITHHELD
from ibkr.core.errors import FailureKind
from ibkr.core.policy import Policy
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status

Condition: TypeAlias = Callable[[Status], bool]
Call: TypeAlias = tuple[str | float, ...]
"""A fault's name and its arguments."""

POLICY = Policy(
    probe_after=1.0,
    suspect_after=0.5,
    probe_timeout=1.0,
    request_timeout=0.5,
    backoff_first=0.5,
    flap_limit=1000,
    stream_silence=1.0,
    required_farms=("usfarm",),
)
"""Shorter waits than the defaults, so that the demo stays short."""

CLIENT_ID = 900
"""The connector's, in the demo."""

TIMEOUT = 1.0
"""Seconds that a port may stay silent in one attempt, in the demo."""


def is_ready(status: Status) -> bool:
    """Everything is there, orders too."""
    return status.state is ConnectionState.READY and status.may_trade


def is_out(status: Status) -> bool:
    """There is no session."""
    return status.state is ConnectionState.RECONNECTING


def is_degraded(status: Status) -> bool:
    """A session, and something that matters is missing."""
    return status.state is ConnectionState.DEGRADED


def is_read_only(status: Status) -> bool:
    """A session that is whole, and takes no orders."""
    return status.read_only and status.state is ConnectionState.READY


def names(kind: FailureKind) -> Condition:
    """The status names this cause."""
    return lambda status: is_out(status) and status.failure is not None and status.failure.kind is kind


def says(code: int) -> Condition:
    """The reason names this code of IB's, whatever the state."""
    return lambda status: code in status.codes


@dataclass(frozen=True, slots=True)
class Scene:
    """One fault, from its beginning to the end of what it did.

    It lasts until ``lasts_until`` holds (by default, until it was noticed) and ``hold`` seconds more, and then
    ``ends``. Without ``ends`` it is momentary, unless it ``ends_itself``: then when the port is open again.
    """

    key: str
    title: str
    begins: tuple[Call, ...]
    noticed: Condition = is_out
    lasts_until: Condition | None = None
    hold: float = 0.0
    ends: tuple[Call, ...] = ()
    ends_itself: bool = False
    reconnect: bool = False
    """The connector is told to reconnect once the fault is over."""

    @property
    def is_momentary(self) -> bool:
        """Over as soon as it has begun."""
        return not self.ends and not self.ends_itself


def _answers(key: str, title: str, kind: FailureKind) -> Scene:
    """After a reset, what new connections meet is something else than a session, for a while."""
    return Scene(key, title, ((key,), ("reset",)), names(kind), hold=1.0, ends=(("clear",),))


SCENES = (
    Scene("reset", "connection reset by the network", (("reset",),)),
    Scene("close", "connection closed by the gateway", (("close",),)),
    Scene("restart", "gateway restarts, its port gone for 2 s", (("restart", 2.0),), ends_itself=True),
    Scene("freeze", "half-open: no byte comes or goes", (("freeze",),), is_degraded, is_out, ends=(("thaw",),)),
    Scene("1102", "link to IB lost, data kept (1100, 1102)", (("1100",),), is_degraded, hold=1.0, ends=(("1102",),)),
    Scene("1101", "link to IB lost, data lost (1100, 1101)", (("1100",),), is_degraded, hold=1.0, ends=(("1101",),)),
    Scene(
        "2110",
        "new session without link to IB (2110)",
        (("2110",), ("reset",)),
        is_degraded,
        hold=0.5,
        ends=(("1102",),),
    ),
    Scene(
        "break_farm",
        "data farm broken (2103, 2104)",
        (("break_farm", "usfarm"),),
        is_degraded,
        hold=0.5,
        ends=(("mend_farm", "usfarm"),),
    ),
    Scene(
        "stall_stream",
        "farm back, its ticker silent for good",
        (("break_farm", "usfarm"), ("stall_stream", "AAPL")),
        is_degraded,
        hold=0.5,
        ends=(("mend_farm", "usfarm"),),
    ),
    Scene(
        "end_stream",
        "farm broken, ticker ended (10182)",
        (("break_farm", "usfarm"), ("end_stream", "AAPL")),
        is_degraded,
        hold=0.5,
        ends=(("mend_farm", "usfarm"),),
    ),
    Scene(
        "competing_login",
        "user logged in elsewhere (10197)",
        (("competing_login",),),
        says(WITHHELD),
        hold=0.5,
        ends=(("end_competing_login",),),
    ),
    Scene("1300", "API port changed (1300)", (("change_port",),)),
    Scene("warn_of_pace", "messages too fast for the gateway (100)", (("warn_of_pace",),), says(TOO_FAST)),
    Scene(
        "occupy_client_id",
        "client id taken meanwhile (326)",
        (("occupy_client_id", CLIENT_ID), ("reset",)),
        names(FailureKind.CLIENT_ID_IN_USE),
        hold=1.0,
        ends=(("clear",),),
    ),
    _answers("silent", "port accepts, then says nothing", FailureKind.SILENT),
    _answers("close_on_accept", "port forwarder with nothing behind it", FailureKind.CLOSED),
    _answers("close_after_handshake", "closed after the handshake", FailureKind.CLOSED),
    _answers("http", "a web server at the port", FailureKind.NOT_A_GATEWAY),
    _answers("ssh", "an SSH server at the port", FailureKind.NOT_A_GATEWAY),
    _answers("garbage", "garbage at the port", FailureKind.NOT_A_GATEWAY),
    _answers("old_version", "gateway of too old a version", FailureKind.UNSUPPORTED_VERSION),
    Scene(
        "read_only",
        "gateway set to Read-Only API",
        (("read_only",), ("reset",)),
        is_read_only,
        hold=0.3,
        ends=(("clear",),),
        reconnect=True,
    ),
    Scene(
        "mute",
        "positions request left unanswered",
        (("mute", "reqPositions"), ("reset",)),
        is_degraded,
        ends=(("clear",),),
        reconnect=True,
    ),
    Scene(
        "drop_message",
        "end of the positions lost on the way",
        (("drop_message", "positionEnd"), ("reset",)),
        is_degraded,
        ends=(("clear",),),
        reconnect=True,
    ),
    Scene("truncate_message", "closed in the middle of a message", (("truncate_message",),)),
    Scene("flap_farm", "data farm gone for 0.7 s (2103, 2104)", (("flap_farm",),), is_degraded),
    Scene("delay", "reset, and every answer 0.1 s late", (("delay", 0.1), ("reset",))),
)
