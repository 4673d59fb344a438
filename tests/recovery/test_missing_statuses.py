"""Orders whose last status comes late or never: they are looked up at the broker, and end once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from ib_async import Contract, Trade

from ibkr import NotReady
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

from .order_helpers import Reports, knows_the_others_orders, resting, say, session_of, wait_until


async def fill_with(received: str, gateway: Gateway, trade: Trade, quantity: float | None = None) -> None:
    """Fill an order, and let only this message about it arrive."""
    for message in {"openOrder", "execDetails", "orderStatus", "commissionReport"} - {received}:
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, quantity, price=1.0)
    await gateway.fault("clear")


@pytest.mark.parametrize("received", ["openOrder", "execDetails"])
async def test_an_order_whose_last_status_never_comes_is_looked_up(received: str, gateway: Gateway, make: Make) -> None:
    """IB does not send a status for each change of an order, for example if a market order is filled at once."""
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    events: list[object] = []
    trade.filledEvent.connect(events.append, keep_ref=True)
    gateway.fill(trade.order.orderId, 40, price=1.0)
    await wait_until(connector, lambda: trade.orderStatus.filled == 40)
    await fill_with(received, gateway, trade)
    await wait_until(connector, trade.isDone)
    assert (trade.orderStatus.status, trade.filled(), events) == ("Filled", 100, [trade])
    assert connector.status.unconfirmed == ()


async def test_so_is_one_of_a_contract_that_is_only_an_id(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, Contract(conId=AAPL.conId, exchange="SMART"))
    await fill_with("execDetails", gateway, trade)
    await wait_until(connector, trade.isDone)
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", 1.0)


async def test_so_is_one_whose_object_has_a_quantity_that_was_never_sent(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    connector.halt("meanwhile")
    trade.order.totalQuantity = 200
    with pytest.raises(NotReady):
        connector.ib.placeOrder(AAPL, trade.order)
    await fill_with("execDetails", gateway, trade)
    await wait_until(connector, trade.isDone)
    assert trade.orderStatus.status == "Filled"


@pytest.mark.parametrize("gateway", [{"master_client_id": 7}], indirect=True)
async def test_so_is_one_of_another_client_and_it_is_never_unconfirmed(gateway: Gateway, make: Make) -> None:
    connector, other = make(request_timeout=0.5), make(9)
    for each in (connector, other):
        await each.connect_async()
    trades = await resting(other, AAPL, AAPL)
    await wait_until(connector, lambda: len(connector.ib.openTrades()) >= 2)
    seen = {each.order.permId: each for each in connector.ib.trades()}
    found, lost = (seen[trade.order.permId] for trade in trades)
    await fill_with("execDetails", gateway, trades[0])
    await wait_until(connector, found.isDone)
    for request in ("reqCompletedOrders", "reqExecutions"):
        await gateway.fault("mute", request)
    for message in ("execDetails", "orderStatus"):
        await gateway.fault("drop_message", message)
    gateway.fill(trades[1].order.orderId, 40, price=1.0)
    await gateway.fault("clear")
    await gateway.fault("mute", "reqCompletedOrders")
    lookups, loop = len(gateway.seen.received("reqOpenOrders")), asyncio.get_running_loop()
    await fill_with("execDetails", gateway, trades[1])
    await gateway.fault("mute", "reqCompletedOrders")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) > lookups)
    end = loop.time() + 0.7  # the lookup has ended without an answer
    while loop.time() < end:
        await connector.ib.reqCurrentTimeAsync()
    assert (connector.status.unconfirmed, lost.orderStatus.status) == ((), "Submitted")


@pytest.mark.parametrize("outage", [(), ("1100", "1102")])
async def test_a_status_from_before_the_end_changes_nothing(
    outage: tuple[str, ...], gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes after the order was looked up, or even after a later outage."""
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    events: list[object] = []
    trade.filledEvent.connect(events.append, keep_ref=True)
    await gateway.fault("delay_message", "orderStatus", 1.5 if outage else 0.5)
    for quantity in (40, 60):
        gateway.fill(trade.order.orderId, quantity, price=1.0)
    with caplog.at_level(logging.INFO, "ibkr.session"):
        await wait_until(connector, trade.isDone)
        for fault in outage:
            await gateway.fault(fault)
        await wait_until(connector, lambda: "A late status of order" in caplog.text)
    for _ in range(2):
        await connector.ib.reqCurrentTimeAsync()
    assert (trade.orderStatus.status, trade.orderStatus.filled, events) == ("Filled", 100, [trade])


