"""What codes mean for the order that they name. Users can add to this table with the setting ``order_codes``.

The table is in Python, because parsing TOML at ``connect()`` is slow, and because the table is behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from ibkr.core.codes.reactions import is_about_link, is_warning


class OrderMeaning(StrEnum):
    """What a code that comes with an order id means for that order."""

    NOTE = "note"
    """Nothing: the order continues unchanged."""
    REFUSES_NEW = "refuses_new"
    """The broker does not accept the order or, if it is working, a change to it."""
    REFUSES_CHANGE = "refuses_change"
    """The broker has the order, and does not accept a change to it."""
    REFUSES_CANCEL = "refuses_cancel"
    """The broker has or had the order, and does not accept a cancel of it."""
    ENDS = "ends"
    """The order has ended."""
    ASK = "ask"
    """Something failed: only the broker's lists of orders show the result."""

    @property
    def ends_new(self) -> bool:
        """Whether an order that was never working is over."""
        return self in (OrderMeaning.REFUSES_NEW, OrderMeaning.ENDS)


_ORDER_MEANINGS: dict[int, OrderMeaning] = {
    **dict.fromkeys((0, 100, 10052), OrderMeaning.ASK),
    **dict.fromkeys((104, 105, 329, 10326), OrderMeaning.REFUSES_CHANGE),
    **dict.fromkeys((135, 136, 161, 10147, 10148), OrderMeaning.REFUSES_CANCEL),
    202: OrderMeaning.ENDS,
}
"""Codes whose meaning does not follow from their severity."""


def order_meaning(code: int, own: Mapping[int, OrderMeaning] = MappingProxyType({})) -> OrderMeaning:
    """Return what this code means for the order that it names. The consequence depends on whether the order was
    working.

    Args:
        code: IB's code.
        own: The user's meanings, which take precedence.
    """
    word = own.get(code) or _ORDER_MEANINGS.get(code)
    if word is not None:
        return word
    if 500 <= code < 600:  # client libraries generate these
        return OrderMeaning.ASK
    if is_warning(code) or is_about_link(code):
        return OrderMeaning.NOTE
    return OrderMeaning.REFUSES_NEW


def parse_order_codes(rows: Iterable[str]) -> dict[int, OrderMeaning]:
    """Parse the user's meanings, such as ``10349=note``. Raises ``ValueError`` for any other form."""
    found = {}
    for row in rows:
        code, _, word = row.partition("=")
        found[int(code)] = OrderMeaning(word.strip())
    return found
