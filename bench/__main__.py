"""``make bench``: this package and the bare client library in turn, in one run, as ratios.

The gateway is a process of its own, as the real one is. A benchmark, not a test: machines are noisy, so each figure is
the median of many, and what must hold stands beside it.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ib_async import IB, Stock, Ticker
from rich.console import Console
from rich.table import Table

from bench import sse
from bench.ticks import ticks_per_second
from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import Gateway

PAIRS = 30
WARM_UP = 5
RESTARTS = 10
WAITING = 10.0
HOST = "127.0.0.1"
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, what it came to, and what it must not exceed."""

    what: str
    measured: str
    value: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.value <= self.limit


class GatewayProcess:
    """``ibkr simulate`` with its control port."""

    def __init__(self, process: subprocess.Popen[str], port: int, control: int) -> None:
        self._process = process
        self.port = port
        self._control = control

    async def fault(self, line: str) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._control)
        writer.write(line.encode() + b"\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        if b'"ok": true' not in answer:
            raise RuntimeError(f"the gateway refused {line!r}: {answer!r}")


@contextmanager
def gateway_process() -> Iterator[GatewayProcess]:
    port, control = _free_port(), _free_port()
    command = [sys.executable, "-m", "ibkr", "simulate", "--port", str(port), "--control", str(control)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if "listens" not in said:
            raise RuntimeError(f"the gateway did not start: {said}")
        try:
            yield GatewayProcess(process, port, control)
        finally:
            process.terminate()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


async def raw_connect(port: int) -> float:
    """Seconds that the bare library takes to connect."""
    ib = IB()
    began = time.perf_counter()
    await ib.connectAsync(HOST, port, 1)
    took = time.perf_counter() - began
    ib.disconnect()
    if ib.client.conn.transport:
        await ib.client.conn.disconnected
    return took


async def connect(port: int) -> float:
    """Seconds to ``READY``."""
    connector = IBConnector(HOST, port, 2)
    began = time.perf_counter()
    await connector.connect_async()
    took = time.perf_counter() - began
    assert connector.status.state is ConnectionState.READY, repr(connector)
    await connector.disconnect_async()
    return took


async def reset(gateway: GatewayProcess, connector: IBConnector, ticker: Ticker) -> float:
    """Seconds from the moment that the reset is seen to ``READY`` with the ticker ticking again."""
    lost: list[float] = []
    ticked: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def see(status: Status) -> None:
        if status.state is ConnectionState.RECONNECTING and not lost:
            lost.append(time.perf_counter())

    def tick(_: Ticker) -> None:
        if lost and not ticked.done():
            ticked.set_result(time.perf_counter())

    unsubscribe = connector.on_status(see)
    ticker.updateEvent.connect(tick)
    try:
        await gateway.fault("reset")
        at = await asyncio.wait_for(ticked, 10)
        await connector.wait_ready_async(10)
        return max(at, time.perf_counter()) - lost[0]
    finally:
        ticker.updateEvent.disconnect(tick)
        unsubscribe()


async def restart(gateway: Gateway, connector: IBConnector) -> float:
    """Seconds from the port's return to ``READY``."""
    await gateway.fault("restart", 0.6)
    await gateway.wait_for(lambda gateway: not gateway.is_listening)
    await gateway.wait_for(lambda gateway: gateway.is_listening)
    began = time.perf_counter()
    await connector.wait_ready_async(10)
    return time.perf_counter() - began


async def waiting() -> float:
    """The share of a core, in percent, that waiting for a port that refuses takes."""
    connector = IBConnector(HOST, _free_port(), 5)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await asyncio.sleep(1)
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(WAITING)
    share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
    await connector.disconnect_async()
    await connecting
    return share


def ratio(what: str, ours: list[float], raw: list[float], limit: float) -> Figure:
    mine, bare = statistics.median(ours), statistics.median(raw)
    spread = f"{_milliseconds(ours)} against {_milliseconds(raw)}"
    return Figure(what, spread, mine / bare, limit, "x")


def _milliseconds(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{1000 * middle:.2f} ms ({1000 * low:.2f}-{1000 * high:.2f})"


async def measure() -> list[Figure]:
    with gateway_process() as gateway:
        pairs = [(await raw_connect(gateway.port), await connect(gateway.port)) for _ in range(WARM_UP + PAIRS)]
        raw, ours = (list(column) for column in zip(*pairs[WARM_UP:], strict=True))
        # So many resets in a minute are flapping to it, which it would slow down for.
        async with IBConnector(HOST, gateway.port, 3, policy=Policy(flap_limit=10 * PAIRS)) as connector:
            ticker = connector.ib.reqMktData(AAPL)
            resets = []
            for _ in range(WARM_UP + PAIRS):
                resets.append((await raw_connect(gateway.port), await reset(gateway, connector, ticker)))
        raw_between, back = (list(column) for column in zip(*resets[WARM_UP:], strict=True))
    async with Gateway(id_hold=0) as own, IBConnector(HOST, own.port, 4) as connector:
        returns = [await restart(own, connector) for _ in range(RESTARTS)]
    idle = await waiting()
    lags = await sse.to_every_reader()
    middle = statistics.median(returns)
    ticks = await ticks_per_second()
    return [
        ratio("connect to READY / raw connect", ours, raw, 1.10),
        ratio("reset to READY, ticking again / raw connect", back, raw_between, 2.0),
        Figure("port open again to READY", f"longest of {RESTARTS}: {max(returns):.3f} s", middle, 0.3, "s"),
        Figure("process time while a port refuses", f"over {WAITING:g} s", idle, 1.0, "%"),
        Figure(
            "one change to 100 readers",
            f"the last of them: {_milliseconds(lags)}",
            1e3 * statistics.median(lags),
            50,
            "ms",
        ),
        Figure("ticks out of the gateway", f"{ticks:,.0f} ticks/s to one reader", 1e6 / ticks, 10.0, "us each"),
    ]


def main() -> int:
    # What is logged differs between the two, and is not what is measured.
    for name in ("ib_async", "ibkr"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    figures = asyncio.run(measure())
    table = Table(title=f"Medians of {PAIRS} pairs, bare library and ours in turn; in brackets the middle half")
    for column in ("what", "ours against raw", "median", "must be", ""):
        table.add_column(column)
    for figure in figures:
        unit = f" {figure.unit}"
        verdict = "holds" if figure.holds else "MISSED"
        table.add_row(
            figure.what, figure.measured, f"{figure.value:.2f}{unit}", f"<= {figure.limit:.2f}{unit}", verdict
        )
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
