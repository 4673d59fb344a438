"""The events of the broker, which become messages to the clients."""

from dataclasses import dataclass
from typing import TypeAlias

from ibkr.simulator.broker.order import Execution, Order


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """The order has changed: orderStatus, and before it openOrder unless `is_status_only`."""

    order: Order
    is_status_only: bool = False


@dataclass(frozen=True, slots=True)
class Executed:
    """The market has filled an order, or a part of it: execDetails."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Charged:
    """The commission of a fill: commissionReport."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class OrderNotice:
    """An error or note about an order, with the text of TWS."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Previewed:
    """The answer to a whatIf order: margin and equity before and after it."""

    order: Order
    margin_before: float
    margin_after: float
    equity: float
    commission: float


OrderEvent: TypeAlias = OrderChanged | Executed | Charged | OrderNotice | Previewed
