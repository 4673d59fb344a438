"""Inactive orders. ib_async treats them as ended, ib_insync does not. IB may still execute them.

Users report such orders: https://github.com/erdewit/ib_insync/issues/363 (a short sale that waits for shares).
"""

from __future__ import annotations

import pytest
from ib_async import Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

from .order_helpers import Reports, resting, say, wait_until


async def inactive(gateway: Gateway, connector: IBConnector) -> tuple[Trade, list[str]]:
    """An order that the gateway calls Inactive, and the events of its trade since then."""
    (trade,) = await resting(connector, AAPL)
    say(gateway, 3, trade.order.orderId, "Inactive", 0, 100, 0, trade.order.permId, 0, 0, 7, "locate", 0)
    await wait_until(connector, lambda: trade.orderStatus.status == "Inactive")
    events: list[str] = []
    trade.filledEvent.connect(lambda _: events.append("filled"), keep_ref=True)
    trade.fillEvent.connect(lambda *_: events.append("fill"), keep_ref=True)
    return trade, events


@pytest.mark.parametrize("fault", ["reset", "1102"])
async def test_one_that_is_filled_in_an_outage(fault: str, gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    trade, events = await inactive(gateway, connector)
    told = Reports(connector)
    await gateway.fault("1100")
    gateway.fill(trade.order.orderId, price=1.0)
    if fault == "reset":
        await gateway.fault("reset")
    await gateway.fault("1102")
    report = await told.next()
    assert (trade.orderStatus.status, trade.orderStatus.filled, sorted(events)) == ("Filled", 100, ["fill", "filled"])
    assert [(each.before.status, each.after.status) for each in report.orders_changed] == [("Inactive", "Filled")]


@pytest.mark.parametrize("received", ["openOrder", "execDetails"])
async def test_one_whose_last_status_never_comes_is_looked_up(received: str, gateway: Gateway, make: Make) -> None:
    connector = make(request_timeout=1)
    await connector.connect_async()
    trade, events = await inactive(gateway, connector)
    for message in {"openOrder", "execDetails", "orderStatus", "commissionReport"} - {received}:
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("clear")
    await wait_until(connector, lambda: "filled" in events)
    assert (trade.orderStatus.status, trade.orderStatus.filled, sorted(events)) == ("Filled", 100, ["fill", "filled"])


async def test_one_that_the_broker_has_refused_stays_as_it_is(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    trade, events = await inactive(gateway, connector)
    # With ib_insync the order is open, so its end is reported as the end of any order.
    last, changes = ("Inactive", 0) if trade.isDone() else ("Cancelled", 1)
    await gateway.fault("1100")
    gateway.cancel_order(trade.order.orderId)
    told = Reports(connector)
    await gateway.fault("reset")
    await gateway.fault("1102")
    report = await told.next()
    assert (trade.orderStatus.status, events, connector.status.unconfirmed) == (last, [], ())
    assert (len(report.orders_changed), report.orders_vanished, report.orders_appeared) == (changes, (), ())
    assert connector.orders == ()
