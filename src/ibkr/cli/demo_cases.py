"""``CASES``: the faults that ``ibkr demo`` causes, when each fault is noticed, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ibkr.core.codes import TOO_FAST, WITHHELD
from ibkr.core.errors import FailureKind
from ibkr.core.policy import Policy
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status

Condition: TypeAlias = Callable[[Status], bool]
FaultCall: TypeAlias = tuple[str | float, ...]
"""The name of a fault, and its arguments."""

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
"""Shorter waits than the defaults, so that the demo is short."""

CLIENT_ID = 900
"""The client id of the demo's connector."""

TIMEOUT = 1.0
"""The connector's timeout in the demo, in seconds."""


def is_ready(status: Status) -> bool:
    """Whether the connection is ready, and may send orders."""
    return status.state is ConnectionState.READY and status.may_trade


def is_reconnecting(status: Status) -> bool:
    """Whether there is no session."""
    return status.state is ConnectionState.RECONNECTING


def is_degraded(status: Status) -> bool:
    """Whether there is a session, but something important is missing."""
    return status.state is ConnectionState.DEGRADED


def is_read_only(status: Status) -> bool:
    """Whether the connection is ready, but accepts no orders."""
    return status.read_only and status.state is ConnectionState.READY


def failed_with(kind: FailureKind) -> Condition:
    """Return the condition that there is no session for this cause."""
    return lambda status: is_reconnecting(status) and status.failure is not None and status.failure.kind is kind


def has_code(code: int) -> Condition:
    """Return the condition that the status contains this IB code, in any state."""
    return lambda status: code in status.codes


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One fault, from its start to its end.

    The fault lasts until ``lasts_until`` is true (by default, until it is noticed), and ``hold`` seconds more. Then the
    ``end_calls`` are made. A fault without ``end_calls`` is momentary: it ends when it starts. But if it
    ``ends_itself``, it ends when the port is open again.
    """

    key: str
    title: str
    start_calls: tuple[FaultCall, ...]
    is_noticed: Condition = is_reconnecting
    lasts_until: Condition | None = None
    hold: float = 0.0
    end_calls: tuple[FaultCall, ...] = ()
    ends_itself: bool = False
    reconnect: bool = False
    """Whether the demo must call the connector's ``reconnect()`` after the fault."""

    @property
    def is_momentary(self) -> bool:
        """Whether the fault ends at the moment when it starts."""
        return not self.end_calls and not self.ends_itself


def _wrong_peer(key: str, title: str, kind: FailureKind) -> DemoCase:
    """Return a case in which new connections meet something other than a session, for a while."""
    return DemoCase(key, title, ((key,), ("reset",)), failed_with(kind), hold=1.0, end_calls=(("clear",),))


CASES = (
    DemoCase("reset", "connection reset by the network", (("reset",),)),
    DemoCase("close", "connection closed by the gateway", (("close",),)),
    DemoCase("restart", "gateway restarts, its port gone for 2 s", (("restart", 2.0),), ends_itself=True),
    DemoCase(
        "freeze",
        "half-open: no byte comes or goes",
        (("freeze",),),
        is_degraded,
        is_reconnecting,
        end_calls=(("thaw",),),
    ),
    DemoCase(
        "1102", "link to IB lost, data kept (1100, 1102)", (("1100",),), is_degraded, hold=1.0, end_calls=(("1102",),)
    ),
    DemoCase(
        "1101", "link to IB lost, data lost (1100, 1101)", (("1100",),), is_degraded, hold=1.0, end_calls=(("1101",),)
    ),
    DemoCase(
        "2110",
        "new session without link to IB (2110)",
        (("2110",), ("reset",)),
        is_degraded,
        hold=0.5,
        end_calls=(("1102",),),
    ),
    DemoCase(
        "break_farm",
        "data farm broken (2103, 2104)",
        (("break_farm", "usfarm"),),
        is_degraded,
        hold=0.5,
        end_calls=(("mend_farm", "usfarm"),),
    ),
    DemoCase(
        "stall_stream",
        "farm back, but its ticker stays silent",
        (("break_farm", "usfarm"), ("stall_stream", "AAPL")),
        is_degraded,
        hold=0.5,
        end_calls=(("mend_farm", "usfarm"),),
    ),
    DemoCase(
        "end_stream",
        "farm broken, ticker ended (10182)",
        (("break_farm", "usfarm"), ("end_stream", "AAPL")),
        is_degraded,
        hold=0.5,
        end_calls=(("mend_farm", "usfarm"),),
    ),
    DemoCase(
        "refuse",
        "ticker refused for a second (322)",
        (("refuse", "reqMktData", 322, 1.0), ("reset",)),
        is_degraded,
    ),
    DemoCase(
        "competing_login",
        "user logged in elsewhere (10197)",
        (("competing_login",),),
        has_code(WITHHELD),
        hold=0.5,
        end_calls=(("end_competing_login",),),
    ),
    DemoCase("warn_of_pace", "messages too fast for the gateway (100)", (("warn_of_pace",),), has_code(TOO_FAST)),
    DemoCase(
        "occupy_client_id",
        "client id used by another program (326)",
        (("occupy_client_id", CLIENT_ID), ("reset",)),
        failed_with(FailureKind.CLIENT_ID_IN_USE),
        hold=1.0,
        end_calls=(("clear",),),
    ),
    _wrong_peer("silent", "port accepts, then says nothing", FailureKind.SILENT),
    _wrong_peer("close_on_accept", "port forwarder with nothing behind it", FailureKind.CLOSED),
    _wrong_peer("close_after_handshake", "closed after the handshake", FailureKind.CLOSED),
    _wrong_peer("http", "a web server at the port", FailureKind.NOT_A_GATEWAY),
    _wrong_peer("ssh", "an SSH server at the port", FailureKind.NOT_A_GATEWAY),
    _wrong_peer("garbage", "garbage at the port", FailureKind.NOT_A_GATEWAY),
    _wrong_peer("old_version", "gateway version too old", FailureKind.UNSUPPORTED_VERSION),
    DemoCase(
        "read_only",
        "gateway set to Read-Only API",
        (("read_only",), ("reset",)),
        is_read_only,
        hold=0.3,
        end_calls=(("clear",),),
        reconnect=True,
    ),
    DemoCase(
        "mute",
        "positions request left unanswered",
        (("mute", "reqPositions"), ("reset",)),
        is_degraded,
        end_calls=(("clear",),),
        reconnect=True,
    ),
    DemoCase(
        "drop_message",
        "end-of-positions message lost",
        (("drop_message", "positionEnd"), ("reset",)),
        is_degraded,
        end_calls=(("clear",),),
        reconnect=True,
    ),
    DemoCase("truncate_message", "closed in the middle of a message", (("truncate_message",),)),
    DemoCase("flap_farm", "data farm gone for 0.7 s (2103, 2104)", (("flap_farm",),), is_degraded),
    DemoCase("delay", "reset, and every answer 0.1 s late", (("delay", 0.1), ("reset",))),
    # This case is last: after it, the configured port is closed, and the connector tries both ports in turn.
    DemoCase("1300", "API port changed (1300)", (("change_port",),)),
)
