"""IB's codes as data: what each means, how bad it is, what to do, and what it makes us do. The one source of all that.

``CODES`` are those that the machine reacts to, always loaded; ``catalogue()`` has all of them. Nearly all are from the
list in IBKR Campus's documentation of the TWS API (June 2025); the others from ibapi 10.46 and from what gateways were
seen to send: the lists of deephaven-ib, Lean and @stoqey/ib, and issues of rust-ibapi, ib_insync and qtpylib.
"""

from ibkr.core.codes.catalogue import catalogue, find, search
from ibkr.core.codes.code import Category, Code, Reaction, Scope, Severity
from ibkr.core.codes.notices import connected_farms, farm_name, feed_of, new_port
from ibkr.core.codes.reactions import (
    CODES,
    IN_WORDS,
    TOO_FAST,
    UPSTREAM_LOST,
    WITHHELD,
    OrderWord,
    is_about_farm,
    is_about_link,
    is_for_now,
    is_read_only,
    is_warning,
    order_word,
    reaction,
)

__all__ = [
    "CODES",
    "IN_WORDS",
    "TOO_FAST",
    "UPSTREAM_LOST",
    "WITHHELD",
    "Category",
    "Code",
    "OrderWord",
    "Reaction",
    "Scope",
    "Severity",
    "catalogue",
    "connected_farms",
    "farm_name",
    "feed_of",
    "find",
    "is_about_farm",
    "is_about_link",
    "is_for_now",
    "is_read_only",
    "is_warning",
    "new_port",
    "order_word",
    "reaction",
    "search",
]
