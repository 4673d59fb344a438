"""What is sent before what, when not all can be sent at once."""

from __future__ import annotations

from enum import IntEnum

# placeOrder, cancelOrder, exerciseOptions, reqGlobalCancel; reqCurrentTime: message ids of ibapi.
_ORDERS = frozenset({"3", "4", "21", "58"})
_CURRENT_TIME = "49"


class Urgency(IntEnum):
    """In the order in which they go."""

    ORDER = 0
    """Orders and their cancels: money waits for them."""
    PROBE = 1
    """Whether the session lives: ``reqCurrentTime``, whoever asks, so that a probe may share the caller's."""
    REST = 2


def urgency_of(message: str) -> Urgency:
    """The urgency of a request of the caller's or ours; its first field is the message id."""
    message_id = message.partition("\0")[0]
    if message_id in _ORDERS:
        return Urgency.ORDER
    return Urgency.PROBE if message_id == _CURRENT_TIME else Urgency.REST
