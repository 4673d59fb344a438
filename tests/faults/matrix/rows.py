"""The phases of a connection, and one row per simulator fault with the expected behavior."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ibkr import ClientIdInUse, ConnectError, GatewayClosed, GatewaySilent, NotAGateway, UnsupportedVersion

CLIENT_ID = 7

ENDS = {
    "reqPositions": "positionEnd",
    "reqOpenOrders": "openOrderEnd",
    "reqCompletedOrders": "completedOrdersEnd",
    "reqAccountUpdates": "accountDownloadEnd",
    "reqAccountUpdatesMulti": "accountUpdateMultiEnd",
    "reqExecutions": "execDetailsEnd",
}
"""The requests of start-up, and the last message that answers each."""
STARTUP = tuple(ENDS)
GROUPS = {
    **dict.fromkeys(("connection", "hello", "version", "startApi"), "attempt"),
    **dict.fromkeys(STARTUP, "start-up"),
    "READY": "ready",
    "recovery": "recovery",
    "disconnect": "disconnect",
}
"""Every phase. Except for READY, a phase is the moment when the gateway has received this and has not answered."""

LIVED = {"attempt": "DC", "start-up": "DCS", "ready": "DCSR", "recovery": "DCSRBS"}
"""The life until the fault, by group."""


class Kind(StrEnum):
    """What a fault does."""

    HARMLESS = "nothing that the connection is concerned with"
    BREAKS = "the socket is lost, and can be had again"
    REFUSES = "new connections lead to no session"
    HALF_OPEN = "the socket stands, and no byte comes"
    RESYNCS = "the gateway has forgotten what was asked of it"
    DEGRADES = "a session without something that it needs"
    UNKNOWN = "not in the table, or not to be timed: it must come back once the fault is cleared"


@dataclass(frozen=True)
class Row:
    """The expectation for one fault.

    ``arguments`` are the fault's arguments, or a function that returns them for a phase. ``drops`` names the groups in
    which the fault also closes the existing connections, so that a new connection meets the fault. ``says`` is part of
    the reason of a degraded status. ``cure`` is what is done after ``clear``, and the state that follows.
    """

    kind: Kind
    arguments: Any = ()
    policy: dict[str, Any] = field(default_factory=dict)
    error: type[ConnectError] | None = None
    drops: tuple[str, ...] = ()
    says: str = ""
    cure: str = ""
    lasts: float = 0.0
    """Seconds for which the port is closed."""
    error_later: type[ConnectError] | None = None
    """The error after a session, if it differs. The type of a silent server is checked only before a first session."""

    @property
    def is_known(self) -> bool:
        return self.kind is not Kind.UNKNOWN

    @property
    def error_kind(self) -> str:
        error = self.error_later or self.error
        return _KINDS[error] if error else ""

    def arguments_in(self, phase: str) -> tuple[Any, ...]:
        return tuple(self.arguments(phase) if callable(self.arguments) else self.arguments)


_KINDS: dict[type[ConnectError], str] = {
    GatewaySilent: "silent",
    GatewayClosed: "closed",
    NotAGateway: "not_a_gateway",
    ClientIdInUse: "client_id_in_use",
    UnsupportedVersion: "unsupported_version",
}


def _muted(phase: str) -> tuple[str]:
    return (phase if phase in STARTUP else "reqPositions",)


def _dropped(phase: str) -> tuple[str]:
    return (ENDS[_muted(phase)[0]],)


ALWAYS = (*LIVED, "disconnect")
LATER = ("start-up", "ready", "recovery", "disconnect")
BACKOFF = {"backoff_first": 0.05, "backoff_cap": 0.1}
ONCE = {"connect_attempts": 2, **BACKOFF}
FINAL = {"connect_attempts": 3, **BACKOFF}
"""The first attempt is dropped. The second attempt shows that a third attempt cannot succeed."""
QUICK = {**ONCE, "timeout": 0.3}
PROBED = {
    **QUICK,
    "probe_after": 0.1,
    "probe_apart": 0.1,
    "suspect_after": 0.1,
    "probe_timeout": 0.2,
    "lateness_tolerance": 0.05,
}

ROWS = {
    "reset": Row(Kind.BREAKS),
    "close": Row(Kind.BREAKS),
    "restart": Row(Kind.BREAKS, arguments=(0.1,), lasts=0.1),
    "freeze": Row(Kind.HALF_OPEN, policy=PROBED, error=GatewaySilent),
    "thaw": Row(Kind.HARMLESS),
    "lose_upstream": Row(Kind.DEGRADES, says="lost its link", cure="restore_upstream"),
    "restore_upstream_data_lost": Row(Kind.RESYNCS),
    "restore_upstream": Row(Kind.RESYNCS),
    "upstream_down_at_connect": Row(Kind.DEGRADES, drops=ALWAYS, says="lost its link", cure="restore_upstream"),
    "break_farm": Row(
        Kind.DEGRADES,
        policy={"required_farms": ("usfarm",)},
        says="farm broken: usfarm",
        cure="mend_farm",
    ),
    "mend_farm": Row(Kind.HARMLESS),
    "warn_of_pace": Row(Kind.HARMLESS),
    "stall_stream": Row(Kind.HARMLESS),
    "end_stream": Row(Kind.HARMLESS),
    "competing_login": Row(Kind.HARMLESS),
    "end_competing_login": Row(Kind.HARMLESS),
    "deny_market_data": Row(Kind.UNKNOWN, cure="restore_upstream_data_lost"),
    "occupy_client_id": Row(Kind.REFUSES, arguments=(CLIENT_ID,), policy=ONCE, error=ClientIdInUse, drops=LATER),
    "silent": Row(Kind.REFUSES, policy=QUICK, error=GatewaySilent, drops=ALWAYS),
    "http": Row(Kind.REFUSES, policy=FINAL, error=NotAGateway, drops=ALWAYS),
    "web_server": Row(Kind.REFUSES, policy=QUICK, error=NotAGateway, drops=ALWAYS, error_later=GatewaySilent),
    "ssh": Row(Kind.REFUSES, policy=FINAL, error=NotAGateway, drops=ALWAYS),
    "garbage": Row(Kind.REFUSES, policy=FINAL, error=NotAGateway, drops=ALWAYS),
    "close_on_accept": Row(Kind.REFUSES, policy=ONCE, error=GatewayClosed, drops=ALWAYS),
    "close_after_handshake": Row(Kind.REFUSES, policy=ONCE, error=GatewayClosed, drops=ALWAYS),
    "old_version": Row(Kind.REFUSES, policy=FINAL, error=UnsupportedVersion, drops=ALWAYS),
    "read_only": Row(Kind.HARMLESS),
    "mute": Row(
        Kind.DEGRADES,
        arguments=_muted,
        policy={"request_timeout": 0.15},
        drops=("ready",),
        says="start-up requests without an answer",
        cure="restore_upstream",
    ),
    "refuse": Row(Kind.HARMLESS, arguments=("reqNewsBulletins",)),
    "delay": Row(Kind.HARMLESS, arguments=(0.03,)),
    "slow": Row(Kind.HARMLESS, arguments=(200_000,)),
    "split_frames": Row(Kind.HARMLESS),
    "merge_frames": Row(Kind.HARMLESS, arguments=(0.02,)),
    "delay_message": Row(Kind.HARMLESS, arguments=("any", 0.03)),
    "drop_message": Row(
        Kind.DEGRADES,
        arguments=_dropped,
        policy={"request_timeout": 0.15},
        drops=("ready",),
        says="start-up requests without an answer",
        cure="restore_upstream",
    ),
    "duplicate_message": Row(Kind.HARMLESS, arguments=("any",)),
    "extra_separators": Row(Kind.HARMLESS, arguments=("error",)),
    "truncate_message": Row(Kind.BREAKS),
    "limit_rate": Row(Kind.HARMLESS),
    "roll_back_order_id": Row(Kind.HARMLESS),
    "clock_off": Row(Kind.HARMLESS, arguments=(-86400,)),
    "time_zone": Row(Kind.HARMLESS),
    "flap_farm": Row(Kind.HARMLESS, arguments=("usfarm", 0.05)),
    "nightly_reset": Row(Kind.UNKNOWN, arguments=(0.3,), cure="restore_upstream"),
    "clear": Row(Kind.HARMLESS),
}

_NOBODY = "a notice goes to sessions, and there is none yet"
IMPOSSIBLE = {
    ("restore_upstream_data_lost", "attempt"): _NOBODY,
    ("restore_upstream", "attempt"): _NOBODY,
    ("mend_farm", "attempt"): _NOBODY,
}
"""Pairs of a fault and a group of phases that are impossible, with the reason."""
