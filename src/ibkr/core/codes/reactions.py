"""The codes that a running connector must know, and what each makes the machine do.

They are the part of the catalogue that is loaded with every connector; nothing else makes the machine react.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import partial

from ibkr.core.codes.code import Category, Code, Reaction, Scope, Severity

_session = partial(Code, category=Category.CONNECTION, scope=Scope.SESSION)
_upstream = partial(Code, category=Category.CONNECTION, scope=Scope.UPSTREAM)
_farm = partial(Code, category=Category.CONNECTION, scope=Scope.FARM)
_data = partial(Code, category=Category.MARKET_DATA, scope=Scope.REQUEST)
_WAIT_FOR_IB = (
    "Nothing to restart: the gateway comes back by itself. If it lasts outside IB's maintenance windows, look at the"
    " gateway's network, at IB's system status page, and for another login of the same user."
)
_WAIT_FOR_FARM = (
    "Wait: farms break for seconds, at night for minutes; data of other farms goes on. If it lasts, look at IB's system"
    " status page and at the gateway's network."
)
_NOTHING = "Nothing to do."
_SLEEPS = "Nothing to do: it connects when data of it is asked for."

TOO_FAST = 100
UPSTREAM_LOST = 1100
WITHHELD = 10197

CODES: dict[int, Code] = {
    row.code: row
    for row in (
        _session(
            TOO_FAST,
            "Messages come faster than the gateway allows (50 a second by default).",
            advice="Send fewer messages: the third time the gateway ends the session. The connector slows down by"
            " itself; look for another program at this gateway, or lower send_rate.",
            retry_helps=True,
            reaction=Reaction.TOO_FAST,
        ),
        _data(
            316,
            "Market depth was halted: to be asked for again.",
            advice="The connector asks for it again; without it, subscribe anew.",
            retry_helps=True,
            reaction=Reaction.STREAM_ENDED,
        ),
        _data(
            317,
            "Market depth was reset: the book begins anew.",
            advice="The connector clears the book and asks for it again; without it, clear the book yourself.",
            retry_helps=True,
            reaction=Reaction.STREAM_ENDED,
        ),
        Code(
            321,
            "The request does not pass the gateway's validation: wrong parameter, missing account, read-only API.",
            Category.REQUESTS,
            Scope.REQUEST,
            advice="The text gives the cause. 'Read-Only': switch off Read-Only API in the gateway's API settings to"
            " trade. Else correct the parameter that it names.",
            reaction=Reaction.READ_ONLY,
        ),
        _session(
            326,
            "This client id is in use by another session; the new one is refused.",
            advice="Close the program that has it, or give this one an id of its own (IBKR_CLIENT_ID). After a lost"
            " session it is often one's own: the gateway frees it within a minute, and the connector waits for that.",
            retry_helps=True,
            reaction=Reaction.CLIENT_ID_IN_USE,
        ),
        _upstream(
            UPSTREAM_LOST,
            "The gateway has lost its link to IB: an outage, the nightly reset, a login elsewhere. The socket stays.",
            advice=_WAIT_FOR_IB,
            retry_helps=True,
            reaction=Reaction.UPSTREAM_LOST,
        ),
        _upstream(
            1101,
            "The link to IB is back; every subscription is lost.",
            severity=Severity.WARNING,
            advice="Subscribe to everything again, ask for orders and executions; the connector does both by itself.",
            reaction=Reaction.UPSTREAM_BACK_DATA_LOST,
        ),
        _upstream(
            1102,
            "The link to IB is back; subscriptions are kept.",
            severity=Severity.GOOD,
            advice="Nothing to do. The connector asks again for a stream that stays silent all the same.",
            reaction=Reaction.UPSTREAM_BACK,
        ),
        _session(
            1300,
            "The gateway's API port was changed; this session ends.",
            advice="Connect to the port in the message, as the connector does; set ibkr.port to it for the next start.",
            retry_helps=True,
            reaction=Reaction.PORT_CHANGED,
        ),
        _farm(
            2103,
            "A market data farm is broken: its quotes stop.",
            severity=Severity.WARNING,
            advice=_WAIT_FOR_FARM,
            retry_helps=True,
            reaction=Reaction.FARM_BROKEN,
        ),
        _farm(
            2104,
            "A market data farm is OK: good news, though it comes as an error.",
            severity=Severity.GOOD,
            advice=_NOTHING,
            reaction=Reaction.FARM_OK,
        ),
        _farm(
            2105,
            "A historical data (HMDS) farm is broken: requests for bars fail.",
            severity=Severity.WARNING,
            advice=_WAIT_FOR_FARM,
            retry_helps=True,
            reaction=Reaction.FARM_BROKEN,
        ),
        _farm(
            2106,
            "A historical data (HMDS) farm is OK.",
            severity=Severity.GOOD,
            advice=_NOTHING,
            reaction=Reaction.FARM_OK,
        ),
        _farm(
            2107,
            "A historical data (HMDS) farm sleeps until it is needed.",
            severity=Severity.GOOD,
            advice=_SLEEPS,
            reaction=Reaction.FARM_INACTIVE,
        ),
        _farm(
            2108,
            "A market data farm sleeps until it is needed.",
            severity=Severity.GOOD,
            advice=_SLEEPS,
            reaction=Reaction.FARM_INACTIVE,
        ),
        _upstream(
            2110,
            "The gateway has no link to IB's servers.",
            advice=_WAIT_FOR_IB,
            retry_helps=True,
            reaction=Reaction.UPSTREAM_LOST,
        ),
        _farm(
            2119,
            "A market data farm is connecting.",
            severity=Severity.GOOD,
            advice="Nothing to do: 2104 follows within seconds.",
            reaction=Reaction.FARM_CONNECTING,
        ),
        _farm(
            2157,
            "The contract data (sec-def) farm is broken: contracts cannot be looked up.",
            severity=Severity.WARNING,
            advice=_WAIT_FOR_FARM,
            retry_helps=True,
            reaction=Reaction.FARM_BROKEN,
        ),
        _farm(
            2158,
            "The contract data (sec-def) farm is OK.",
            severity=Severity.GOOD,
            advice=_NOTHING,
            reaction=Reaction.FARM_OK,
        ),
        _data(
            10182,
            "Updates of this stream ended with the link to IB.",
            advice="The connector asks for it again; without it, subscribe anew.",
            retry_helps=True,
            reaction=Reaction.STREAM_ENDED,
        ),
        _data(
            WITHHELD,
            "Data is withheld while another session of this user is logged in.",
            severity=Severity.WARNING,
            advice="Log the other session out (TWS, mobile, Client Portal): one login a user. A second user name with"
            " its own data subscriptions ends this for good. The data comes back by itself.",
            retry_helps=True,
            reaction=Reaction.STREAM_WITHHELD,
        ),
        _data(
            10225,
            "A bust event ended the real-time bars.",
            advice="The connector asks for them again; without it, subscribe anew.",
            retry_helps=True,
            reaction=Reaction.STREAM_ENDED,
        ),
    )
}

WARNINGS = frozenset(
    {0, 131, 165, 399, 404, 450, 481, 492, 10018, 10019, 10052, 10090, 10091, 10167, 10197, 10233}
    | {10331, 10332, 10333, 10347, 10349}
)
"""Besides 2100 to 2199: after these the request or order lives on. A test holds them against the catalogue."""


_REFUSES_CANCEL = frozenset({135, 136, 161, 10147, 10148})
_NO_WORD_OF_ORDERS = frozenset({0, 100})
"""Of these and of those below 600 that the client side makes up (500 to 599), nothing follows for the order."""


class OrderWord(Enum):
    """What a code that comes with an order's id says of that order."""

    NOTE = auto()
    """Nothing: it lives on as it is."""
    REFUSAL = auto()
    """The broker does not take what was sent last, or the order has ended."""
    DOUBT = auto()
    """Something else went wrong: only the broker's list of orders tells what became of it."""


