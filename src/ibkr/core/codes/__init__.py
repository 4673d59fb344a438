"""IB's codes: what each code means, how severe it is, what to do, and what the connector does about it.

``find``, ``search`` and ``catalogue`` read ``catalogue.toml``, which has all codes. ``reactions`` is what a running
connector needs and is always loaded.
"""

from ibkr.core.codes.catalogue import catalogue, find, parse_catalogue, search
from ibkr.core.codes.code import Category, Code, Reaction, Scope, Severity
from ibkr.core.codes.notice_text import connected_farms, disconnected_farms, farm_name, feed_of, new_port
from ibkr.core.codes.order_meanings import OrderMeaning, order_meaning, parse_order_codes
from ibkr.core.codes.reactions import (
    REACTION_TEXTS,
    REACTIONS,
    TEMPORARY_REFUSALS,
    TOO_FAST,
    UPSTREAM_LOST,
    WITHHELD,
    is_about_farm,
    is_about_link,
    is_read_only,
    is_temporary_refusal,
    is_warning,
    reaction,
)

__all__ = [
    "REACTIONS",
    "REACTION_TEXTS",
    "TEMPORARY_REFUSALS",
    "TOO_FAST",
    "UPSTREAM_LOST",
    "WITHHELD",
    "Category",
    "Code",
    "OrderMeaning",
    "Reaction",
    "Scope",
    "Severity",
    "catalogue",
    "connected_farms",
    "disconnected_farms",
    "farm_name",
    "feed_of",
    "find",
    "is_about_farm",
    "is_about_link",
    "is_read_only",
    "is_temporary_refusal",
    "is_warning",
    "new_port",
    "order_meaning",
    "parse_catalogue",
    "parse_order_codes",
    "reaction",
    "search",
]
