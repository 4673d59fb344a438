"""Changes of orders that wait: none is hidden by a row, overtakes another, or leaves its terms when it is dropped."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ib_async import Order, PriceCondition, TagValue, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

from .order_helpers import (
    ACCOUNT,
    SLOW,
    all_left,
    knows_the_others_orders,
    limit,
    make_wait,
    resting,
    session_of,
    wait_until,
)


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


@dataclass
class OwnOrder(Order):
    """An order with a field of the program."""

    note: str = ""
    signal: Any = None


@pytest.mark.parametrize("kind", [Order, OwnOrder])
async def test_the_programs_own_attributes_of_an_order_are_no_terms(kind: type[Order], slow: IBConnector) -> None:
    (other,) = await resting(slow, AAPL)
    order: Any = kind(action="BUY", totalQuantity=100, lmtPrice=1.0, orderType="LMT", account=ACCOUNT)
    trade = slow.ib.placeOrder(AAPL, order)
    await wait_until(slow, lambda: trade.orderStatus.status == "Submitted")
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


async def test_changes_with_copies_of_the_order_object(gateway: Gateway, slow: IBConnector) -> None:
    """The acknowledgement of the first change comes while the second one waits, which is then dropped."""
    (trade,) = await resting(slow, AAPL)
    first, second = copy.copy(trade.order), copy.copy(trade.order)
    first.lmtPrice, second.lmtPrice = 2.0, 3.0
    slow.ib.placeOrder(AAPL, first)
    make_wait(slow)
    slow.ib.placeOrder(AAPL, second)
    await wait_until(slow, lambda: trade.log[-1].message == "Modified")
    await drop_all(slow)
    assert price_at_broker(gateway, trade) == 2.0
    assert (trade.order.lmtPrice, second.lmtPrice) == (2.0, 2.0)


@pytest.mark.parametrize("is_placed", [True, False])
async def test_an_order_that_vanishes_is_shown_with_the_terms_that_left(
    is_placed: bool, gateway: Gateway, make: Make
) -> None:
    """Its object has a quantity that the program has not placed, or that waits and is dropped."""
    connector = make(request_timeout=0.5, **SLOW)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    (trade,) = await resting(connector, AAPL)
    for message in ("openOrder", "orderStatus", "completedOrder"):
        await gateway.fault("drop_message", message)
    trade.order.totalQuantity = 500
    if is_placed:
        make_wait(connector)
        connector.ib.placeOrder(AAPL, trade.order)
    session_of(gateway).send_error(trade.order.orderId, 10147, "OrderId that needs to be cancelled is not found")
    if is_placed:
        await drop_all(connector)
    async with asyncio.timeout(10):
        while not (shown := [order for order in connector.status.unconfirmed if not order.is_change]):
            await connector.ib.reqCurrentTimeAsync()
    assert [order.quantity for order in shown] == [100]


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
