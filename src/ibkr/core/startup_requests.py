"""Names of the start-up requests in the status and the gap report, and what their answers contain.

Each account's values are requested by the account's name, too. They stream without further requests.
"""

from __future__ import annotations

POSITIONS = "positions"
OPEN_ORDERS = "open orders"
COMPLETED_ORDERS = "completed orders"
OTHER_CLIENTS_ORDERS = "orders of other clients"
EXECUTIONS = "executions"


class AccountRequest(str):
    """The name of a request that is answered with account values."""

    __slots__ = ()


ACCOUNT_UPDATES = AccountRequest("account updates")

ORDER_REQUESTS = (OPEN_ORDERS, COMPLETED_ORDERS)
"""Requests that a read-only gateway refuses: open and completed orders."""

TRADING_STATE = frozenset({OPEN_ORDERS, EXECUTIONS})
"""Without these answers, the program's orders and executions are unknown."""

MAX_ACCOUNTS = 50
"""With more accounts the gateway refuses the positions and values of all of them (IB's documentation of reqPositions).
"""

BROKER_STATE = TRADING_STATE | {COMPLETED_ORDERS, POSITIONS}
"""The answers that are compared with the last known state."""


def account_values(account: str) -> AccountRequest:
    """The name of the request for the values of one account."""
    return AccountRequest(f"account values of {account}")


def is_about_account(name: str) -> bool:
    """Whether a request is answered with account values."""
    return isinstance(name, AccountRequest)
