"""IB's codes as data: what each means and what it makes us do. The one source for the machine's reactions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ibkr.core.state import Feed


class Scope(StrEnum):
    """What a code is about."""

    SESSION = "session"
    UPSTREAM = "upstream"
    FARM = "farm"
    REQUEST = "request"
    ORDER = "order"


class Reaction(StrEnum):
    """What the machine does when a code comes."""

    UPSTREAM_LOST = "upstream lost"
    UPSTREAM_BACK_DATA_LOST = "upstream back, data lost"
    UPSTREAM_BACK = "upstream back"
    FARM_BROKEN = "farm broken"
    FARM_OK = "farm ok"
    FARM_INACTIVE = "farm inactive"
    FARM_CONNECTING = "farm connecting"
    CLIENT_ID_IN_USE = "client id in use"
    PORT_CHANGED = "port changed"
    TOO_FAST = "too fast"
    STREAM_ENDED = "stream ended"
    STREAM_WITHHELD = "stream withheld"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Code:
    """One code of IB's: its meaning, what it is about, our reaction, and whether it is only a warning."""

    code: int
    meaning: str
    scope: Scope
    reaction: Reaction = Reaction.NONE
    warning: bool = False


# Sources: facts/error_codes.json, facts/tws-protocol.md section 7.
CODES: dict[int, Code] = {
    row.code: row
    for row in (
        Code(100, "Messages come faster than the gateway allows.", Scope.SESSION, Reaction.TOO_FAST),
        Code(316, "Market depth was halted: to be asked for again.", Scope.REQUEST, Reaction.STREAM_ENDED),
        Code(317, "Market depth was reset: the book begins anew.", Scope.REQUEST, Reaction.STREAM_ENDED),
        Code(321, "The request does not pass validation.", Scope.REQUEST),
        Code(326, "This client id is in use by another session.", Scope.SESSION, Reaction.CLIENT_ID_IN_USE),
        # Made by client libraries, never by a gateway: there is no session, or none any more.
        Code(502, "Nothing answers at the port.", Scope.SESSION),
        Code(504, "There is no connection.", Scope.SESSION),
        Code(507, "The connection ended in the middle of a message.", Scope.SESSION),
        Code(1100, "The gateway has lost its link to IB.", Scope.UPSTREAM, Reaction.UPSTREAM_LOST),
        Code(
            1101,
            "The link to IB is back; every subscription is lost.",
            Scope.UPSTREAM,
            Reaction.UPSTREAM_BACK_DATA_LOST,
        ),
        Code(1102, "The link to IB is back; subscriptions are kept.", Scope.UPSTREAM, Reaction.UPSTREAM_BACK),
        Code(1300, "The gateway's API port was changed; this session ends.", Scope.SESSION, Reaction.PORT_CHANGED),
        Code(2103, "A market data farm is broken.", Scope.FARM, Reaction.FARM_BROKEN),
        Code(2104, "A market data farm is OK.", Scope.FARM, Reaction.FARM_OK),
        Code(2105, "A historical data farm is broken.", Scope.FARM, Reaction.FARM_BROKEN),
        Code(2106, "A historical data farm is OK.", Scope.FARM, Reaction.FARM_OK),
        Code(2107, "A historical data farm sleeps until it is needed.", Scope.FARM, Reaction.FARM_INACTIVE),
        Code(2108, "A market data farm sleeps until it is needed.", Scope.FARM, Reaction.FARM_INACTIVE),
        Code(2110, "The gateway has no link to IB.", Scope.UPSTREAM, Reaction.UPSTREAM_LOST),
        Code(2119, "A market data farm is connecting.", Scope.FARM, Reaction.FARM_CONNECTING),
        Code(2157, "The contract data farm is broken.", Scope.FARM, Reaction.FARM_BROKEN),
        Code(2158, "The contract data farm is OK.", Scope.FARM, Reaction.FARM_OK),
        Code(10090, "Part of the requested data is not subscribed; the rest is sent.", Scope.REQUEST, warning=True),
        Code(10167, "Delayed data is sent for want of a live subscription.", Scope.REQUEST, warning=True),
        Code(10182, "Updates ended with the link to IB.", Scope.REQUEST, Reaction.STREAM_ENDED),
        Code(
            10197,
            "Data is withheld while another session of this user is logged in.",
            Scope.REQUEST,
            Reaction.STREAM_WITHHELD,
            warning=True,
        ),
        Code(10225, "A bust event ended the real-time bars.", Scope.REQUEST, Reaction.STREAM_ENDED),
    )
}


def reaction(code: int) -> Reaction:
    """What the machine does for this code; ``NONE`` for those that it leaves to the caller."""
    row = CODES.get(code)
    return row.reaction if row else Reaction.NONE


def is_about_stream(code: int) -> bool:
    """Whether it tells that one stream has ended or is withheld; its request id says which."""
    return reaction(code) in (Reaction.STREAM_ENDED, Reaction.STREAM_WITHHELD)


def is_warning(code: int) -> bool:
    """Whether the request or order that this code names lives on. IB keeps 2100-2199 for warnings."""
    row = CODES.get(code)
    return 2100 <= code < 2200 or bool(row and row.warning)


def is_read_only(code: int, text: str) -> bool:
    """Whether this answer tells of the gateway's Read-Only API setting (a 321 whose text says so)."""
    return code == 321 and "read-only" in text.lower()


def farm_name(text: str) -> str:
    """The farm that a farm notice names, or ''.

    It stands last, after ':' ("... connection is OK:usfarm"), and in 2107 and 2108 after '.' ("... upon
    demand.ushmds").
    """
    match = re.search(r"[:.]\s*([\w.-]+)\s*$", text) if ":" in text else re.search(r"\.\s*(\w[\w.-]*)\s*$", text)
    return match.group(1) if match else ""


def connected_farms(text: str) -> tuple[str, ...]:
    """The farms in 1102's text ("... All data farms are connected: usfarm; ushmds."); empty when it lists none."""
    _, found, names = text.partition("data farms are connected:")
    return tuple(name.strip(" .") for name in names.split(";") if name.strip(" .")) if found else ()


def feed_of(farm: str) -> Feed:
    """What the farm of this name delivers: ushmds and euhmds are HMDS, secdefnj and the like definitions."""
    name = farm.lower()
    if "hmds" in name:
        return Feed.HISTORY
    return Feed.DEFINITIONS if name.startswith("secdef") else Feed.MARKET


def new_port(text: str) -> int | None:
    """The port that 1300's text names at its end, if it is one."""
    match = re.search(r"(?<!\d)(\d{1,5})\D*$", text)
    port = int(match.group(1)) if match else 0
    return port if 0 < port < 65536 else None
