"""What a connector must know about codes: the state machine's reaction, warnings, and temporary refusals.

This is a Python table, not a part of ``catalogue.toml``. Every connector needs it for every code, and parsing the file
at ``connect()`` would take longer than the connection. The table is also behaviour: a wrong row here is a defect of the
state machine.
"""

from __future__ import annotations

from ibkr.core.codes.code import Reaction

TOO_FAST = 100
UPSTREAM_LOST = 1100
WITHHELD = 10197

REACTIONS: dict[int, Reaction] = {
    TOO_FAST: Reaction.TOO_FAST,
    316: Reaction.STREAM_ENDED,
    317: Reaction.STREAM_ENDED,
    321: Reaction.READ_ONLY,
    326: Reaction.CLIENT_ID_IN_USE,
    UPSTREAM_LOST: Reaction.UPSTREAM_LOST,
    1101: Reaction.UPSTREAM_BACK_DATA_LOST,
    1102: Reaction.UPSTREAM_BACK,
    1300: Reaction.PORT_CHANGED,
    2103: Reaction.FARM_BROKEN,
    2104: Reaction.FARM_OK,
    2105: Reaction.FARM_BROKEN,
    2106: Reaction.FARM_OK,
    2107: Reaction.FARM_INACTIVE,
    2108: Reaction.FARM_INACTIVE,
    2110: Reaction.UPSTREAM_LOST,
    2119: Reaction.FARM_CONNECTING,
    2157: Reaction.FARM_BROKEN,
    2158: Reaction.FARM_OK,
    10182: Reaction.STREAM_ENDED,
    WITHHELD: Reaction.STREAM_WITHHELD,
    10225: Reaction.STREAM_ENDED,
}
"""What the state machine does about a code. It ignores every other code."""

_ABOUT_FARM = (Reaction.FARM_BROKEN, Reaction.FARM_OK, Reaction.FARM_INACTIVE, Reaction.FARM_CONNECTING)
_ABOUT_REQUEST = (Reaction.STREAM_ENDED, Reaction.STREAM_WITHHELD, Reaction.READ_ONLY, Reaction.NONE)

WARNINGS = frozenset(
    {0, 131, 165, 399, 404, 450, 481, 492, 10018, 10019, 10090, 10091, 10167, 10197, 10233}
    | {10331, 10332, 10333, 10347, 10349}
)
"""Warnings outside of 2100 to 2199: the request or order continues. A test compares them with the catalogue."""

TEMPORARY_REFUSALS: dict[int, tuple[str, ...]] = {
    101: (),
    102: (),
    162: (
        "connection attempt failed",
        "pacing",
        "different ip",
        "not connected",
        "timed out",
        "service is not available",
    ),
    309: (),
    322: (),
    385: (),
    386: (),
    420: ("pacing", "different ip"),
    2101: (),
    10189: ("different ip", "other session", "pacing"),
    10190: (),
    10278: (),
    10281: (),
    10346: (),
}
"""Temporary refusals of a stream: no lines left, too many or too fast requests, an id in use, another session of this
user, a service that is not available. Such a stream is requested again even if it never ran.

If there are texts, the gateway's text must contain one of them. Every other refusal of a first request is final.
"""

REACTION_TEXTS: dict[Reaction, str] = {
    Reaction.UPSTREAM_LOST: "is DEGRADED until the link is back, and keeps the socket",
    Reaction.UPSTREAM_BACK_DATA_LOST: "asks for orders, executions and every subscription again, then is READY",
    Reaction.UPSTREAM_BACK: "asks for orders, executions and positions again, and checks that the streams continue",
    Reaction.FARM_BROKEN: "shows the farm as broken; DEGRADED if it is one of required_farms",
    Reaction.FARM_OK: "shows the farm as OK, and checks that its streams continue",
    Reaction.FARM_INACTIVE: "shows the farm as inactive, which is not broken",
    Reaction.FARM_CONNECTING: "shows the farm as connecting, which is not broken",
    Reaction.CLIENT_ID_IN_USE: "fails a first connection after connect_attempts; keeps trying after a lost session",
    Reaction.PORT_CHANGED: "connects to the new port and the configured port in turn",
    Reaction.TOO_FAST: "sends more slowly, and the status reports it",
    Reaction.STREAM_ENDED: "requests the stream again when upstream and farm are up",
    Reaction.READ_ONLY: "if the text says 'Read-Only', may_trade is false: the gateway's API setting is on",
    Reaction.STREAM_WITHHELD: "reports it, and watches the stream until its next tick",
}
"""What the connector does about a code, in words for ``ibkr explain`` and docs/codes.md."""


def reaction(code: int) -> Reaction:
    """Return what the state machine does about this code. ``NONE``: the state machine ignores the code."""
    return REACTIONS.get(code, Reaction.NONE)


def is_about_link(code: int) -> bool:
    """Whether the state machine must receive this code.

    These are the codes about upstream, data farms, the client id (326), the port (1300) and the send rate (100).
    """
    return reaction(code) not in _ABOUT_REQUEST


def is_about_farm(code: int) -> bool:
    """Whether the code reports the state of a data farm."""
    return reaction(code) in _ABOUT_FARM


def is_warning(code: int) -> bool:
    """Whether the request or order that this code names continues. IB uses 2100 to 2199 for warnings."""
    return 2100 <= code < 2200 or code in WARNINGS


def is_temporary_refusal(code: int, text: str) -> bool:
    """Whether a request that is refused with this code and text may succeed soon."""
    texts = TEMPORARY_REFUSALS.get(code)
    return texts is not None and (not texts or any(each in text.lower() for each in texts))


def is_read_only(code: int, text: str) -> bool:
    """Whether this answer reports the gateway's Read-Only API setting: a 321 whose text contains "Read-Only"."""
    return reaction(code) is Reaction.READ_ONLY and "read-only" in text.lower()