def order_word(code: int) -> OrderWord:
    """What this code says of the order that it names; what follows depends on whether the broker has worked it."""
    if code in _NO_WORD_OF_ORDERS or 500 <= code < 600 or code in _REFUSES_CANCEL:
        return OrderWord.DOUBT
    if is_warning(code) or is_about_link(code):
        return OrderWord.NOTE
    return OrderWord.REFUSAL


IN_WORDS: dict[Reaction, str] = {
    Reaction.UPSTREAM_LOST: "is DEGRADED until the link is back, and keeps the socket",
    Reaction.UPSTREAM_BACK_DATA_LOST: "asks for orders, executions and every subscription again, then is READY",
    Reaction.UPSTREAM_BACK: "is READY at once, and watches that the streams go on",
    Reaction.FARM_BROKEN: "shows the farm as broken; DEGRADED if it is one of required_farms",
    Reaction.FARM_OK: "shows the farm as OK, and watches that its streams go on",
    Reaction.FARM_INACTIVE: "shows the farm as inactive, which is not broken",
    Reaction.FARM_CONNECTING: "shows the farm as connecting, which is not broken",
    Reaction.CLIENT_ID_IN_USE: "fails a first connection after connect_attempts; goes on trying after a lost one",
    Reaction.PORT_CHANGED: "connects to the new port, in turn with the configured one",
    Reaction.TOO_FAST: "sends more slowly, and says so",
    Reaction.STREAM_ENDED: "asks for the stream again once upstream and farm are up",
    Reaction.READ_ONLY: "takes one that says 'Read-Only' for the answer to start-up's order requests: may not trade",
    Reaction.STREAM_WITHHELD: "says so, and watches the stream until its next tick",
}
"""What the connector does by itself, for those who read about a code."""


def reaction(code: int) -> Reaction:
    """What the machine does for this code; ``NONE`` for those that it leaves to the caller."""
    row = CODES.get(code)
    return row.reaction if row else Reaction.NONE


def is_about_link(code: int) -> bool:
    """Whether the machine must know of it: of the session, its upstream or a farm, not of one request or stream."""
    row = CODES.get(code)
    return row is not None and row.scope is not Scope.REQUEST


def is_about_farm(code: int) -> bool:
    """Whether it tells how one of the gateway's data farms is."""
    row = CODES.get(code)
    return row is not None and row.scope is Scope.FARM


def is_warning(code: int) -> bool:
    """Whether the request or order that this code names lives on. IB keeps 2100-2199 for warnings."""
    return 2100 <= code < 2200 or code in WARNINGS


def is_for_now(code: int, text: str) -> bool:
    """Whether a refusal lasts no longer than an outage: history is refused while its service is away (162)."""
    return code == 162 and "connection attempt failed" in text


def is_read_only(code: int, text: str) -> bool:
    """Whether this answer tells of the gateway's Read-Only API setting (a 321 whose text says so)."""
    return reaction(code) is Reaction.READ_ONLY and "read-only" in text.lower()
