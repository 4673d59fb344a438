"""What is sent before what, when not all can be sent at once."""

from __future__ import annotations

from enum import IntEnum

# placeOrder, cancelOrder, reqGlobalCancel (facts/tws-protocol.md, section 5).
_ORDERS = frozenset({"3", "4", "58"})


class Urgency(IntEnum):
    """In the order in which they go."""

    ORDER = 0
    """Orders and their cancels: money waits for them."""
    PROBE = 1
    """Whether the session lives."""
    REST = 2


def urgency_of(message: str) -> Urgency:
    """The urgency of a request of the caller's or ours; its first field is the message id."""
    return Urgency.ORDER if message.partition("\0")[0] in _ORDERS else Urgency.REST
