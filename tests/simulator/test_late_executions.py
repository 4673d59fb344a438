"""Executions during an outage that arrive some time after the link is back."""

import asyncio

import pytest
from ib_async import IB, Fill, LimitOrder

from ibkr.simulator import Gateway

from .conftest import Connect
from .order_helpers import APPLE, TIMEOUT, order_request, reach


async def test_the_status_comes_at_once_and_the_execution_later(gateway: Gateway, connected: IB) -> None:
    trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
    await reach(trade, "Submitted")
    await gateway.fault("late_executions", 0.3)
    await gateway.fault("lose_upstream")
    gateway.fill(trade.order.orderId)
    await gateway.fault("restore_upstream")
    await reach(trade, "Filled")
    positions = {item.contract.symbol: item.position for item in await connected.reqPositionsAsync()}
    assert (positions["AAPL"], trade.fills, await connected.reqExecutionsAsync()) == (200, [], [])
    arrived: asyncio.Future[Fill] = asyncio.get_running_loop().create_future()
    connected.execDetailsEvent += lambda _, fill: arrived.set_result(fill)
    fill = await asyncio.wait_for(arrived, TIMEOUT)
    assert (fill.execution.shares, fill.execution.price) == (100, 100.0)
    assert len(await connected.reqExecutionsAsync()) == 1


@pytest.mark.parametrize("back", ["restore_upstream", "restore_upstream_data_lost"])
async def test_the_messages_in_their_order(gateway: Gateway, connect: Connect, back: str) -> None:
    client = await connect(gateway.port, 1)
    client.send_raw(order_request(1, lmt_price=100.0))
    await client.until(3, "Submitted")
    await gateway.fault("late_executions", 0.05)
    await gateway.fault("lose_upstream")
    gateway.fill(1)
    await gateway.fault(back)
    lines = await client.until(59)
    assert [line[0] for line in lines] == ["4", "4", "5", "3", "11", "5", "59"]


async def test_what_is_filled_after_the_outage_is_not_late(gateway: Gateway, connect: Connect) -> None:
    client = await connect(gateway.port, 1)
    await gateway.fault("late_executions", 60)
    client.send_raw(order_request(1, order_type="MKT"))
    assert [line[0] for line in await client.until(59)] == ["5", "3", "11", "5", "3", "5", "59"]


async def test_a_second_outage_holds_them_back_again(gateway: Gateway, connect: Connect) -> None:
    client = await connect(gateway.port, 1)
    client.send_raw(order_request(1, lmt_price=100.0))
    await client.until(3, "Submitted")
    await gateway.fault("late_executions", 0.02)
    await gateway.fault("lose_upstream")
    gateway.fill(1)
    await gateway.fault("restore_upstream")
    await gateway.fault("lose_upstream")
    await client.until(3, "Filled")
    await client.until(4, "1100")
    assert await client.hears_nothing()
    await gateway.fault("late_executions", 0)
    await gateway.fault("restore_upstream")
    assert [line[0] for line in await client.until(59)] == ["4", "11", "5", "59"]


async def test_nothing_comes_after_a_reset(gateway: Gateway, connect: Connect) -> None:
    await gateway.fault("late_executions", 0.02)
    await gateway.fault("lose_upstream")
    gateway.place_order("AAPL", "BUY", 10, client_id=1)
    await gateway.fault("restore_upstream")
    await gateway.reset()
    client = await connect(gateway.port, 1)
    assert await client.hears_nothing()
    assert gateway.executions == []
