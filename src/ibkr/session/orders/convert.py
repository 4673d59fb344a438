"""Converts the library's trades, fills and positions to the core's records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibkr.core.order_records import Execution, Order, Position, SentOrder

if TYPE_CHECKING:
    from decimal import Decimal

    import ib_async

_LARGEST_PRICE = 1e300
"""A higher price means "not set"."""
_COMPLETED_FORMAT = "%Y%m%d %H:%M:%S"


def perm_id_of(trade: ib_async.Trade) -> int:
    """The permanent id of an order. It comes with one of two messages. 0 if neither has come."""
    return int(trade.order.permId or trade.orderStatus.permId)


def order_of(trade: ib_async.Trade) -> Order:
    """The record of a trade that the library keeps."""
    status = trade.orderStatus
    return _order(
        trade.contract,
        trade.order,
        perm_id=perm_id_of(trade),
        status=status.status,
        filled=status.filled,
        average_price=status.avgFillPrice,
        is_live=not trade.isDone(),
    )


def open_order_of(contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> Order:
    """The record of an open order as the gateway reports it. Its filled quantity follows with its status."""
    return _order(contract, order, perm_id=order.permId, status=state.status)


def completed_order_of(contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> Order:
    """The record of a completed order as the gateway reports it. The reported total is the unfilled quantity."""
    filled = _number(order.filledQuantity) or 0.0
    return _order(
        contract,
        order,
        perm_id=order.permId,
        quantity=(_number(order.totalQuantity) or 0.0) + filled,
        status=state.status,
        filled=filled,
        is_live=False,
        ended_at=_completed_time(state.completedTime),
    )


def execution_of(contract: ib_async.Contract, found: ib_async.Execution) -> Execution:
    """The record of an execution that the library has decoded."""
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
        is_combo=contract.secType == "BAG",
        underlying=contract.symbol,
    )


def position_of(position: ib_async.Position) -> Position:
    """The record of a position that the library keeps."""
    contract = position.contract
    return Position(
        position.account, contract.conId, _symbol(contract), float(position.position), float(position.avgCost)
    )


def sent_order(
    order_id: int, contract: ib_async.Contract, order: ib_async.Order, *, has_left: bool = False
) -> SentOrder:
    """The record of an order that is sent to the gateway, or was sent."""
    # Positional arguments: they halve the time that this takes when an order is sent.
    return SentOrder(
        order_id,
        order.account,
        contract.conId,
        _symbol(contract),
        order.action,
        float(order.totalQuantity),
        order.orderType,
        order.orderRef,
        has_left,
        False,
        tuple(leg.conId for leg in contract.comboLegs) if contract.comboLegs else (),
        contract.symbol,
    )


def exercise_of(
    reqId: int, contract: ib_async.Contract, exerciseAction: int, exerciseQuantity: int, account: str, **_rest: object
) -> SentOrder:
    """The record of an option's exercise or lapse. The parameters have the names of the library's arguments."""
    action = "EXERCISE" if exerciseAction == 1 else "LAPSE"
    quantity = float(exerciseQuantity)
    return SentOrder(
        reqId, account, contract.conId, _symbol(contract), action, quantity, "", "", underlying=contract.symbol
    )


def prices_of(order: ib_async.Order) -> tuple[float | None, float | None]:
    """The limit price and the stop price of an order, ``None`` where it has none."""
    has_limit = "LMT" in order.orderType or "LIMIT" in order.orderType
    return _number(order.lmtPrice) if has_limit else None, _number(order.auxPrice) or None


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
    limit_price, stop_price = prices_of(order)
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
        limit_price=limit_price,
        stop_price=stop_price,
        order_ref=order.orderRef,
        status=status,
        filled=float(filled),
        average_price=float(average_price),
        is_live=is_live,
        ended_at=ended_at,
        underlying=contract.symbol,
    )


def _symbol(contract: ib_async.Contract) -> str:
    return str(contract.localSymbol or contract.symbol)


def _number(value: float | Decimal | None) -> float | None:
    return None if value is None or abs(float(value)) > _LARGEST_PRICE else float(value)


def _completed_time(text: str) -> datetime | None:
    """Parse a time such as ``20260302 14:30:00 US/Eastern``.

    A time without a zone is this computer's local time. Returns ``None`` if the text cannot be parsed.
    """
    moment, _, zone = text.strip().rpartition(" ") if text.count(" ") > 1 else (text.strip(), "", "")
    try:
        found = datetime.strptime(moment, _COMPLETED_FORMAT)
        return found.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone)) if zone else found.astimezone()
    except (ValueError, ZoneInfoNotFoundError):
        return None
