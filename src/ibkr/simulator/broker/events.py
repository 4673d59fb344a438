"""What the broker has to tell, in the order in which it happened."""

from dataclasses import dataclass
from typing import TypeAlias

from ibkr.simulator.broker.order import Execution, Order


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """The order as it is now: orderStatus, and openOrder before it unless `is_status_only`."""

    order: Order
    is_status_only: bool = False


@dataclass(frozen=True, slots=True)
class Executed:
    """The market has filled something of an order: execDetails."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Charged:
    """What a fill has cost: commissionReport."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Refused:
    """An error about an order, in the words of TWS."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Previewed:
    """The answer to a whatIf order, amounts before and after it."""

    order: Order
    margin_before: float
    margin_after: float
    equity: float
    commission: float


Event: TypeAlias = OrderChanged | Executed | Charged | Refused | Previewed
