"""The rate limit: a gateway that allows 50 messages per second never gets more, and urgent messages do not wait."""

from __future__ import annotations

import asyncio

from ib_async import Stock

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import STOCKS, Back, Make

READY, SYNCING = ConnectionState.READY, ConnectionState.SYNCING


def most_in_a_second(gateway: Gateway, since: float = 0.0) -> int:
    times = [request.time for request in gateway.seen.requests if request.time >= since]
    return max(sum(start <= at < start + 1 for at in times) for start in times)


async def test_a_burst_of_requests_is_spread(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    for _ in range(100):
        connector.ib.client.reqMarketDataType(1)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 100)
    assert most_in_a_second(gateway) <= 50, "what IB accepts; a busy machine delays some of the 40"


async def test_an_urgent_message_overtakes_what_waits(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    for _ in range(60):
        connector.ib.client.reqMarketDataType(1)
    connector.ib.client.reqGlobalCancel()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    assert len(gateway.seen.received("reqMarketDataType")) <= 10
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 60)


async def test_ready_waits_until_all_subscriptions_were_sent(gateway: Gateway, make: Make, back: Back) -> None:
    """The market is closed: no stream becomes live, so the restore ends when everything was sent."""
    connector = make(restore_grace=0.02)
    await connector.connect_async()
    for stock in STOCKS:
        connector.ib.reqMktData(stock)
    await gateway.wait_for(lambda gateway: len(gateway.seen.live_subscriptions(7)) == len(STOCKS))
    before = len(gateway.seen.received("reqMktData"))
    await gateway.fault("break_farm")
    await gateway.fault("reset")
    await back(connector)
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("reqMktData")) - before == len(STOCKS)


async def test_nothing_that_waited_is_left_behind_by_a_disconnect(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    throttled: list[str] = []
    connector.ib.client.throttleStart += lambda: throttled.append("start")
    connector.ib.client.throttleEnd += lambda: throttled.append("end")
    for _ in range(100):
        connector.ib.client.reqMarketDataType(1)
    await connector.disconnect_async()
    await asyncio.sleep(0)
    assert throttled == ["start", "end"]
    assert len(gateway.seen.received("reqMarketDataType")) < 20
    await connector.connect_async()
    assert connector.status.state is READY


async def test_start_up_and_one_subscription_leave_at_once(gateway: Gateway, make: Make) -> None:
    """Together, they have as many messages as a burst may have, and ``startApi`` is one more message."""
    connector = make(send_rate=1)
    await connector.connect_async()
    connector.ib.reqMktData(Stock("AAPL", "SMART", "USD", conId=265598))
    assert not connector.ib.client._isThrottling
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqMktData"))
