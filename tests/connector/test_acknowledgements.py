"""Orders that the gateway does not acknowledge, while everything else works."""

from __future__ import annotations

import asyncio
import time

from ib_async import LimitOrder

from ibkr import IBConnector
from ibkr.simulator import Gateway, ThreadedGateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf


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
        while trade.orderStatus.status != "Submitted":  # the first message about it is sufficient evidence
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
