"""Start-up answers that come late, or that belong to a request from before the gateway's link was back."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import Trade

from ibkr import IBConnector
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


async def test_the_listeners_hear_of_executions_that_come_late(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=0.3, missing_every=0.2, require_executions=False)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    told, events = Reports(connector), fill_events(connector, trade)
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, 40, price=1.0)
    await gateway.fault("clear")
    await gateway.fault("mute", "reqExecutions")
    await gateway.fault("reset")
    await told.next()
    await gateway.fault("clear")
    await told.next()
    assert events == ["execution", "fill", "commission"]
    await connector.ib.reqExecutionsAsync()  # a request of the program itself sends no events
    assert events == ["execution", "fill", "commission"]


async def test_they_hear_of_executions_that_come_after_a_look_up(gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=0.3)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    events = fill_events(connector, trade)
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, price=1.0)  # only openOrder arrives
    await gateway.fault("clear")
    for message in ("execDetails", "execDetailsEnd", "commissionReport"):
        await gateway.fault("delay_message", message, 0.6)
    await wait_until(connector, lambda: "commission" in events)
    assert (trade.orderStatus.status, events) == ("Filled", ["execution", "fill", "commission"])


def fill_events(connector: IBConnector, trade: Trade) -> list[str]:
    """The events about fills of this trade, from now on."""
    events: list[str] = []
    connector.ib.execDetailsEvent.connect(lambda *_: events.append("execution"), keep_ref=True)
    trade.fillEvent.connect(lambda *_: events.append("fill"), keep_ref=True)
    trade.commissionReportEvent.connect(lambda *_: events.append("commission"), keep_ref=True)
    return events


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
