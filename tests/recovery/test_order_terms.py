"""The terms of orders are the broker's: after a refused or lost change, and with two orders under one id."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ib_async import LimitOrder, TagValue, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

from .order_helpers import ACCOUNT, Reports, limit, renumber, resting, say, wait_until

CHANGES: dict[str, Any] = {
    "lmtPrice": 2.0,
    "totalQuantity": 70,
    "tif": "GTC",
    "outsideRth": True,
    "goodAfterTime": "20260302 15:30:00 US/Eastern",
    "displaySize": 10,
    "hidden": True,
    "allOrNone": True,
    "minQty": 5,
    "discretionaryAmt": 0.05,
    "sweepToFill": True,
    "ocaGroup": "one",
    "triggerMethod": 2,
    "orderRef": "mine",
}


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    connector = make(request_timeout=1)
    await connector.connect_async()
    return connector


@pytest.mark.parametrize("field", CHANGES)
async def test_after_a_refused_change_the_order_shows_what_the_broker_has(
    field: str, gateway: Gateway, connector: IBConnector
) -> None:
    (trade,) = await resting(connector, AAPL)
    await gateway.fault("refuse_changes")
    setattr(trade.order, field, CHANGES[field])
    connector.ib.placeOrder(AAPL, trade.order)
    await wait_until(connector, lambda: getattr(trade.order, field) != CHANGES[field])
    assert trade.orderStatus.status == "Submitted"


async def test_an_accepted_change_stays(gateway: Gateway, connector: IBConnector) -> None:
    (trade,) = await resting(connector, AAPL)
    trade.order.tif, trade.order.lmtPrice = "GTC", 2.0
    connector.ib.placeOrder(AAPL, trade.order)
    await gateway.wait_for(lambda gateway: any(each.terms.limit_price == 2.0 for each in gateway.orders))
    await connector.ib.reqOpenOrdersAsync()
    assert (trade.order.tif, trade.order.lmtPrice) == ("GTC", 2.0)


@pytest.mark.parametrize("change", ["price", "cancel"])
async def test_a_change_that_was_lost_has_changed_nothing(
    change: str, gateway: Gateway, connector: IBConnector
) -> None:
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    for request in ("placeOrder", "cancelOrder"):
        await gateway.fault("mute", request)
    if change == "price":
        trade.order.lmtPrice = 2.0
        connector.ib.placeOrder(AAPL, trade.order)
    else:
        connector.ib.cancelOrder(trade.order)
        assert trade.orderStatus.status == "PendingCancel"
    await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("clear")
    await gateway.fault("reset")
    report = await told.next()
    assert report.orders_changed == ()
    assert (trade.order.lmtPrice, trade.orderStatus.status) == (1.0, "Submitted")


@pytest.mark.parametrize("tif", ["GTC", ""])
async def test_an_answer_from_before_a_change_does_not_hide_the_change(
    tif: str, gateway: Gateway, connector: IBConnector
) -> None:
    """The broker reports an empty time in force as DAY."""
    (trade,) = await resting(connector, AAPL)
    for before in ("GTC", "DAY") if tif else ("GTC",):  # the answer reports a term only if the program has changed it
        trade.order.tif = before
        connector.ib.placeOrder(AAPL, trade.order)
    await connector.ib.reqOpenOrdersAsync()
    answer = asyncio.ensure_future(connector.ib.reqOpenOrdersAsync())
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 3)
    trade.order.tif = tif
    connector.ib.placeOrder(AAPL, trade.order)
    await answer
    await connector.ib.reqCurrentTimeAsync()
    assert trade.order.tif == (tif or "DAY")


async def under_one_id(gateway: Gateway, trade: Trade) -> int:
    """Place a second order at the broker with the id of this trade. Returns the permanent id of the second order."""
    other = gateway.place_order("AAPL", "BUY", 30, limit_price=1.5)
    renumber(gateway, other, 7, trade.order.orderId)
    return int(other.perm_id)


@pytest.mark.parametrize("fault", ["reset", "1101", "1102"])
async def test_two_live_orders_under_one_id_are_both_reported(
    fault: str, gateway: Gateway, connector: IBConnector
) -> None:
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    if fault != "reset":
        await gateway.fault("1100")
    perm_ids = {trade.order.permId, await under_one_id(gateway, trade)}
    await gateway.fault(fault)
    report = await told.next()
    assert {order.perm_id for order in report.orders_under_one_id} == perm_ids
    assert (report.orders_vanished, report.needs_a_look) == ((), True)
    assert "2 live orders that share an order id" in report.summary
    assert trade.orderStatus.status == "Submitted"


async def test_the_end_of_one_of_two_orders_under_one_id(gateway: Gateway, connector: IBConnector) -> None:
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    other = await under_one_id(gateway, trade)
    await gateway.fault("reset")
    await told.next()
    assert {each.perm_id for each in connector.orders} == {trade.order.permId, other}
    say(gateway, 3, trade.order.orderId, "Cancelled", 0, 30, 0, other, 0, 0, 7, "", 0)
    await connector.ib.reqCurrentTimeAsync()
    assert [(each.perm_id, each.status) for each in connector.orders] == [(trade.order.permId, "Submitted")]


async def test_an_order_whose_change_was_under_way(gateway: Gateway, connector: IBConnector) -> None:
    """The gateway treats the change as a new order, because it does not know the old order."""
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    await gateway.fault("mute", "placeOrder")
    trade.order.lmtPrice = 1.5
    connector.ib.placeOrder(AAPL, trade.order)
    await connector.ib.reqCurrentTimeAsync()
    perm_ids = {trade.order.permId, await under_one_id(gateway, trade)}
    await gateway.fault("clear")
    await gateway.fault("reset")
    report = await told.next()
    assert {order.perm_id for order in report.orders_under_one_id} == perm_ids
    assert (report.orders_vanished, report.orders_changed) == ((), ())


async def test_an_order_that_was_never_acknowledged(gateway: Gateway, connector: IBConnector) -> None:
    told = Reports(connector)
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(AAPL, limit(30))
    await gateway.wait_for(lambda gateway: any(each.order_id == trade.order.orderId for each in gateway.orders))
    await under_one_id(gateway, trade)
    await gateway.fault("clear")
    await gateway.fault("reset")
    report = await told.next()
    assert len(report.orders_under_one_id) == 2
    assert connector.status.unconfirmed == ()


async def test_a_market_orders_limit_is_none_of_its_terms(gateway: Gateway, connector: IBConnector) -> None:
    told = Reports(connector)
    order = LimitOrder("BUY", 100, 1.0, account=ACCOUNT)
    order.orderType, order.auxPrice = "STP LMT", 10_000.0
    trade = connector.ib.placeOrder(AAPL, order)
    await wait_until(connector, lambda: trade.orderStatus.status == "PreSubmitted")
    await gateway.fault("reset")
    assert (await told.next()).orders_changed == ()


async def test_a_list_that_the_program_has_filled_is_a_change_too(gateway: Gateway, connector: IBConnector) -> None:
    (trade,) = await resting(connector, AAPL)
    await gateway.fault("refuse_changes")
    trade.order.algoStrategy = "Adaptive"
    trade.order.algoParams.append(TagValue("adaptivePriority", "Normal"))
    connector.ib.placeOrder(AAPL, trade.order)
    await wait_until(connector, lambda: not trade.order.algoParams)
    assert (trade.order.algoStrategy, trade.orderStatus.status) == ("", "Submitted")
