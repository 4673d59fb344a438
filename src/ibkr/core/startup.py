"""The start-up requests by name, as the status and the gap report call them, and which of their answers tell what.

An account's values are asked for by the account's name besides; they stream, and come by themselves.
"""

from __future__ import annotations

POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
OTHERS = "orders of other clients"
EXECUTIONS = "executions"

ORDER_REQUESTS = (OPEN_ORDERS, COMPLETED_ORDERS)
"""What a read-only gateway refuses: orders, those that are open and those that have ended."""

TRADED = frozenset({OPEN_ORDERS, EXECUTIONS})
"""Without these nobody knows what is being traded."""

BOOKS = TRADED | {COMPLETED_ORDERS, POSITIONS}
"""What is told of the broker's books."""
