"""Orders that the gateway does not acknowledge, while everything else works."""

from __future__ import annotations

import asyncio
import time

import pytest
from ib_async import LimitOrder

from ibkr import IBConnector
from ibkr.simulator import Gateway, ThreadedGateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf
from tests.recovery.order_helpers import SLOW, all_left, dropped, limit, make_wait, session_of


def ids(connector: IBConnector) -> list[int]:
    return [order.order_id for order in connector.status.unconfirmed]


async def test_an_unacknowledged_order_is_in_the_status_and_the_gateway_is_probed(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(order_ack_after=0.3, probe_after=60.0)
    await connector.connect_async()
    probes = len(gateway.seen.received("reqCurrentTime"))
    await gateway.fault("mute", "placeOrder")
    began = time.monotonic()
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    status = await state_of(connector, lambda status: status.unconfirmed)
    assert time.monotonic() - began >= 0.3
    assert ids(connector) == [trade.order.orderId]
    assert f"they may be at the broker: {trade.order.orderId} (BUY 100 AAPL LMT)" in status.reason
    assert (status.state, status.may_trade) == ("READY", True)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqCurrentTime")) > probes)


async def test_a_late_acknowledgement_confirms_the_order(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(order_ack_after=0.1)
    await connector.connect_async()
    await gateway.fault("delay_message", "any", 0.4)
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    await state_of(connector, lambda status: status.unconfirmed)
    await state_of(connector, lambda status: not status.unconfirmed)
    async with asyncio.timeout(5):
        while trade.orderStatus.status != "Submitted":  # "unconfirmed" ends with the first message about the order
            await connector.ib.updateEvent


async def test_orders_that_the_gateway_keeps_expect_none(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(order_ack_after=0.1)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    kept = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0, transmit=False))
    sent = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    await state_of(connector, lambda status: status.unconfirmed)
    assert ids(connector) == [sent.order.orderId] != [kept.order.orderId]


async def test_time_in_a_blocked_loop_does_not_count(make: Make) -> None:
    with ThreadedGateway(id_hold=0) as gateway:
        connector = make(port=gateway.port, order_ack_after=0.2)
        await connector.connect_async()
        seen: list[object] = []
        connector.on_status(lambda status: seen.extend(status.unconfirmed))
        trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
        time.sleep(0.6)  # noqa: ASYNC251 - the acknowledgement is already in the socket
        async with asyncio.timeout(5):
            while trade.orderStatus.status != "Submitted":
                await connector.ib.updateEvent
        await connector.disconnect_async()
    assert seen == []


async def test_order_ack_after_0_switches_the_check_off(gateway: Gateway, make: Make) -> None:
    connector = make(order_ack_after=0.0)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    assert not internals.has_acknowledgement_timer(connector)


async def test_an_order_that_is_transmitted_by_a_change_expects_one_from_then_on(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(order_ack_after=0.2)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0, transmit=False))
    await asyncio.sleep(0.4)  # longer than the deadline of an order
    assert ids(connector) == []
    trade.order.transmit = True
    connector.ib.placeOrder(AAPL, trade.order)
    await state_of(connector, lambda status: status.unconfirmed)
    assert ids(connector) == [trade.order.orderId]


async def test_a_bracket_expects_them_from_its_last_child_on(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(order_ack_after=0.2)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    orders = connector.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    for order in orders[:2]:
        connector.ib.placeOrder(AAPL, order)
    await asyncio.sleep(0.4)
    assert ids(connector) == []
    connector.ib.placeOrder(AAPL, orders[2])
    await state_of(connector, lambda status: status.unconfirmed)
    assert ids(connector) == [order.orderId for order in orders]


@pytest.mark.parametrize("code", [201, 321])
async def test_a_refusal_after_that_ends_the_order(code: int, gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(order_ack_after=0.1)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    await state_of(connector, lambda status: status.unconfirmed)
    session_of(gateway).send_error(trade.order.orderId, code, "Order rejected - reason:what the gateway says")
    await state_of(connector, lambda status: not status.unconfirmed)
    assert (trade.orderStatus.status, connector.ib.openTrades()) == ("Cancelled", [])


async def test_an_order_of_an_earlier_session_is_looked_up_after_a_refusal(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0))
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.unconfirmed)
    await connector.wait_ready_async(5)
    lists = len(gateway.seen.received("reqCompletedOrders"))
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqCompletedOrders")) > lists)
    assert ids(connector) == [trade.order.orderId]
    assert not trade.isDone()


async def test_an_order_that_was_placed_again_is_still_awaited_after_the_clearing(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    """The cure for an order that was never sent: place it again, then clear it."""
    connector = make(order_ack_after=0.3, **SLOW)
    await connector.connect_async()
    trade = await dropped(connector)
    await gateway.fault("mute", "placeOrder")
    connector.ib.placeOrder(AAPL, trade.order)
    assert ids(connector) == []
    connector.clear_unconfirmed(trade.order.orderId)
    status = await state_of(connector, lambda status: status.unconfirmed)
    assert [(order.order_id, order.has_left, order.is_change) for order in status.unconfirmed] == [
        (trade.order.orderId, True, False)
    ]
    await gateway.fault("reset")
    await state_of(connector, lambda status: not status.is_connected)
    await connector.wait_ready_async(5)
    assert ids(connector) == [trade.order.orderId]


async def test_clearing_a_dropped_change_leaves_the_order_awaited(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(order_ack_after=0.0, **SLOW)
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    make_wait(connector)
    trade.order.lmtPrice = 2.0
    connector.ib.placeOrder(AAPL, trade.order)
    connector.halt("meanwhile")
    status = await state_of(connector, lambda status: status.unconfirmed)
    assert [order.is_change for order in status.unconfirmed] == [True]
    connector.clear_unconfirmed(trade.order.orderId)
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: status.unconfirmed)
    assert [(order.order_id, order.is_change) for order in status.unconfirmed] == [(trade.order.orderId, False)]


async def test_a_change_of_an_order_that_never_left_is_not_sent(gateway: Gateway, make: Make) -> None:
    """The order is dropped. The change that waits after it may be sent only after the halt has ended."""
    connector = make(order_ack_after=0.0, **SLOW)
    await connector.connect_async()
    make_wait(connector)
    trade = connector.ib.placeOrder(AAPL, limit())
    connector.on_status(lambda status: connector.resume() if status.unconfirmed else None)
    connector.ib.placeOrder(AAPL, trade.order)
    connector.halt("meanwhile")
    await all_left(connector)
    assert connector.status.may_trade
    assert not gateway.seen.received("placeOrder")
