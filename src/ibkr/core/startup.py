"""The start-up requests by name, as the status and the gap report call them, and which of their answers tell what.

An account's values are asked for by the account's name besides; they stream, and come by themselves.
"""

from __future__ import annotations

POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
OTHERS = "orders of other clients"
EXECUTIONS = "executions"


class AccountRequest(str):
    """The name of a request that account values answer."""

    __slots__ = ()


ACCOUNT_UPDATES = AccountRequest("account updates")

ORDER_REQUESTS = (OPEN_ORDERS, COMPLETED_ORDERS)
"""What a read-only gateway refuses: orders, those that are open and those that have ended."""

TRADED = frozenset({OPEN_ORDERS, EXECUTIONS})
"""Without these nobody knows what is being traded."""

MAX_ACCOUNTS = 50
"""With more accounts the gateway refuses positions and values of all of them (IB's documentation of reqPositions)."""

BOOKS = TRADED | {COMPLETED_ORDERS, POSITIONS}
"""What is told of the broker's books."""


def account_values(account: str) -> AccountRequest:
    """The name of the request for the values of one account."""
    return AccountRequest(f"account values of {account}")


def is_about_account(name: str) -> bool:
    """Whether a request is answered by account values."""
    return isinstance(name, AccountRequest)
