"""Memory over millions of ticks: it must not grow with the number of messages that have passed."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys

from ib_async import Stock

from bench.burst import Consumer
from bench.figures import Figure, plain
from bench.firehose import TICKS
from bench.gateways import HOST, firehose
from bench.idle_clients import resident
from ibkr import IBConnector

_WARM_UP = 5


async def _grow(port: int, bursts: int) -> float:
    """Return how many megabytes more the process uses after this many bursts than after the first few bursts."""
    async with IBConnector(HOST, port, 1) as connector:
        connector.ib.reqMktData(Stock("S0", "SMART", "USD", conId=1))
        at_first = 0
        for number in range(_WARM_UP + bursts):
            if number == _WARM_UP:
                gc.collect()
                at_first = resident()
            consumer = Consumer(connector.ib)
            connector.ib.reqMarketDataType(1)
            await consumer.over
            consumer.stop()
        gc.collect()
        return (resident() - at_first) / 1e6


def measure(runs: int) -> list[Figure]:
    bursts = 2 * runs
    with firehose() as port:
        command = [sys.executable, "-m", "bench.memory", str(port), str(bursts)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    what = f"memory growth over {bursts * TICKS / 1e6:g} million ticks"
    return [plain("growth", what, [float(done.stdout)], "MB", 1.0)]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(asyncio.run(_grow(int(sys.argv[1]), int(sys.argv[2]))))
