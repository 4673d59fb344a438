"""``Priority``: which messages are sent first when not all can be sent together."""

from __future__ import annotations

from enum import IntEnum

# Message ids of ibapi. Orders: placeOrder, cancelOrder, exerciseOptions, reqGlobalCancel; then: reqCurrentTime.
_ORDERS = frozenset({"3", "4", "21", "58"})
_CURRENT_TIME = "49"
# Message ids of ibapi: reqOpenOrders, reqExecutions, reqAllOpenOrders, reqPositions, reqCompletedOrders.
_BROKER_STATE = frozenset({"5", "7", "16", "61", "99"})


class Priority(IntEnum):
    """The order in which messages are sent."""

    ORDER = 0
    """Orders and their cancels."""
    PROBE = 1
    """``reqCurrentTime``, from us or the program: a probe may share the program's request."""
    BROKER_STATE = 2
    """Requests for orders, executions and positions. Sent immediately: a session cannot trade without the answers."""
    OTHER = 3


def priority_of(message: str) -> Priority:
    """The priority of a message. Its first field is the message id."""
    message_id = message.partition("\0")[0]
    if message_id in _ORDERS:
        return Priority.ORDER
    if message_id == _CURRENT_TIME:
        return Priority.PROBE
    return Priority.BROKER_STATE if message_id in _BROKER_STATE else Priority.OTHER
