"""How long it takes to connect, and to connect again after a loss."""

from __future__ import annotations

import asyncio
import time

from ib_async import IB, Stock, Ticker

from bench.figures import Figure, plain, ratio
from bench.gateways import HOST, GatewayProcess, answering, gateway
from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import Gateway

WARM_UP = 20
WAITING = 10.0
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


async def raw_connect(port: int) -> float:
    """Seconds that the bare library takes to connect."""
    ib = IB()
    began = time.perf_counter()
    await ib.connectAsync(HOST, port, 1)
    took = time.perf_counter() - began
    ib.disconnect()
    if ib.client.conn.transport:
        await ib.client.conn.disconnected
    return took


async def connect(port: int) -> float:
    """Seconds until ``READY``."""
    connector = IBConnector(HOST, port, 2)
    began = time.perf_counter()
    await connector.connect_async()
    took = time.perf_counter() - began
    assert connector.status.state is ConnectionState.READY, repr(connector)
    await connector.disconnect_async()
    return took


async def reset(served: GatewayProcess, connector: IBConnector, ticker: Ticker) -> float:
    """Seconds from a reset by the gateway, before the loop sees it, until ``READY`` and a new tick."""
    lost: list[Status] = []
    ticked: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def see(status: Status) -> None:
        if status.state is ConnectionState.RECONNECTING and not lost:
            lost.append(status)

    def tick(_: Ticker) -> None:
        if lost and not ticked.done():
            ticked.set_result(time.perf_counter())

    unsubscribe = connector.on_status(see)
    ticker.updateEvent.connect(tick)
    try:
        served.fault("reset")  # this blocks the loop until the reset is sent
        began = time.perf_counter()
        at = await asyncio.wait_for(ticked, 10)
        await connector.wait_ready_async(10)
        return max(at, time.perf_counter()) - began
    finally:
        ticker.updateEvent.disconnect(tick)
        unsubscribe()


async def restart(own: Gateway, connector: IBConnector) -> float:
    """Seconds from the moment when the port accepts connections again until ``READY``."""
    await own.fault("restart", 0.6)
    await own.wait_for(lambda gateway: not gateway.is_listening)
    await own.wait_for(lambda gateway: gateway.is_listening)
    began = time.perf_counter()
    await connector.wait_ready_async(10)
    return time.perf_counter() - began


async def refused() -> float:
    """Return the processor time, in percent of a core, while a connector waits for a port that refuses connections."""
    async with Gateway() as gone:
        port = gone.port
    connector = IBConnector(HOST, port, 5)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await asyncio.sleep(1)
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(WAITING)
    share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
    await connector.disconnect_async()
    await connecting
    return share


async def _pairs(port: int, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of this package and of the bare library, in turn, after a warm-up."""
    pairs = [(await connect(port), await raw_connect(port)) for _ in range(WARM_UP + count)][WARM_UP:]
    return [1000 * ours for ours, _ in pairs], [1000 * raw for _, raw in pairs]


async def _measure(runs: int) -> list[Figure]:
    with gateway() as served:
        ours, raw = await _pairs(served.port, 10 * runs)
        # With the usual ``flap_limit``, these resets would be treated as flapping, which slows down the attempts.
        async with IBConnector(HOST, served.port, 3, policy=Policy(flap_limit=1000)) as connector:
            ticker = connector.ib.reqMktData(AAPL)
            resets = []
            for _ in range(WARM_UP + 3 * runs):
                resets.append((await raw_connect(served.port), await reset(served, connector, ticker)))
    async with Gateway(id_hold=0) as own, IBConnector(HOST, own.port, 4) as connector:
        returns = [await restart(own, connector) for _ in range(runs)]
    with answering() as (empty, large):
        ours_apart, raw_apart = await _pairs(empty, 10 * runs)
        ours_large, raw_large = await _pairs(large, 2 * runs)
    between, back = ([1000 * row[column] for row in resets[WARM_UP:]] for column in (0, 1))
    return [
        ratio("connect", "connect until READY", ours, raw, "ms", 1.10),
        ratio("apart", "connect, with one answer per packet", ours_apart, raw_apart, "ms", 1.10),
        ratio("large", "connect, large account", ours_large, raw_large, "ms", 0.6),
        ratio("reset", "socket reset until READY and a tick / raw connect", back, between, "ms", 2.0),
        plain("port", "port open again until READY", returns, "s", 0.3),
        plain("refused", f"processor time while a port refuses, over {WAITING:g} s", [await refused()], "%", 1.0),
    ]


def measure(runs: int) -> list[Figure]:
    return asyncio.run(_measure(runs))
