"""The time from ``placeOrder`` to the socket: without a journal, and with a journal of each durability.

In a running loop, the bytes are in the socket when the call returns. A burst shows the cost of our code. A single order
after a pause takes longer, because the processor's caches no longer hold our code and the client library's code.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from ib_async import IB, MarketOrder, Stock

from bench.figures import Figure, plain, ratio
from bench.gateways import HOST, gateway
from ibkr import IBConnector, Policy

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
EACH = 30
"""Orders of each connector in a burst, and per second in the test of single orders. All limits are higher."""
MODES = ("", "normal", "full")
Taken = dict[str, list[float]]


def _place(ib: IB) -> float:
    """Milliseconds."""
    order = MarketOrder("BUY", 1)
    began = time.perf_counter()
    ib.placeOrder(AAPL, order)
    return 1000 * (time.perf_counter() - began)


async def _burst(clients: dict[str, IB], rounds: int) -> Taken:
    """Place orders with each connector in turn. The sequence differs in each round. The first round is a warm-up."""
    taken: Taken = {name: [] for name in clients}
    names = list(clients)
    for number in range(rounds + 1):
        for name in names:
            await asyncio.sleep(0.25)  # read the answers to the last burst
            milliseconds = [_place(clients[name]) for _ in range(EACH)]
            taken[name] += milliseconds if number else []
        names = [*names[1:], names[0]]
        await asyncio.sleep(0.25)
    return taken


async def _alone(clients: dict[str, IB], count: int) -> Taken:
    taken: Taken = {name: [] for name in clients}
    names = list(clients)
    for _ in range(count):
        for name in names:
            await asyncio.sleep(1 / EACH / len(names))
            taken[name].append(_place(clients[name]))
        names = [*names[1:], names[0]]
    return taken


async def _measure(rounds: int, folder: Path) -> tuple[Taken, Taken]:
    with gateway() as served:
        bare = IB()
        await bare.connectAsync(HOST, served.port, 1)
        connectors = {
            mode or "none": IBConnector(
                HOST,
                served.port,
                number,
                policy=Policy(region="none"),
                journal=folder / f"{mode}.sqlite" if mode else "",
                journal_sync=mode or "normal",
            )
            for number, mode in enumerate(MODES, 2)
        }
        for connector in connectors.values():
            await connector.connect_async()
            await connector.wait_ready_async(10)
        clients: dict[str, IB] = {"bare": bare} | {mode: each.ib for mode, each in connectors.items()}
        taken = await _burst(clients, rounds), await _alone(clients, 10 * rounds)
        bare.disconnect()
        for connector in connectors.values():
            await connector.disconnect_async()
    return taken


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _figures(taken: Taken, name: str, what: str, limits: tuple[float | None, float | None]) -> list[Figure]:
    none, bare = taken["none"], taken["bare"]
    figures = [
        ratio(name, f"an order {what}, from placeOrder to the socket", none, bare, "ms", limits[0]),
        plain(f"{name}_p99", "the same, 99th percentile", [_p99(none)], "ms", raw=[_p99(bare)]),
    ]
    for mode, limit in (("normal", limits[1]), ("full", None)):
        added = [statistics.median(taken[mode]) - statistics.median(none)]
        figures.append(plain(f"{name}_{mode}", f"journal, {mode}: time added, median", added, "ms", limit))
        figures.append(
            plain(f"{name}_{mode}_p99", f"journal, {mode}: total, 99th percentile", [_p99(taken[mode])], "ms")
        )
    return figures


def measure(runs: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # the current folder is on a real disk
        burst, alone = asyncio.run(_measure(2 * runs, Path(folder)))
    return [
        *_figures(burst, "order", "in a burst", (1.1, 0.3)),
        *_figures(alone, "order_alone", "alone", (None, None)),
    ]
