"""Answers and rows that come late, belong to a request from before the gateway's link was back, or never come."""

from __future__ import annotations

import asyncio

import pytest

from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf

from .order_helpers import Reports, resting, wait_until


async def test_completed_orders_that_come_late_end_their_trades(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=0.3, missing_every=0.2)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    gateway.cancel_order(trade.order.orderId)
    await gateway.fault("clear")
    await gateway.fault("mute", "reqCompletedOrders")
    await gateway.fault("reset")
    first = await told.next()
    assert (first.incomplete, trade.isDone()) == (("no answer to the request for completed orders",), False)
    await gateway.fault("clear")
    second = await told.next()
    assert [change.after.status for change in second.orders_changed] == ["Cancelled"]
    assert (second.is_amended, second.complete, trade.orderStatus.status) == (True, True, "Cancelled")


async def test_executions_that_come_late_are_added_to_the_report(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=0.3, missing_every=0.2, require_executions=False)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("clear")
    await gateway.fault("mute", "reqExecutions")
    await gateway.fault("reset")
    first = await told.next()
    assert (first.incomplete, first.executions) == (("no answer to the request for executions",), ())
    await gateway.fault("clear")
    second = await told.next()
    assert [(each.symbol, each.shares) for each in second.executions] == [("AAPL", 100)]
    assert (second.is_amended, second.complete) == (True, True)


@pytest.mark.parametrize("back", ["1101", "1102"])
@pytest.mark.parametrize(
    ("request_name", "end", "name"),
    [
        ("reqPositions", "positionEnd", "positions"),
        ("reqOpenOrders", "openOrderEnd", "open orders"),
        ("reqCompletedOrders", "completedOrdersEnd", "completed orders"),
        ("reqExecutions", "execDetailsEnd", "executions"),
    ],
)
async def test_an_answer_to_what_was_asked_before_the_link_was_back_does_not_count(
    back: str, request_name: str, end: str, name: str, gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(request_timeout=0.4, missing_every=9.0)
    await gateway.fault("delay_message", end, 0.3)
    connecting = asyncio.ensure_future(connector.connect_async(wait=True))
    await gateway.wait_for(lambda gateway: gateway.seen.received(request_name))
    await gateway.fault("mute", request_name)
    await gateway.fault(back)
    await connecting
    status = await state_of(connector, lambda status: "without an answer" in status.reason)
    assert f"start-up requests without an answer: {name}" in status.reason


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
    for message in {"openOrder", "execDetails", "orderStatus", "commissionReport"} - {received}:
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, 60, price=1.0)
    await gateway.fault("clear")
    await wait_until(connector, trade.isDone)
    assert (trade.orderStatus.status, trade.filled(), events) == ("Filled", 100, [trade])
    assert connector.status.unconfirmed == ()


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
