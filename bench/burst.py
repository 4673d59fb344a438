"""A burst of ticks: ticks per second, how long the event loop stalls, and how late other messages are."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from ib_async import IB, Stock

from bench.figures import Figure, plain, ratio
from bench.firehose import LAST_PRICE, LOSE_UPSTREAM, TICKS
from bench.gateways import HOST, firehose
from ibkr import IBConnector, UpstreamState

_BEAT = 0.001
_UPSTREAM_LOST = 1100

Told = Callable[[], None]
"""Called when the connector or the library reports the loss of upstream."""


@dataclass(frozen=True)
class Burst:
    """The result of one run.

    ``rate`` is ticks per second. In milliseconds, ``stall`` is the longest stall of the loop, ``answer`` is the wait
    for the gateway's time, and ``news`` is the time from 1100 on another connection until its listeners are called.
    ``used`` is microseconds of processor time per tick.
    """

    rate: float
    stall: float
    answer: float
    news: float
    used: float


class Heart:
    """Wakes up every millisecond, and records how late it was at most."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = time.monotonic()  # not loop.time(): uvloop does not update it during an iteration
        self._timer = self._loop.call_soon(self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        self.worst = max(self.worst, now - self._due)
        self._due = now + _BEAT
        self._timer = self._loop.call_later(_BEAT, self._beat)

    def stop(self) -> None:
        self._timer.cancel()


class Consumer:
    """A program that counts its ticks. It notes when 30 % of the ticks have arrived, and when the last one has."""

    def __init__(self, ib: Any) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[float] = loop.create_future()
        self.midst: asyncio.Future[float] = loop.create_future()
        self._count = 0
        self._event = ib.pendingTickersEvent
        self._event.connect(self._see, keep_ref=True)

    def stop(self) -> None:
        self._event.disconnect(self._see)

    def _see(self, tickers: Any) -> None:
        for ticker in tickers:
            self._count += len(ticker.ticks)
            if ticker.ticks and ticker.ticks[-1].price == LAST_PRICE and not self.over.done():
                self.over.set_result(time.perf_counter())
        if self._count > TICKS * 0.3 and not self.midst.done():
            self.midst.set_result(time.perf_counter())


async def play(ib: Any, other: Any, subscriptions: int, on_loss: Callable[[Told], None]) -> Burst:
    """Run one burst on ``ib``. During the burst, ask for the time on ``ib``, and lose upstream on ``other``."""
    for number in range(subscriptions):
        ib.reqMktData(Stock(f"S{number}", "SMART", "USD", conId=1 + number))
    while any(ticker.bid != 190 for ticker in ib.tickers()):
        await ib.updateEvent
    told: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    lost: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def note(req_id: int, code: int, text: str, contract: object) -> None:
        if code == _UPSTREAM_LOST:
            lost.set_result(float(text))

    other.errorEvent.connect(note, keep_ref=True)
    on_loss(lambda: told.set_result(time.monotonic()))
    consumer, heart = Consumer(ib), Heart()
    began, used = time.perf_counter(), time.process_time()
    ib.reqMarketDataType(1)
    asked = await consumer.midst
    other.client.send(LOSE_UPSTREAM)
    await ib.reqCurrentTimeAsync()
    answered = time.perf_counter()
    took = await consumer.over - began
    used = time.process_time() - used
    heart.stop()
    news = await told - await lost
    return Burst(TICKS / took, 1000 * heart.worst, 1000 * (answered - asked), 1000 * news, 1e6 * used / TICKS)


async def raw(port: int, subscriptions: int) -> Burst:
    ib, other = IB(), IB()
    for number, each in enumerate((ib, other), start=1):
        each.client.MaxRequests = 0
        await each.connectAsync(HOST, port, number)

    def on_loss(told: Told) -> None:
        other.errorEvent.connect(lambda _, code, *rest: code == _UPSTREAM_LOST and told(), keep_ref=True)

    burst = await play(ib, other, subscriptions, on_loss)
    for each in (ib, other):
        each.disconnect()
    return burst


async def ours(port: int, subscriptions: int) -> Burst:
    async with AsyncExitStack() as stack:
        connector, other = [await stack.enter_async_context(IBConnector(HOST, port, number)) for number in (1, 2)]

        def on_loss(told: Told) -> None:
            other.on_status(lambda status: status.upstream is UpstreamState.DOWN and told())

        return await play(connector.ib, other.ib, subscriptions, on_loss)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


def in_turn(port: int, subscriptions: int, loop: str, runs: int) -> tuple[list[Burst], list[Burst]]:
    """Run this package and the bare library in turn, after one warm-up run of each."""
    bursts: dict[Callable[[int, int], Awaitable[Burst]], list[Burst]] = {ours: [], raw: []}
    for _ in range(1 + runs):
        for play_one, done in bursts.items():
            gc.collect()
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                done.append(runner.run(play_one(port, subscriptions)))  # type: ignore[arg-type]
    return bursts[ours][1:], bursts[raw][1:]


def ours_alone(port: int, subscriptions: int, runs: int) -> list[float]:
    """Ticks per second of this package, after one warm-up run."""
    rates = []
    for _ in range(1 + runs):
        gc.collect()
        rates.append(asyncio.run(ours(port, subscriptions)).rate)
    return rates[1:]


def _figures(name: str, what: str, mine: list[Burst], bare: list[Burst]) -> list[Figure]:
    def of(part: str) -> tuple[list[float], list[float]]:
        return [getattr(burst, part) for burst in mine], [getattr(burst, part) for burst in bare]

    stalls, bare_stalls = of("stall")
    news, bare_news = of("news")
    return [
        ratio(f"{name} rate", f"ticks per second, {what}", *of("rate"), "/s", 2.0, is_least=True),
        ratio(f"{name} used", f"processor time per tick, {what}", *of("used"), "us"),
        plain(f"{name} stall", f"longest stall of the loop, {what}", stalls, "ms", 15, bare_stalls),
        ratio(f"{name} answer", f"an answer in the middle of the burst, {what}", *of("answer"), "ms", 1.0),
        plain(f"{name} news", f"1100 on another connection, {what}", news, "ms", 20, bare_news),
    ]


def measure(runs: int) -> list[Figure]:
    figures = []
    with firehose() as port:
        for loop in LOOPS:
            for subscriptions in (1, 50):
                name = f"burst {subscriptions} {loop}"
                what = f"{subscriptions} subscription{'s' * (subscriptions > 1)}, {loop}"
                figures += _figures(name, what, *in_turn(port, subscriptions, loop, runs))
    return figures
