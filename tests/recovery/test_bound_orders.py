"""Orders that were entered in TWS and that client 0 has taken over: ids below 0, the same care as for own orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ib_async import LimitOrder, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf

from .order_helpers import (
    ACCOUNT,
    SLOW,
    all_left,
    knows_the_others_orders,
    limit,
    make_wait,
    renumber,
    session_of,
    wait_until,
)

TEXT = {"server_version": 178}
PROTOBUF: dict[str, Any] = {}


@pytest.fixture
async def zero(gateway: Gateway, make: Make) -> IBConnector:
    """Client 0, which has taken over one order with id -1."""
    gateway.place_order("AAPL", "BUY", 100, limit_price=1.0)
    connector = make(0, request_timeout=1, **SLOW)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    return connector


@pytest.fixture
async def trade(zero: IBConnector) -> Trade:
    (trade,) = zero.ib.openTrades()
    assert (trade.order.orderId, trade.orderStatus.status) == (-1, "Submitted")
    return trade


def change(connector: IBConnector, trade: Trade, price: float = 2.0) -> None:
    trade.order.lmtPrice, trade.order.tif = price, "GTC"
    connector.ib.placeOrder(trade.contract, trade.order)


def prices(gateway: Gateway) -> list[float | None]:
    """The limit prices of the live orders at the broker."""
    return [order.limit_price for order in gateway.orders if order.is_live]


def stages(connector: IBConnector) -> list[tuple[str, int]]:
    return [(order.stage.value, order.order_id) for order in connector.orders]


async def vanish(gateway: Gateway, zero: IBConnector, state_of: StateOf) -> None:
    """Let the gateway refuse the bound order, and then report no order until the faults are cleared."""
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    session_of(gateway, 0).send_error(-1, 201, "Order rejected")
    await state_of(zero, lambda status: bool(status.unconfirmed))


def entries(connector: IBConnector) -> list[tuple[int, bool, bool]]:
    return [(order.order_id, order.has_left, order.is_change) for order in connector.status.unconfirmed]


@pytest.mark.parametrize("gateway", [TEXT, PROTOBUF], indirect=True, ids=["text", "protobuf"])
async def test_a_change_is_applied_and_the_order_is_open_all_the_time(
    gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    change(zero, trade)
    assert stages(zero) == [("open", -1)]
    await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    assert (prices(gateway), stages(zero), entries(zero)) == ([2.0], [("open", -1)], [])


async def test_a_change_without_an_answer_does_not_make_the_order_unconfirmed(
    gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    unconfirmed: list[object] = []
    zero.on_status(lambda status: unconfirmed.extend(status.unconfirmed))
    await gateway.fault("mute", "placeOrder")
    change(zero, trade)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await gateway.fault("clear")
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await zero.wait_ready_async(5)
    assert unconfirmed == []
    assert trade.order.lmtPrice == 1.0, "the broker's terms"


@pytest.mark.parametrize("gateway", [TEXT, PROTOBUF], indirect=True, ids=["text", "protobuf"])
async def test_a_refused_change_leaves_the_order_on_the_brokers_terms(
    gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    told: list[Any] = []
    zero.ib.errorEvent.connect(lambda *error: told.append(error), keep_ref=True)
    await gateway.fault("refuse_changes")
    change(zero, trade)
    await wait_until(zero, lambda: trade.order.lmtPrice == 1.0)
    assert (trade.order.tif, trade.orderStatus.status, entries(zero)) == ("DAY", "Submitted", [])
    assert 201 in [entry.errorCode for entry in trade.log]
    assert [(error[0], error[1], error[3]) for error in told] == [(-1, 201, trade.contract)]


@pytest.mark.parametrize("ending", ["halt", "session"])
async def test_a_change_that_never_leaves_is_undone(
    ending: str, gateway: Gateway, zero: IBConnector, trade: Trade, state_of: StateOf
) -> None:
    make_wait(zero)
    change(zero, trade)
    assert stages(zero) == [("open", -1)]
    if ending == "halt":
        zero.halt("meanwhile")
        await all_left(zero)
        zero.resume()
    else:
        await gateway.fault("reset")
        await state_of(zero, lambda status: bool(status.unconfirmed))
        await zero.wait_ready_async(5)
    assert (trade.order.lmtPrice, trade.order.tif, prices(gateway)) == (1.0, "DAY", [1.0])
    assert entries(zero) == [(-1, False, True)]
    change(zero, trade)
    await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    assert (prices(gateway), entries(zero)) == ([2.0], [])


async def test_a_refused_cancel_is_looked_up(gateway: Gateway, zero: IBConnector, trade: Trade) -> None:
    await gateway.fault("refuse_cancels")
    zero.ib.cancelOrder(trade.order)
    assert trade.orderStatus.status == "PendingCancel"
    await wait_until(zero, lambda: trade.orderStatus.status == "Submitted")
    assert len(gateway.seen.received("reqOpenOrders")) == 2
    assert [entry.errorCode for entry in trade.log if entry.errorCode]


async def test_it_is_cancelled_after_a_reconnect(gateway: Gateway, zero: IBConnector, trade: Trade) -> None:
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await zero.wait_ready_async(5)
    assert zero.ib.openTrades() == [trade]
    change(zero, trade)
    await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    zero.ib.cancelOrder(trade.order)
    await wait_until(zero, lambda: trade.orderStatus.status == "Cancelled")
    assert (prices(gateway), stages(zero), entries(zero)) == ([], [], [])


@pytest.mark.parametrize("is_changed", [False, True])
async def test_codes_without_an_order_are_not_about_it(
    is_changed: bool, gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    """IB sends -1 with errors that are about no order, too."""
    if is_changed:
        change(zero, trade)
        await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    codes = [504, 1102, 100, 2104] + ([] if is_changed else [321, 200])
    told: list[Any] = []
    zero.ib.errorEvent.connect(lambda *error: told.append((error[1], error[3])), keep_ref=True)
    length = len(trade.log)
    for code in codes:
        session_of(gateway, 0).send_error(-1, code, "what the gateway says")
    await wait_until(zero, lambda: len(told) == len(codes))
    assert told == [(code, None) for code in codes]
    assert [entry.errorCode for entry in trade.log[length:] if entry.errorCode] == []
    assert not trade.isDone()


@pytest.mark.parametrize(("code", "looks"), [(399, False), (201, True), (110, True)])
async def test_no_code_ends_it(code: int, looks: bool, gateway: Gateway, make: Make) -> None:
    """Also if it was never active: this program has not sent it, and only the broker knows its state."""
    placed, orders = gateway.place_order("AAPL", "BUY", 100, limit_price=1.0), gateway._state.order_handler
    for kept in (orders.engine.orders, orders.orders):
        kept[placed.perm_id] = replace(kept[placed.perm_id], status="PendingSubmit")
    zero = make(0)
    await zero.connect_async()
    await knows_the_others_orders(gateway, zero)
    (trade,) = zero.ib.openTrades()
    session_of(gateway, 0).send_error(-1, code, "what the gateway says")
    await wait_until(zero, lambda: code in [entry.errorCode for entry in trade.log])
    assert trade.orderStatus.status == "PendingSubmit"
    if looks:
        await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 2)


async def test_a_validation_error_after_a_change_is_about_it(gateway: Gateway, zero: IBConnector, trade: Trade) -> None:
    await gateway.fault("mute", "placeOrder")
    change(zero, trade)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    session_of(gateway, 0).send_error(-1, 321, "Error validating request.-'bN' : cause - what")
    await wait_until(zero, lambda: trade.order.lmtPrice == 1.0)
    assert 321 in [entry.errorCode for entry in trade.log]


async def test_an_order_that_is_bound_later_is_changed_and_not_placed_twice(
    gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    """The library keeps the order id of the first message, which is 0."""
    zero.ib.reqAutoOpenOrders(False)
    await zero.ib.reqCurrentTimeAsync()
    gateway.place_order("MSFT", "BUY", 50, limit_price=3.0)
    await zero.ib.reqAllOpenOrdersAsync()
    (late,) = (each for each in zero.ib.openTrades() if each.contract.symbol == "MSFT")
    assert late.order.orderId == 0
    await zero.ib.reqOpenOrdersAsync()
    assert late.order.orderId == late.orderStatus.orderId == -2
    change(zero, late, 4.0)
    await wait_until(zero, lambda: late.log[-1].message == "Modified")
    assert set(prices(gateway)) == {1.0, 4.0}
    assert len(prices(gateway)) == 2


async def test_a_change_with_another_order_object(gateway: Gateway, zero: IBConnector, trade: Trade) -> None:
    """The library finds the trade by the permanent id, which a new object does not have."""
    order = LimitOrder("BUY", 100, 2.0, account=ACCOUNT, orderId=-1)
    assert zero.ib.placeOrder(AAPL, order) is trade
    await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    assert (prices(gateway), zero.ib.openTrades(), stages(zero)) == ([2.0], [trade], [("open", -1)])


async def test_the_id_of_an_ended_order_may_be_another_orders(
    gateway: Gateway, zero: IBConnector, trade: Trade
) -> None:
    """TWS counts from -1 again when it restarts."""
    zero.ib.cancelOrder(trade.order)
    await wait_until(zero, trade.isDone)
    other = gateway.place_order("AAPL", "BUY", 100, limit_price=1.0)
    await wait_until(zero, zero.ib.openTrades)
    first = next(order for order in gateway.orders if order.perm_id == trade.order.permId)
    renumber(gateway, first, 9, 1)
    gateway._state.order_handler.engine.bind(other.perm_id, -1)
    await zero.ib.reqOpenOrdersAsync()
    (late,) = zero.ib.openTrades()
    await gateway.fault("refuse_changes")
    change(zero, late)
    await wait_until(zero, lambda: late.order.lmtPrice == 1.0)
    assert 201 in [entry.errorCode for entry in late.log]


async def test_the_program_is_told_that_a_bound_order_has_vanished(
    gateway: Gateway, zero: IBConnector, trade: Trade, state_of: StateOf
) -> None:
    await vanish(gateway, zero, state_of)
    assert entries(zero) == [(-1, True, False)]
    await gateway.fault("clear")
    await zero.ib.reqOpenOrdersAsync()
    assert entries(zero) == []


async def test_its_id_proves_nothing_about_another_order(
    gateway: Gateway, zero: IBConnector, trade: Trade, state_of: StateOf
) -> None:
    """TWS restarts, no longer has the first order, and gives its id to another order."""
    await vanish(gateway, zero, state_of)
    first = next(order for order in gateway.orders if order.perm_id == trade.order.permId)
    renumber(gateway, first, 9, 1)  # client 0 gets no more messages about it
    other = gateway.place_order("MSFT", "BUY", 50, limit_price=3.0)
    await gateway.fault("clear")
    gateway._state.order_handler.engine.bind(other.perm_id, -1)
    await zero.ib.reqOpenOrdersAsync()
    assert other.perm_id in [each.order.permId for each in zero.ib.openTrades()]
    assert entries(zero) == [(-1, True, False)]


async def test_a_child_of_it_is_a_new_order(gateway: Gateway, zero: IBConnector, trade: Trade) -> None:
    child = zero.ib.placeOrder(AAPL, limit(parentId=-1))
    await wait_until(zero, lambda: child.orderStatus.permId)
    assert child.order.orderId > 0
    assert entries(zero) == []
