"""After a fault, how soon does a program have prices again? ``make bench-recovery``.

Three programs subscribe to one ticker of market data. Each runs in a separate process, with its own simulated
gateway:
- with this package;
- with the bare client library and the usual loop, which connects and subscribes again one second after
  ``disconnectedEvent``;
- with the client library's Watchdog, which subscribes in ``startedEvent`` and otherwise has its defaults.

The cut cable is between two network namespaces, so it needs Linux, root, iproute2 and iptables.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ib_async import IB, Stock, Watchdog
from rich.console import Console
from rich.table import Table

from bench.gateways import HOST
from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import ThreadedGateway
from tests.network.lab import GATEWAY, Lab, missing

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
GIVEN_UP = 60.0
RUNS = 3
RESTARTS = (10.0, 10.4, 10.7)  # so the loop's pause of one second ends at different times after the gateway's return
HOLD = 3.0  # seconds for which the gateway keeps a lost client's id
CUT = 60.0  # seconds without a network
FILE = Path(__file__).parents[1] / "docs" / "recovery.json"


def tell(word: str) -> None:
    """Print one line for the process that measures."""
    print(word, time.time(), flush=True)


async def connector(host: str, port: int) -> None:
    """With this package, which needs one subscription."""

    def note(status: Status) -> None:
        if status.state is not ConnectionState.READY:
            tell("lost")

    ours = IBConnector(host, port, client_id=1)
    await ours.connect_async()
    ours.ib.pendingTickersEvent += lambda _: tell("tick")
    ours.ib.reqMktData(AAPL)
    ours.on_status(note)
    await asyncio.Event().wait()


async def loop_of_ones_own(host: str, port: int) -> None:
    """With the bare client library: one second after the end, connect and subscribe again, until it works."""
    ib = IB()
    lost = asyncio.Event()

    def note() -> None:
        tell("lost")
        lost.set()

    ib.disconnectedEvent += note
    ib.pendingTickersEvent += lambda _: tell("tick")
    while True:
        try:
            await ib.connectAsync(host, port, clientId=1)
        except (OSError, TimeoutError):
            await asyncio.sleep(1)
            continue
        lost.clear()
        ib.reqMktData(AAPL)
        await lost.wait()
        await asyncio.sleep(1)


class NoProgram:
    """Replaces IBC and does nothing: another process starts the gateway."""

    async def startAsync(self) -> None: ...  # noqa: N802 - the library's name
    async def terminateAsync(self) -> None: ...  # noqa: N802 - the library's name


async def watchdog(host: str, port: int) -> None:
    """Run with the client library's Watchdog. Its first start does not wait for a gateway program."""
    ib = IB()
    dog = Watchdog(NoProgram(), ib, host=host, port=port, appStartupTime=0)  # type: ignore[arg-type]  # no IBC here

    def started(_: object) -> None:
        dog.appStartupTime = 30
        ib.reqMktData(AAPL)

    ib.pendingTickersEvent += lambda _: tell("tick")
    dog.startedEvent += started
    dog.stoppedEvent += lambda _: tell("lost")
    dog.start()
    await asyncio.Event().wait()


PROGRAMS: dict[str, Callable[[str, int], object]] = {
    "ibkr": connector,
    "a loop of one's own": loop_of_ones_own,
    "ib_async Watchdog": watchdog,
}


