"""The number of ticks per second that the simulated gateway sends to one fast reader.

The reader is a separate process that only counts, so that only the speed of the gateway is measured. The gateway sends
every stock of its file, as fast as it can change the prices. A tick is one message tickPrice (1) or tickSize (2), as
text or in protobuf.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

from bench.figures import Figure, plain
from ibkr.simulator import Gateway
from ibkr.simulator.market.instrument_loader import load_instruments
from ibkr.wire import ClientHello, FrameReader, frame, hello_bytes
from ibkr.wire.layout_items import Field, Item, Repeat
from ibkr.wire.request_layouts import LAYOUTS

SECONDS = 3.0
WARM_UP = 0.5
TEXT, PROTOBUF = 178, 226
"""Server versions that send ticks in the one encoding, and in the other."""
_TICKS = {TEXT: (b"1\0", b"2\0"), PROTOBUF: ((201).to_bytes(4, "big"), (202).to_bytes(4, "big"))}


async def ticks_per_second(version: int) -> float:
    """Ticks a second, as the reader has counted them."""
    async with Gateway(tick_interval=0.0001, server_version=version) as gateway:
        command = [sys.executable, "-m", "bench.ticks", str(gateway.port), str(version)]
        reader = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await reader.communicate()
        if reader.returncode or gateway.seen.ticks == 0:
            raise RuntimeError("the reader of ticks was cut, or got none")
        return float(said)


def measure(runs: int) -> list[Figure]:
    rates = {version: [asyncio.run(ticks_per_second(version)) for _ in range(max(1, runs // 5))] for version in _TICKS}
    what = "ticks out of the simulated gateway to one reader"
    return [
        plain("ticks", what, rates[TEXT], "/s", 100_000, is_least=True),
        plain("ticks-protobuf", f"{what}, in protobuf", rates[PROTOBUF], "/s", 100_000, is_least=True),
    ]


def read(port: int, version: int) -> float:
    """Subscribe to every stock and count."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(hello_bytes(ClientHello(100, version)))
        connection.recv(1024)
        connection.sendall(frame(LAYOUTS["startApi"].encode(version, client_id=1, optional_capabilities="")))
        empty = _empty(LAYOUTS["reqMktData"].fields)
        stocks = [item for item in load_instruments().live if item.sec_type == "STK"]
        for req_id, item in enumerate(stocks):
            request = {**empty, "req_id": req_id, "con_id": item.con_id}
            connection.sendall(frame(LAYOUTS["reqMktData"].encode(version, **request)))
        frames = FrameReader()
        _count(connection, frames, WARM_UP, _TICKS[version])
        began = time.perf_counter()
        count = _count(connection, frames, SECONDS, _TICKS[version])
        return count / (time.perf_counter() - began)


def _empty(items: tuple[Item, ...]) -> dict[str, object]:
    """The fields of a request with nothing set."""
    empty: dict[str, object] = {}
    for item in items:
        if isinstance(item, Field):
            empty[item.name] = {"int": None, "float": None, "bool": False}.get(item.kind, "")
        elif isinstance(item, Repeat):
            empty[item.name] = []
        else:
            empty |= _empty(item.fields)
    return empty


def _count(connection: socket.socket, frames: FrameReader, seconds: float, ticks: tuple[bytes, ...]) -> int:
    until, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        data = connection.recv(1 << 20)
        if not data:
            raise SystemExit("the gateway has ended the connection")
        count += sum(body.startswith(ticks) for body in frames.feed(data))
    return count


if __name__ == "__main__":
    print(read(int(sys.argv[1]), int(sys.argv[2])))
