"""How many ticks a second the simulated gateway sends to one reader that keeps up.

The reader is a process of its own that does nothing but count, so that what is measured is the gateway: every stock of
its file once, as fast as it can move them. A tick is one message tickPrice (1) or tickSize (2).
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

from bench.figures import Figure, plain
from ibkr.simulator import Gateway
from ibkr.simulator.market.instruments import load_instruments
from ibkr.wire import ClientHello, FrameReader, encode_fields, frame, hello_bytes

SECONDS = 3.0
WARM_UP = 0.5
_TICKS = (b"1\0", b"2\0")


async def ticks_per_second() -> float:
    """Ticks a second, as the reader has counted them."""
    async with Gateway(tick_interval=0.0001) as gateway:
        command = [sys.executable, "-m", "bench.ticks", str(gateway.port)]
        reader = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await reader.communicate()
        if reader.returncode or gateway.seen.ticks == 0:
            raise RuntimeError("the reader of ticks was cut, or got none")
        return float(said)


def measure(runs: int) -> list[Figure]:
    rates = [asyncio.run(ticks_per_second()) for _ in range(max(1, runs // 5))]
    return [plain("ticks", "ticks out of the simulated gateway to one reader", rates, "/s", 100_000, is_least=True)]


def read(port: int) -> float:
    """Subscribe to every stock and count."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(hello_bytes(ClientHello(100, 178)))
        connection.recv(1024)
        connection.sendall(frame(encode_fields(71, 2, 1, "")))
        stocks = [item for item in load_instruments().live if item.sec_type == "STK"]
        for req_id, item in enumerate(stocks):
            contract = (item.con_id, "", "", "", "", "", "", "", "", "", "", "")
            connection.sendall(frame(encode_fields(1, 11, req_id, *contract, 0, "", 0, 0, "")))
        frames = FrameReader()
        _count(connection, frames, WARM_UP)
        began = time.perf_counter()
        count = _count(connection, frames, SECONDS)
        return count / (time.perf_counter() - began)


def _count(connection: socket.socket, frames: FrameReader, seconds: float) -> int:
    until, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        data = connection.recv(1 << 20)
        if not data:
            raise SystemExit("the gateway has ended the connection")
        count += sum(body[:2] in _TICKS for body in frames.feed(data))
    return count


if __name__ == "__main__":
    print(read(int(sys.argv[1])))