class Watched:
    """The process of one program. A thread reads what it prints."""

    def __init__(self, name: str, host: str, port: int) -> None:
        command = [sys.executable, "-m", "bench.recovery", name, host, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._told: list[tuple[str, float]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, moment = line.split()
            with self._news:
                self._told.append((word, float(moment)))
                self._news.notify()

    def first(self, word: str, since: float) -> float | None:
        """Return the seconds from ``since`` until the first line with this word. None if that takes over a minute."""

        def came() -> float | None:
            return next((moment - since for told, moment in self._told if told == word and moment > since), None)

        with self._news:
            self._news.wait_for(lambda: came() is not None, timeout=max(0.0, since + GIVEN_UP - time.time()))
            return came()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


@contextmanager
def watched(name: str, host: str, port: int) -> Iterator[Watched]:
    """A program that has prices."""
    program = Watched(name, host, port)
    try:
        if program.first("tick", time.time() - 1) is None:
            raise RuntimeError(f"{name} never came up")
        yield program
    finally:
        program.end()


@contextmanager
def on_loopback(name: str, id_hold: float = 0) -> Iterator[tuple[ThreadedGateway, Watched]]:
    """A gateway, and a program that has its prices."""
    with ThreadedGateway(id_hold=id_hold) as gateway, watched(name, HOST, gateway.port) as program:
        yield gateway, program


def reset(name: str, run: int) -> float | None:
    with on_loopback(name) as (gateway, program):
        began = time.time()
        gateway.faults.reset()
        return program.first("tick", began)


def restart(name: str, run: int) -> float | None:
    with on_loopback(name) as (gateway, program):
        began = time.time()
        gateway.faults.restart(RESTARTS[run])
        return program.first("tick", began + RESTARTS[run])


def half_open(name: str, run: int) -> float | None:
    with on_loopback(name) as (gateway, program):
        began = time.time()
        gateway.faults.freeze()
        return program.first("lost", began)


def data_lost(name: str, run: int) -> float | None:
    with on_loopback(name) as (gateway, program):
        gateway.faults.lose_upstream()
        time.sleep(5)
        began = time.time()
        gateway.faults.restore_upstream_data_lost()
        return program.first("tick", began)


def id_held(name: str, run: int) -> float | None:
    with on_loopback(name, HOLD) as (gateway, program):
        began = time.time()
        gateway.faults.reset()
        return program.first("tick", began + HOLD)


def cable_cut(name: str, run: int) -> float | None:
    lab = Lab()
    try:
        with lab.gateway.entered():
            gateway = ThreadedGateway(host="0.0.0.0", id_hold=0)
            gateway.start()
        try:
            with lab.client.entered(), watched(name, GATEWAY, gateway.port) as program:
                lab.drop()
                time.sleep(CUT)
                began = time.time()
                lab.mend()
                return program.first("tick", began)
        finally:
            gateway.stop()
    finally:
        lab.remove()


FAULTS: dict[str, Callable[[str, int], float | None]] = {
    "socket reset, and the client id is free immediately: time to the next price": reset,
    "the gateway holds the client id for 3 s after a reset (326): time from its release to the next price": id_held,
    "the gateway is gone for 10 s: time from when its port is open again to the next price": restart,
    "network cable out for 60 s: time from reconnecting it to the next price": cable_cut,
    "half-open socket: time until the program knows": half_open,
    "IB is gone for 5 s, and subscriptions are lost (1101): time from IB's return to the next price": data_lost,
}
"""Each returns the seconds of one run, or None if it was not over within a minute."""


def median(took: Sequence[float | None]) -> float | None:
    """Return the median of all runs, or None if a run did not end in time."""
    times = [seconds for seconds in took if seconds is not None]
    return round(statistics.median(times), 3) if len(times) == len(took) else None


def in_words(seconds: float | None) -> str:
    """The value as the README shows it."""
    if seconds is None:
        return "never (60 s)"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def main() -> None:
    if lacks := missing():
        sys.exit(f"the cable cannot be cut: {lacks}")
    results: dict[str, dict[str, float | None]] = {}
    table = Table("fault", *PROGRAMS, title=f"medians of {RUNS}")
    for what, fault in FAULTS.items():
        with ThreadPoolExecutor(len(PROGRAMS) * RUNS) as pool:  # the threads wait most of the time
            runs = {name: [pool.submit(fault, name, run) for run in range(RUNS)] for name in PROGRAMS}
            results[what] = {name: median([each.result() for each in of_name]) for name, of_name in runs.items()}
        table.add_row(what, *map(in_words, results[what].values()))
    Console().print(table)
    FILE.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.disable()
    if len(sys.argv) > 1:
        asyncio.run(PROGRAMS[sys.argv[1]](sys.argv[2], int(sys.argv[3])))  # type: ignore[arg-type]  # all are coroutines
    else:
        main()
