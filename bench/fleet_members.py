"""A process with many connectors, with or without a fleet. ``fleet.py`` starts the process, which prints their cost.

``python -m bench.fleet_members COUNT SECONDS SERVERS PORT...``. ``SERVERS`` is ``-`` for no fleet.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time

from bench.idle_clients import HOST, resident
from ibkr import Fleet, IBConnector, Policy


async def main(count: int, seconds: float, servers: str, ports: list[int]) -> None:
    logging.disable(logging.CRITICAL)
    connectors = []
    for number in range(count):
        fleet = None if servers == "-" else Fleet(servers, name=f"program{number}")
        client_id = number + 1 if fleet is None else None
        port = ports[number % len(ports)]
        connectors.append(IBConnector(HOST, port, client_id, 30, policy=Policy(region="none"), fleet=fleet))
    for connector in connectors:
        await connector.connect_async()
        await connector.wait_ready_async(30)
    await asyncio.sleep(2)
    gc.collect()
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
    print(json.dumps({"share": share, "memory": resident() / 1e6}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(connector.disconnect_async() for connector in connectors))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], [int(port) for port in sys.argv[4:]]))
