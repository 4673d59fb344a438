"""Processes orders and executions as ib_async 2.1.0 does, without its log texts.

When the library processes a new order, or a message about an order or an execution, it spends more than a third of the
time on a log text that nobody reads. Here, the text is made only if it is logged. The code does the same as these
methods of ib_async 2.1.0: ``IB.placeOrder``, ``Wrapper.openOrder``, ``orderStatus``, ``execDetails``, and
``Decoder.parse``. If one of them was replaced, or the version is not 2.1.0, the library's own method is called.
See ``is_library_method``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from ib_async import IB, Contract, Execution, Order, OrderState, Trade
    from ib_async.wrapper import Wrapper

    from ibkr.session.library.hooks import StatusRow

_UNSET_ID = 2**31 - 1
_STATUS_FIELDS = (
    *("status", "filled", "remaining", "avgFillPrice", "permId"),
    *("parentId", "lastFillPrice", "clientId", "whyHeld", "mktCapPrice"),
)
"""Fields of ``OrderStatus`` in the order of a ``StatusRow``, whose first field is the order id."""


def is_library_method(obj: object, name: str) -> bool:
    """Whether our override would call ib_async's own method. Programs may have replaced it, as in a subclass."""
    _ours, _overrides, *others = type(obj).__mro__
    method = next((vars(cls)[name] for cls in others if name in vars(cls)), None)
    return str(getattr(method, "__globals__", {}).get("__name__")).startswith("ib_async.")


def place_order(ib: IB, contract: Contract, order: Order) -> Trade:
    """Do the same as ``IB.placeOrder``."""
    from ib_async import OrderStatus, Trade, TradeLogEntry

    wrapper = ib.wrapper
    order_id = order.orderId or ib.client.getReqId()
    ib.client.placeOrder(order_id, contract, order)
    now = dt.datetime.now(wrapper.defaultTimezone)
    key = wrapper.orderKey(wrapper.clientId, order_id, order.permId)
    trade = wrapper.trades.get(key)
    if trade:
        assert trade.orderStatus.status not in OrderStatus.DoneStates
        trade.log.append(TradeLogEntry(now, trade.orderStatus.status, "Modify"))
        ib._logger.info("placeOrder: Modify order %s", trade)
        trade.modifyEvent.emit(trade)
        ib.orderModifyEvent.emit(trade)
        return trade
    order.clientId = wrapper.clientId
    order.orderId = order_id
    status = OrderStatus(orderId=order_id, status=OrderStatus.PendingSubmit)
    trade = Trade(contract, order, status, [], [TradeLogEntry(now, status.status)])
    wrapper.trades[key] = trade
    ib._logger.info("placeOrder: New order %s", trade)
    ib.newOrderEvent.emit(trade)
    return trade


def make_trade(wrapper: Wrapper, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
    """Make a trade from a row about an unknown order, as ``Wrapper.openOrder`` does."""
    from ib_async import Contract as LibraryContract
    from ib_async import OrderStatus, Trade

    key = wrapper.orderKey(order.clientId, order.orderId, order.permId)
    if order.whatIf or wrapper.trades.get(key):
        return
    for name, value in vars(order).items():
        if value == "?":
            setattr(order, name, getattr(type(order), name))
    status = OrderStatus(orderId=order_id, status=state.status)
    trade = wrapper.trades[key] = Trade(LibraryContract.create(**vars(contract)), order, status, [], [])
    wrapper._logger.info("openOrder: %s", trade)


def take_status(wrapper: Wrapper, row: StatusRow) -> None:
    """Do the same as ``Wrapper.orderStatus``."""
    from ib_async import OrderStatus, TradeLogEntry

    trade = wrapper.trades.get(wrapper.orderKey(row.client_id, row.order_id, row.perm_id))
    if not trade:
        no_order = "orderStatus: No order found for orderId %s and clientId %s"
        wrapper._logger.error(no_order, row.order_id, row.client_id)
        return
    known, before = vars(trade.orderStatus), trade.orderStatus.status
    reported = dict(zip(_STATUS_FIELDS, row[1:], strict=True))
    is_changed = any(known[name] != value for name, value in reported.items())
    if is_changed:
        known.update(reported)
    elif not (row.status == "Submitted" and trade.log and trade.log[-1].message == "Modify"):
        return
    trade.log.append(TradeLogEntry(wrapper.lastTime, row.status, "" if is_changed else "Modified"))
    wrapper._logger.info("orderStatus: %s", trade)
    wrapper.ib.orderStatusEvent.emit(trade)
    trade.statusEvent.emit(trade)
    if row.status != before:
        if row.status == OrderStatus.Filled:
            trade.filledEvent.emit(trade)
        elif row.status == OrderStatus.Cancelled:
            trade.cancelledEvent.emit(trade)


def take_execution(wrapper: Wrapper, req_id: int, contract: Contract, execution: Execution) -> None:
    """Do the same as ``Wrapper.execDetails``."""
    from ib_async import CommissionReport, Fill, TradeLogEntry
    from ib_async import Contract as LibraryContract

    wrapper._logger.info("execDetails %s", execution)
    if execution.orderId == _UNSET_ID:
        execution.orderId = 0
    trade = wrapper.permId2Trade.get(execution.permId)
    if not trade:
        trade = wrapper.trades.get(wrapper.orderKey(execution.clientId, execution.orderId, execution.permId))
    known = trade.contract if trade else None
    contract = known if known is not None and contract == known else LibraryContract.create(**vars(contract))
    is_live = req_id not in wrapper._futures
    when = wrapper.lastTime if is_live else execution.time
    fill = Fill(contract, execution, CommissionReport(), when)
    if execution.execId not in wrapper.fills:
        wrapper.fills[execution.execId] = fill
        if trade:
            trade.fills.append(fill)
            words = f"Fill {execution.shares}@{execution.price}"
            trade.log.append(TradeLogEntry(when, trade.orderStatus.status, words))
            if is_live:
                wrapper._logger.info("execDetails: %s", fill)
                wrapper.ib.execDetailsEvent.emit(trade, fill)
                trade.fillEvent(trade, fill)
    if not is_live:
        wrapper._results[req_id].append(fill)


def parse(obj: DataclassInstance) -> None:
    """Convert the texts in an object's fields to the types of their defaults, as ``Decoder.parse`` does."""
    values = vars(obj)
    for name, convert, default in _conversions(type(obj)):
        value = values[name]
        values[name] = convert(value) if value else default


@cache
def _conversions(cls: type[DataclassInstance]) -> tuple[tuple[str, Callable[[str], object], object], ...]:
    kinds: dict[type, Callable[[str], object]] = {int: int, float: float, bool: lambda text: bool(int(text))}
    return tuple(
        (field.name, kinds[type(field.default)], field.default)
        for field in dataclasses.fields(cls)
        if type(field.default) in kinds
    )
