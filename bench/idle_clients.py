"""A process with many idle clients, started by ``idle.py``. It prints when all are connected, and what they cost.

``python -m bench.idle_clients ours|raw PORT COUNT SECONDS``. A line on stdin says that the gateway is about to restart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import time
from typing import Any

HOST = "127.0.0.1"


def resident() -> int:
    """Return the bytes of memory that this process uses, as Linux reports them."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def ours(port: int, count: int) -> list[Any]:
    from ibkr import IBConnector

    connectors = [IBConnector(HOST, port, number) for number in range(1, count + 1)]
    for connector in connectors:
        await connector.connect_async()
    return connectors


async def raw(port: int, count: int) -> list[Any]:
    from ib_async import IB

    every = [IB() for _ in range(count)]
    for number, ib in enumerate(every, start=1):
        await ib.connectAsync(HOST, port, number)
    return every


async def all_back(connectors: list[Any]) -> float:
    """The monotonic time when the last client is ready again."""
    for connector in connectors:
        async for status in connector.changes():
            if status.outages:
                break
        await connector.wait_ready_async(60)
    return time.monotonic()


async def main(kind: str, port: int, count: int, seconds: float) -> None:
    logging.disable(logging.CRITICAL)
    clients = await {"ours": ours, "raw": raw}[kind](port, count)
    await asyncio.sleep(1)
    gc.collect()
    memory = resident()
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
    print(json.dumps({"share": share, "memory": memory / 1e6}), flush=True)
    if kind == "ours":
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(await all_back(clients)), flush=True)
        for connector in clients:
            await connector.disconnect_async()
    else:
        for ib in clients:
            ib.disconnect()


if __name__ == "__main__":
    kind, port, count, seconds = sys.argv[1:]
    if kind == "bare":
        print(json.dumps({"share": 0.0, "memory": resident() / 1e6}))
    else:
        asyncio.run(main(kind, int(port), int(count), float(seconds)))