async def test_a_cancelled_order_that_was_looked_up_is_cancelled_once(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    events: list[object] = []
    trade.cancelledEvent.connect(events.append, keep_ref=True)
    await gateway.fault("drop_message", "orderStatus")
    gateway.cancel_order(trade.order.orderId)
    await wait_until(connector, trade.isDone)
    await gateway.fault("clear")
    for status in ("ApiCancelled", "Cancelled"):
        say(gateway, 3, trade.order.orderId, status, 0, 100, 0, trade.order.permId, 0, 0, 7, "", 0)
    await connector.ib.reqCurrentTimeAsync()
    assert (trade.orderStatus.status, events) == ("Cancelled", [trade])


async def test_executions_alone_do_not_end_an_order_that_may_have_grown(gateway: Gateway, make: Make) -> None:
    """Its quantity was raised in TWS, the row about that was lost, and the look-up is not answered."""
    connector = make(request_timeout=0.3)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    (trade,) = await resting(connector, AAPL)
    events: list[object] = []
    trade.filledEvent.connect(events.append, keep_ref=True)
    orders = gateway._state.order_handler.engine.orders
    order = orders[trade.order.permId]
    orders[order.perm_id] = replace(order, terms=replace(order.terms, quantity=200.0))
    for request in ("reqOpenOrders", "reqCompletedOrders"):
        await gateway.fault("mute", request)
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, 100, price=1.0)
    async with asyncio.timeout(5):
        while not connector.status.unconfirmed:
            await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("clear")
    gateway.fill(trade.order.orderId, 50, price=1.0)
    await wait_until(connector, lambda: trade.orderStatus.filled == 150)
    assert (trade.orderStatus.status, events, connector.status.unconfirmed) == ("Submitted", [], ())


async def test_an_order_that_ends_while_it_is_looked_up(gateway: Gateway, make: Make) -> None:
    """The answer lists it as open. Then it is filled, before the look-up has all answers."""
    connector = make(request_timeout=3)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    requests = len(gateway.seen.received("reqExecutions"))
    await gateway.fault("delay_message", "execDetailsEnd", 0.6)
    session_of(gateway).send_error(trade.order.orderId, 161, "Order is not cancellable")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) > requests)
    await connector.ib.reqCurrentTimeAsync()  # the order was listed as open
    for message in ("openOrder", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, price=1.0)
    await connector.ib.reqCurrentTimeAsync()
    assert trade.filled() == 100
    await gateway.fault("clear")
    await wait_until(connector, trade.isDone)
    assert trade.orderStatus.status == "Filled"


async def test_the_executions_of_a_fraction_are_complete_in_spite_of_rounding(gateway: Gateway, make: Make) -> None:
    """0.1 + 0.2 is slightly more than 0.3."""
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    orders = gateway._state.order_handler.engine.orders
    order = orders[trade.order.permId]
    orders[order.perm_id] = replace(order, terms=replace(order.terms, quantity=0.3))
    await gateway.fault("drop_message", "orderStatus")
    gateway.fill(trade.order.orderId, 0.1, price=1.0)
    await gateway.fault("clear")
    await connector.ib.reqOpenOrdersAsync()
    say(gateway, 3, trade.order.orderId, "Submitted", "0.1", "0.2", 1.0, trade.order.permId, 0, 1.0, 7, "", 0)
    await wait_until(connector, lambda: trade.orderStatus.remaining == 0.2)
    await fill_with("execDetails", gateway, trade)
    await wait_until(connector, trade.isDone)
    assert trade.orderStatus.status == "Filled"


async def test_the_row_of_an_open_order_may_be_all_that_tells_its_end(
    gateway: Gateway, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer lists it as open, with the state Cancelled. It is looked up once, not again after each answer."""
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    for message in ("orderStatus", "completedOrder"):
        await gateway.fault("drop_message", message)
    gateway.cancel_order(trade.order.orderId)
    handler = gateway._state.order_handler
    listed = handler.open_orders
    monkeypatch.setattr(handler, "open_orders", lambda: [*listed(), handler.engine.orders[trade.order.permId]])
    await wait_until(connector, trade.isDone)
    assert (trade.orderStatus.status, connector.status.unconfirmed) == ("Cancelled", ())
    assert len(gateway.seen.received("reqOpenOrders")) == 2


async def test_the_programs_own_request_for_executions_tells_all_fills_or_none(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    events: list[float] = []
    trade.fillEvent.connect(lambda _, fill: events.append(fill.execution.shares), keep_ref=True)
    for quantity in (40, 60):
        await fill_with("none", gateway, trade, quantity)
    await connector.ib.reqExecutionsAsync()
    await wait_until(connector, trade.isDone)
    assert (trade.filled(), events) == (100, [])


async def test_an_order_with_a_status_is_not_looked_up(
    gateway: Gateway, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ibkr.session.orders.order_error_handler._FIRST_DELAY", 0.0)
    connector = make(request_timeout=1)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    gateway.fill(trade.order.orderId, price=1.0)
    await wait_until(connector, trade.isDone)
    for _ in range(3):
        await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("reqOpenOrders")) == 1


@pytest.mark.parametrize("fault", ["1102", "reset"])
async def test_a_late_row_about_an_ended_order_does_not_make_it_open(fault: str, gateway: Gateway, make: Make) -> None:
    """The row comes during start-up, after the completed orders. Its status came before, and was lost."""
    connector = make(request_timeout=3)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    await gateway.fault("late_executions", 0.1)
    await gateway.fault("1100")
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("drop_message", "orderStatus")
    await gateway.fault("delay_message", "execDetailsEnd", 0.4)
    await gateway.fault("1102")
    if fault == "reset":
        await gateway.fault("reset")
    report = await told.next()
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 100)
    assert [change.after.status for change in report.orders_changed] == ["Filled"]
