"""The start-up requests by name, as the status and the gap report call them, and which of their answers tell what.

An account's values are asked for by the account's name besides; they stream, and come by themselves.
"""

from __future__ import annotations

POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
OTHERS = "orders of other clients"
EXECUTIONS = "executions"
ACCOUNT_UPDATES = "account updates"
_ACCOUNT_VALUES = "account values of "

ORDER_REQUESTS = (OPEN_ORDERS, COMPLETED_ORDERS)
"""What a read-only gateway refuses: orders, those that are open and those that have ended."""

TRADED = frozenset({OPEN_ORDERS, EXECUTIONS})
"""Without these nobody knows what is being traded."""

MAX_ACCOUNTS = 50
"""With more accounts the gateway refuses positions and values of all of them (IB's documentation of reqPositions)."""

BOOKS = TRADED | {COMPLETED_ORDERS, POSITIONS}
"""What is told of the broker's books."""


def account_values(account: str) -> str:
    """The name of the request for the values of one account."""
    return f"{_ACCOUNT_VALUES}{account}"


def is_about_account(name: str) -> bool:
    """Whether a request is answered by account values."""
    return name == ACCOUNT_UPDATES or name.startswith(_ACCOUNT_VALUES)
