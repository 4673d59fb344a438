"""The cost of the proxy: the round trip that it adds, and how many ticks per second it forwards.

The gateway and the proxy are separate processes; the benchmark asks and reads on a plain socket. It measures the direct
connection and the proxy in turn. With a recording, the proxy decodes, cleans and writes every message; this is measured
as well.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, Spread, plain
from bench.firehose import TICKS
from bench.gateways import HOST, firehose
from ibkr.proxy import Proxy
from ibkr.wire import ClientHello, FrameReader, encode_fields, frame, hello_bytes

PAIRS = 100
"""Pairs of round trips in each run."""

_BURSTS = 4
_TIME = frame(encode_fields(49, 1))
_TICK_STARTS = (b"1\0", b"2\0")


class Reader:
    """A session on a plain socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = FrameReader()
        self._socket.sendall(hello_bytes(ClientHello(100, 178)))
        self._until(1)
        self._socket.sendall(frame(encode_fields(71, 2, 1, "")))
        self._until(3)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def round_trip(self) -> float:
        """Seconds until the answer with the gateway's time."""
        began = time.perf_counter()
        self._socket.sendall(_TIME)
        self._until(1)
        return time.perf_counter() - began

    def bursts(self) -> float:
        """Return the ticks per second over several bursts. A single burst could fit into the buffers."""
        began = time.perf_counter()
        for _ in range(_BURSTS):
            self._burst()
        return _BURSTS * TICKS / (time.perf_counter() - began)

    def _burst(self) -> None:
        self._socket.sendall(frame(encode_fields(1, 11, 5, *[""] * 12, 0, "", 0, 0, "")))
        self._until(1)
        self._socket.sendall(frame(encode_fields(59, 1, 1)))
        count = 0
        while count < TICKS:
            data = self._socket.recv(1 << 20)
            count += sum(body[:2] in _TICK_STARTS for body in self._frames.feed(data))

    def _until(self, count: int) -> None:
        while count > 0:
            count -= len(self._frames.feed(self._socket.recv(1 << 16)))


@contextmanager
def proxied(port: int, record: str = "") -> Iterator[int]:
    """The port of a proxy in a process of its own."""
    command = [sys.executable, "-m", "bench.proxy", str(port), record]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def measure(runs: int) -> list[Figure]:
    trips: list[tuple[float, float]] = []
    rates: list[float] = []
    direct_rates: list[float] = []
    recorded: list[float] = []
    with firehose() as gateway, proxied(gateway) as port, tempfile.TemporaryDirectory() as folder:
        with Reader(gateway) as direct, Reader(port) as through:
            for _ in range(PAIRS * max(1, runs)):
                one, other = direct.round_trip(), through.round_trip()
                trips.append((1000 * one, 1000 * other))
        for _ in range(max(1, runs // 2)):
            with Reader(gateway) as direct:
                direct_rates.append(direct.bursts())
            with Reader(port) as through:
                rates.append(through.bursts())
        with proxied(gateway, str(Path(folder))) as recording:
            for _ in range(max(1, runs // 5)):
                with Reader(recording) as through:
                    recorded.append(through.bursts())
    ours, bare = Spread.of([other for _, other in trips]), Spread.of([one for one, _ in trips])
    what = "the proxy: round trip that it adds"
    added_ms = statistics.median(other - one for one, other in trips)
    passed = "the proxy: ticks through it to one reader"
    return [
        Figure("proxy-round-trip", what, added_ms, "ms", ours, bare, "ms", 0.2),
        plain("proxy-ticks", passed, rates, "/s", 200_000, direct_rates, is_least=True),
        plain("proxy-recorded-ticks", "the proxy: the same while it records", recorded, "/s"),
    ]


async def _serve(port: int, record: str) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with Proxy(HOST, port, record=record or None) as proxy:
        print(proxy.port, flush=True)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
