"""The library's trades, fills and positions as the core's plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibkr.core.orders import Execution, Order, Position, SentOrder

if TYPE_CHECKING:
    from decimal import Decimal

    import ib_async

_UNSET = 1e300
"""Prices that are not set are beyond it."""
_COMPLETED = "%Y%m%d %H:%M:%S"


def order_of(trade: ib_async.Trade) -> Order:
    """An order that the library keeps."""
    status = trade.orderStatus
    return _order(
        trade.contract,
        trade.order,
        perm_id=trade.order.permId or status.permId,
        status=status.status,
        filled=status.filled,
        average_price=status.avgFillPrice,
        is_live=not trade.isDone(),
    )


def order_of_row(contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> Order:
    """An order that is open, as the gateway tells of it; what is filled of it follows with its status."""
    return _order(contract, order, perm_id=order.permId, status=state.status)


def order_that_ended(contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> Order:
    """An order that is completed, as the gateway tells of it: its total is what was not filled."""
    filled = _number(order.filledQuantity) or 0.0
    return _order(
        contract,
        order,
        perm_id=order.permId,
        quantity=(_number(order.totalQuantity) or 0.0) + filled,
        status=state.status,
        filled=filled,
        is_live=False,
        ended_at=_when(state.completedTime),
    )


def execution_of(contract: ib_async.Contract, found: ib_async.Execution) -> Execution:
    """An execution as the library has decoded it."""
    return Execution(
        exec_id=found.execId,
        perm_id=found.permId,
        client_id=found.clientId,
        order_id=found.orderId,
        account=found.acctNumber,
        con_id=contract.conId,
        symbol=_symbol(contract),
        side=found.side,
        shares=float(found.shares),
        price=found.price,
        time=found.time if found.time.tzinfo else found.time.astimezone(),
        order_ref=found.orderRef,
    )


def position_of(position: ib_async.Position) -> Position:
    """A position that the library keeps."""
    contract = position.contract
    return Position(
        position.account, contract.conId, _symbol(contract), float(position.position), float(position.avgCost)
    )


def sent_order(
    order_id: int, contract: ib_async.Contract, order: ib_async.Order, *, has_left: bool = False
) -> SentOrder:
    """An order as it goes to the gateway, or as it went there."""
    return SentOrder(
        order_id,
        order.account,
        contract.conId,
        _symbol(contract),
        order.action,
        float(order.totalQuantity),
        order.orderType,
        order.orderRef,
        has_left=has_left,
    )


def _order(
    contract: ib_async.Contract,
    order: ib_async.Order,
    *,
    perm_id: int,
    status: str,
    quantity: float | None = None,
    filled: float = 0.0,
    average_price: float = 0.0,
    is_live: bool = True,
    ended_at: datetime | None = None,
) -> Order:
    return Order(
        perm_id=perm_id,
        client_id=order.clientId,
        order_id=order.orderId,
        account=order.account,
        con_id=contract.conId,
        symbol=_symbol(contract),
        action=order.action,
        quantity=float(order.totalQuantity) if quantity is None else quantity,
        order_type=order.orderType,
        limit_price=_number(order.lmtPrice) if "LMT" in order.orderType or "LIMIT" in order.orderType else None,
        stop_price=_number(order.auxPrice) or None,
        order_ref=order.orderRef,
        status=status,
        filled=float(filled),
        average_price=float(average_price),
        is_live=is_live,
        ended_at=ended_at,
    )


def _symbol(contract: ib_async.Contract) -> str:
    return str(contract.localSymbol or contract.symbol)


def _number(value: float | Decimal | None) -> float | None:
    return None if value is None or abs(float(value)) > _UNSET else float(value)


def _when(text: str) -> datetime | None:
    """``20260302 14:30:00 US/Eastern``, without a zone that of this machine; None where it cannot be read."""
    moment, _, zone = text.strip().rpartition(" ") if text.count(" ") > 1 else (text.strip(), "", "")
    try:
        found = datetime.strptime(moment, _COMPLETED)
        return found.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone)) if zone else found.astimezone()
    except (ValueError, ZoneInfoNotFoundError):
        return None
