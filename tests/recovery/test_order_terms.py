"""The terms of orders are the broker's: after a refused or lost change, and with two orders under one id."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from ib_async import LimitOrder, PriceCondition, TagValue, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

from .order_helpers import (
    ACCOUNT,
    SLOW,
    Reports,
    all_left,
    knows_the_others_orders,
    limit,
    make_wait,
    renumber,
    resting,
    wait_until,
)

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


class NoTruth:
    """Like an array of several numbers: what compares it gets no truth value."""

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


async def drop_all(connector: IBConnector) -> None:
    """Drop the orders and changes that wait."""
    connector.halt("meanwhile")
    await all_left(connector)
    connector.resume()


@pytest.fixture
async def slow(gateway: Gateway, make: Make) -> IBConnector:
    """A connector whose changes can be made to wait, and that requests no more orders, which would correct terms."""
    connector = make(request_timeout=1, **SLOW)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    return connector


async def test_the_programs_own_attributes_of_an_order_are_no_terms(slow: IBConnector) -> None:
    trade, other = await resting(slow, AAPL, AAPL)
    order: Any = trade.order
    order.note, order.deleted, order.signal = "a", "a", NoTruth()
    slow.ib.placeOrder(AAPL, order)
    await slow.ib.reqOpenOrdersAsync()
    make_wait(slow)
    order.note, order.deleted, order.signal, order.lmtPrice = "b", "b", NoTruth(), 4.0
    slow.ib.placeOrder(AAPL, order)
    other.order.lmtPrice = 4.0
    slow.ib.placeOrder(AAPL, other.order)
    del order.deleted
    await drop_all(slow)
    assert (order.note, order.lmtPrice, other.order.lmtPrice) == ("b", 1.0, 1.0)
    assert len(slow.status.unconfirmed) == 2


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


async def test_several_changes_that_never_leave_change_nothing(gateway: Gateway, slow: IBConnector) -> None:
    (trade,) = await resting(slow, AAPL)
    make_wait(slow)
    for quantity, price in ((110, 1.0), (120, 2.0), (120, 3.0)):
        trade.order.totalQuantity, trade.order.lmtPrice = quantity, price
        slow.ib.placeOrder(AAPL, trade.order)
    await drop_all(slow)
    assert len(gateway.seen.received("placeOrder")) == 1
    assert (trade.order.totalQuantity, trade.order.lmtPrice) == (100, 1.0)


@pytest.mark.parametrize("is_second_sent", [True, False])
async def test_a_change_that_never_leaves_does_not_revert_a_later_one(
    is_second_sent: bool, gateway: Gateway, slow: IBConnector
) -> None:
    """The first change is dropped because of a halt, which ends before the second change is due."""
    (trade,) = await resting(slow, AAPL)
    make_wait(slow)
    trade.order.tif = "GTC"
    slow.ib.placeOrder(AAPL, trade.order)
    trade.order.lmtPrice = 2.0
    slow.ib.placeOrder(AAPL, trade.order)
    if is_second_sent:
        slow.on_status(lambda status: slow.resume() if status.unconfirmed else None)
    slow.halt("meanwhile")
    await all_left(slow)
    assert price_at_broker(gateway, trade) == (2.0 if is_second_sent else 1.0)
    assert (trade.order.tif, trade.order.lmtPrice) == (("GTC", 2.0) if is_second_sent else ("", 1.0))


async def test_a_dropped_change_after_a_refused_one_reverts_to_what_the_broker_has(
    gateway: Gateway, slow: IBConnector
) -> None:
    (trade,) = await resting(slow, AAPL)
    await gateway.fault("refuse_changes")
    trade.order.tif = "GTC"
    slow.ib.placeOrder(AAPL, trade.order)
    await wait_until(slow, lambda: trade.order.tif == "DAY")
    make_wait(slow)
    trade.order.tif = "OPG"
    slow.ib.placeOrder(AAPL, trade.order)
    await drop_all(slow)
    assert trade.order.tif == "DAY"


async def test_a_dropped_change_keeps_what_was_changed_in_tws(gateway: Gateway, slow: IBConnector) -> None:
    (trade,) = await resting(slow, AAPL)
    orders = gateway._state.order_handler.engine.orders
    at_broker = orders[trade.order.permId]
    orders[at_broker.perm_id] = replace(at_broker, limit_price=5.0, terms=replace(at_broker.terms, limit_price=5.0))
    await slow.ib.reqOpenOrdersAsync()
    make_wait(slow)
    trade.order.tif = "GTC"
    slow.ib.placeOrder(AAPL, trade.order)
    await drop_all(slow)
    assert (trade.order.tif, trade.order.lmtPrice) == ("", 5.0)


async def test_what_a_program_changes_in_place_is_reverted_each_time(slow: IBConnector) -> None:
    price = PriceCondition(conId=AAPL.conId, exch="SMART", isMore=True, price=0.5)
    trade = slow.ib.placeOrder(AAPL, limit(conditions=[price]))
    await wait_until(slow, lambda: trade.orderStatus.permId)
    order: Any = trade.order
    for _ in range(2):
        make_wait(slow)
        order.algoStrategy = "Adaptive"
        order.algoParams.append(TagValue("adaptivePriority", "Normal"))
        order.conditions[0].price = 0.7
        slow.ib.placeOrder(AAPL, order)
        await drop_all(slow)
        assert (order.algoStrategy, order.algoParams, order.conditions[0].price) == ("", [], 0.5)


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


async def test_no_row_hides_a_change_that_waits(gateway: Gateway, slow: IBConnector) -> None:
    """The first change is sent, and an answer from before it arrives while the second one waits."""
    (trade,) = await resting(slow, AAPL)
    answer = asyncio.ensure_future(slow.ib.reqOpenOrdersAsync())
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 2)
    trade.order.tif = "GTC"
    slow.ib.placeOrder(AAPL, trade.order)
    make_wait(slow)
    trade.order.lmtPrice, trade.order.outsideRth = 2.0, True
    slow.ib.placeOrder(AAPL, trade.order)
    await answer
    gateway.fill(trade.order.orderId, 10, price=1.0)
    await wait_until(slow, lambda: trade.orderStatus.filled == 10)
    assert (trade.order.tif, trade.order.lmtPrice, trade.order.outsideRth) == ("GTC", 2.0, True)
    trade.order.orderRef = "mine"
    slow.ib.placeOrder(AAPL, trade.order)
    await all_left(slow)
    await slow.ib.reqOpenOrdersAsync()
    assert price_at_broker(gateway, trade) == 2.0
    assert (trade.order.tif, trade.order.lmtPrice, trade.order.outsideRth) == ("GTC", 2.0, True)


async def test_a_change_does_not_overtake_an_earlier_one(gateway: Gateway, slow: IBConnector) -> None:
    """Messages of new orders of one OCA group are sent together; those of changes in their order."""
    trade, other = await resting(slow, AAPL, AAPL)
    make_wait(slow)
    for order, price, group in ((other.order, 1.0, "X"), (trade.order, 2.0, ""), (trade.order, 3.0, "X")):
        order.lmtPrice, order.ocaGroup = price, group
        slow.ib.placeOrder(AAPL, order)
    await all_left(slow)
    changes = gateway.seen.received("placeOrder")[2:]
    assert [next(price for price in ("1.0", "2.0", "3.0") if price in each.fields) for each in changes] == [
        "1.0",
        "2.0",
        "3.0",
    ]


def price_at_broker(gateway: Gateway, trade: Trade) -> float | None:
    (order,) = (each for each in gateway.orders if each.perm_id == trade.order.permId)
    return order.terms.limit_price


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
