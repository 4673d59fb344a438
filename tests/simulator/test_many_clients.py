"""32 real clients together, TWS's maximum; and one client that does not read among clients that read."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from ib_async import IB, LimitOrder, MarketOrder, Stock

from ibkr.simulator import Gateway

CLIENTS = 32
TIMEOUT = 20.0
APPLE = Stock("AAPL", "SMART", "USD", conId=265598, localSymbol="AAPL", tradingClass="NMS")


def far_away(number: int) -> LimitOrder:
    """Return an order that rests. Every second order is a sale, because only 20 orders of one side may be active."""
    return LimitOrder("BUY", number, 100.0) if number % 2 else LimitOrder("SELL", number, 400.0)


@pytest.fixture
async def clients(gateway: Gateway) -> AsyncIterator[list[IB]]:
    """One client per id, from 1 on. Their sockets are closed when the test ends."""
    made = [IB() for _ in range(CLIENTS)]
    yield made
    for client in made:
        client.disconnect()
    await gateway.wait_for(lambda gateway: gateway.client_ids == [], TIMEOUT)


async def test_each_has_its_own_session_ticks_and_orders(gateway: Gateway, clients: list[IB], caplog) -> None:
    await asyncio.gather(
        *(
            client.connectAsync("127.0.0.1", gateway.port, clientId=number, timeout=TIMEOUT)
            for number, client in enumerate(clients, 1)
        )
    )
    assert gateway.client_ids == list(range(1, CLIENTS + 1))
    assert {client.client.serverVersion() for client in clients} == {178}
    tickers = [client.reqMktData(APPLE) for client in clients]
    for ticker in tickers:
        while not ticker.bid > 0:
            await asyncio.wait_for(ticker.updateEvent, TIMEOUT)
    resting = [client.placeOrder(APPLE, far_away(number)) for number, client in enumerate(clients, 1)]
    bought = [client.placeOrder(APPLE, MarketOrder("BUY", 1)) for client in clients]
    await gateway.wait_for(lambda gateway: len(gateway.executions) == CLIENTS, TIMEOUT)
    for number, client in enumerate(clients, 1):
        await asyncio.wait_for(client.reqOpenOrdersAsync(), TIMEOUT)
        # The result of the request is not compared, because it can include rows that come for another reason.
        assert [trade.order.totalQuantity for trade in client.openTrades()] == [number]
        assert [trade.orderStatus.status for trade in (resting[number - 1], bought[number - 1])] == [
            "Submitted",
            "Filled",
        ]
        assert {fill.execution.clientId for fill in client.fills()} == {number}
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_client_that_does_not_read_is_disconnected_and_others_continue(connect, caplog, monkeypatch) -> None:
    monkeypatch.setattr("ibkr.simulator.connection.client_connection.MAX_UNREAD", 256 * 1024)
    async with Gateway(tick_interval=0.0005) as gateway:
        good = await connect(gateway.port, 1)
        good.subscribe(5)
        bad = await connect(gateway.port, 2)
        bad.shrink_receive_buffer()
        for req_id in range(60):
            bad.subscribe(req_id)
        most = 0

        def is_cut(gateway: Gateway) -> bool:
            nonlocal most
            for client in gateway._state.clients:
                most = max(most, client.transport.get_write_buffer_size() + client.send_queue.waiting)
            return gateway.client_ids == [1]

        reading = asyncio.create_task(good.until(57))
        await gateway.wait_for(is_cut, 20)
        reading.cancel()
        assert "client 2 does not read" in caplog.text
        assert most < 2 * 256 * 1024
        assert gateway.seen.live_streams(2) == {}
        assert gateway.seen.live_streams(1) == {5: ("reqMktData", "AAPL")}
