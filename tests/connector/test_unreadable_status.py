"""A status that cannot be decoded. ib_insync keeps such an error to itself, so this is about ib_async alone."""

from __future__ import annotations

import asyncio

from ib_async import LimitOrder

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.given import AAPL, Make, Spoil, StateOf

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED


async def test_a_live_status_that_cannot_be_read_is_found_out_by_asking(
    gateway: Gateway, make: Make, spoil: Spoil, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await connector.ib.reqCurrentTimeAsync()
    filled: list[object] = []
    trade.filledEvent += filled.append
    spoil("statuses")
    gateway.fill(trade.order.orderId, price=1.0)
    await state_of(connector, lambda status: status.state is DEGRADED)
    spoil("")
    await state_of(connector, lambda status: status.state is READY and status.may_trade)
    async with asyncio.timeout(5):
        while not filled:
            await connector.ib.updateEvent
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 10)
