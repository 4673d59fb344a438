"""How long a change takes to reach each of 100 readers of ``ibkr serve``, which runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

from bench.figures import Figure, plain
from bench.gateways import HOST
from ibkr.simulator import Gateway

READERS = 100
CHANGES = 30


async def to_every_reader() -> list[float]:
    """For each of ``CHANGES`` changes: seconds from the connector's status to the last reader."""
    lags = []
    async with Gateway(id_hold=0) as gateway:
        with _served(gateway.port) as port:
            async with _readers(port) as readers:
                await _all(readers, "READY")
                for _ in range(CHANGES // 2):
                    for fault, state in (("lose_upstream", "DEGRADED"), ("restore_upstream", "READY")):
                        await gateway.fault(fault)
                        lags.append(await _all(readers, state))
    return lags


@contextmanager
def _served(gateway_port: int) -> Iterator[int]:
    command = [sys.executable, "-m", "ibkr", "serve", "--http", "0", "--port", str(gateway_port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


@asynccontextmanager
async def _readers(port: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    pairs = [await asyncio.open_connection(HOST, port) for _ in range(READERS)]
    try:
        for _, writer in pairs:
            writer.write(f"GET /api/events HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in pairs), return_exceptions=True)


async def _all(readers: list[asyncio.StreamReader], state: str) -> float:
    """Wait until all readers have this state. Returns the time of the slowest reader."""
    async with asyncio.timeout(20):
        return max(await asyncio.gather(*(_until(reader, state) for reader in readers)))


async def _until(reader: asyncio.StreamReader, state: str) -> float:
    is_status = False
    while True:
        line = await reader.readline()
        if line.startswith(b"event: "):
            is_status = line == b"event: status\n"
        elif is_status and line.startswith(b"data: "):
            seen = time.time()
            status = json.loads(line[6:])
            if status["state"] == state:
                return seen - datetime.fromisoformat(status["since"]).timestamp()


def measure(runs: int) -> list[Figure]:
    lags = [1000 * lag for lag in asyncio.run(to_every_reader())]
    return [plain("sse", f"one status change to each of {READERS} readers of ibkr serve", lags, "ms", 50)]
