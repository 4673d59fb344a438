"""The processor time per tick of a burst, for each stage together with all stages before it.

A tick takes about a microsecond. A profiler would need more time than that, so each stage is measured without one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from ib_async import IB, Stock

from bench.burst import ours, raw
from bench.figures import Figure, plain
from bench.firehose import TICKS, burst_over
from bench.gateways import HOST, firehose
from ibkr.session.library import Hooks, adopt
from ibkr.session.library.connection import SmallReadProtocol
from ibkr.session.library.tick_decoder import NoTickReader, TickReader
from ibkr.wire import ClientHello, FrameReader, encode_fields, frame, hello_bytes

_LENGTH = sum(map(len, burst_over((1,))))


class _Reader(asyncio.Protocol):
    """Asks for a burst, and passes the bytes of each read to ``take``."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take
        self._left = _LENGTH

    def data_received(self, data: bytes) -> None:
        self._take(data)
        self._left -= len(data)
        if self._left <= 0 and not self.over.done():
            self.over.set_result(None)


async def _read(port: int, take: Callable[[bytes], object], ib: IB | None = None) -> float:
    """Microseconds of processor time per tick."""
    reader = _Reader(take)
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: SmallReadProtocol(reader), HOST, port)
    if ib is not None:
        ib.client.conn.transport = transport
    transport.write(hello_bytes(ClientHello(157, 178)))
    transport.write(frame(encode_fields(71, 2, 1, "")))
    transport.write(frame(encode_fields(1, 11, 1, *[""] * 20)))
    used = time.process_time()
    transport.write(frame(encode_fields(59, 1, 1)))
    await reader.over
    used = time.process_time() - used
    transport.abort()
    if ib is not None:
        ib.client.conn.transport = None
    return 1e6 * used / TICKS


class _NoSession:
    """Hooks that do nothing."""

    is_wanted = True

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_named: None


async def _read_into_tickers(port: int, ticks: TickReader | None = None) -> float:
    """Split the bytes into messages, and read them into a ``Ticker`` without listeners."""
    ib = IB()
    library = adopt(ib, cast(Hooks, _NoSession()))
    ib.wrapper.startTicker(1, Stock("S0", "SMART", "USD", conId=1), "mktData")
    if ticks is not None:
        library.reader._ticks = ticks
    library.reader.begin()
    return await _read(port, library.reader.feed, ib)


async def _stages(port: int) -> dict[str, float]:
    return {
        "bytes counted, like a bare socket reader": await _read(port, len),
        "messages split off": await _read(port, FrameReader().feed),
        "ticks read into the tickers": await _read_into_tickers(port),
        "the same, with the library's decoder": await _read_into_tickers(port, NoTickReader()),
        "a program on IBConnector that counts its ticks": (await ours(port, 1)).used,
        "the same program on the bare library": (await raw(port, 1)).used,
    }


def measure(runs: int) -> list[Figure]:
    with firehose() as port:
        stages = [asyncio.run(_stages(port)) for _ in range(1 + runs)][1:]
    return [plain(f"stage {stage}", stage, [each[stage] for each in stages], "us") for stage in stages[0]]
