"""An order status that cannot be decoded. These tests need ib_async, because ib_insync hides such an error."""

from __future__ import annotations

import asyncio

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import Make, Spoil, StateOf

from .test_unreadable_rows import with_order

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED


async def test_a_live_status_that_cannot_be_read_is_found_out_by_asking(
    gateway: Gateway, make: Make, spoil: Spoil, state_of: StateOf
) -> None:
    connector, trade = await with_order(gateway, make)
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
