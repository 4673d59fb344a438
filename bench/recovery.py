"""After a fault, how soon does a program have prices again? ``make bench-recovery``.

Three programs subscribe to one ticker of market data. Each runs in a process of its own, with a simulated gateway of
its own:
- with this package;
- with the bare client library and the usual loop, which connects and subscribes again one second after
  ``disconnectedEvent``;
- with the client library's Watchdog, which subscribes in ``startedEvent`` and otherwise has its defaults.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from ib_async import IB, Stock, Watchdog
from rich.console import Console
from rich.table import Table

from bench.gateways import HOST
from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import ThreadedGateway

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
GIVEN_UP = 60.0
RUNS = 3
RESTARTS = (10.0, 10.4, 10.7)  # so that the loop's pause of one second falls at different times
FILE = Path(__file__).parents[1] / "docs" / "recovery.json"


def tell(word: str) -> None:
    """Print one line for the process that measures."""
    print(word, time.time(), flush=True)


async def connector(port: int) -> None:
    """With this package, which needs one subscription."""

    def note(status: Status) -> None:
        if status.state is not ConnectionState.READY:
            tell("lost")

    ours = IBConnector(HOST, port, client_id=1)
    await ours.connect_async()
    ours.ib.pendingTickersEvent += lambda _: tell("tick")
    ours.ib.reqMktData(AAPL)
    ours.on_status(note)
    await asyncio.Event().wait()


async def loop_of_ones_own(port: int) -> None:
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
            await ib.connectAsync(HOST, port, clientId=1)
        except (OSError, TimeoutError):
            await asyncio.sleep(1)
            continue
        lost.clear()
        ib.reqMktData(AAPL)
        await lost.wait()
        await asyncio.sleep(1)


class NoProgram:
    """Takes the place of IBC: somebody else starts the gateway."""

    async def startAsync(self) -> None: ...  # noqa: N802 - the library's name
    async def terminateAsync(self) -> None: ...  # noqa: N802 - the library's name


async def watchdog(port: int) -> None:
    """With the client library's Watchdog. Its first start does not wait for a gateway program."""
    ib = IB()
    dog = Watchdog(NoProgram(), ib, port=port, appStartupTime=0)  # type: ignore[arg-type]  # no IBC here

    def started(_: object) -> None:
        dog.appStartupTime = 30
        ib.reqMktData(AAPL)

    ib.pendingTickersEvent += lambda _: tell("tick")
    dog.startedEvent += started
    dog.stoppedEvent += lambda _: tell("lost")
    dog.start()
    await asyncio.Event().wait()


PROGRAMS: dict[str, Callable[[int], object]] = {
    "ibkr": connector,
    "a loop of one's own": loop_of_ones_own,
    "ib_async Watchdog": watchdog,
}


class Watched:
    """The process of one program. A thread reads what it prints."""

    def __init__(self, name: str, port: int) -> None:
        command = [sys.executable, "-m", "bench.recovery", name, str(port)]
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
        """Seconds from then until the first line with this word; None if it does not come within a minute."""

        def came() -> float | None:
            return next((moment - since for told, moment in self._told if told == word and moment > since), None)

        with self._news:
            self._news.wait_for(lambda: came() is not None, timeout=max(0.0, since + GIVEN_UP - time.time()))
            return came()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


def reset(gateway: ThreadedGateway, program: Watched, run: int) -> float | None:
    began = time.time()
    gateway.faults.reset()
    return program.first("tick", began)


def restart(gateway: ThreadedGateway, program: Watched, run: int) -> float | None:
    began = time.time()
    gateway.faults.restart(RESTARTS[run])
    return program.first("tick", began + RESTARTS[run])


def half_open(gateway: ThreadedGateway, program: Watched, run: int) -> float | None:
    began = time.time()
    gateway.faults.freeze()
    return program.first("lost", began)


def data_lost(gateway: ThreadedGateway, program: Watched, run: int) -> float | None:
    gateway.faults.lose_upstream()
    time.sleep(5)
    began = time.time()
    gateway.faults.restore_upstream_data_lost()
    return program.first("tick", began)


Fault: TypeAlias = Callable[[ThreadedGateway, Watched, int], float | None]
FAULTS: dict[str, Fault] = {
    "socket reset, to the next price": reset,
    "gateway gone for 10 s, from the moment its port is open again to the next price": restart,
    "half-open socket, until the program knows": half_open,
    "IB gone for 5 s, subscriptions lost (1101), to the next price": data_lost,
}


def measure(name: str, fault: Fault, run: int) -> float | None:
    """One run of one program; None if it was not over within a minute."""
    with ThreadedGateway(id_hold=0) as gateway:
        program = Watched(name, gateway.port)
        try:
            if program.first("tick", time.time() - 1) is None:
                raise RuntimeError(f"{name} never came up")
            return fault(gateway, program, run)
        finally:
            program.end()


def median(took: Sequence[float | None]) -> float | None:
    """The median of all runs; None if one of them was not over."""
    times = [seconds for seconds in took if seconds is not None]
    return round(statistics.median(times), 3) if len(times) == len(took) else None


def in_words(seconds: float | None) -> str:
    """The value as the README shows it."""
    if seconds is None:
        return "never (60 s)"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def main() -> None:
    results: dict[str, dict[str, float | None]] = {}
    table = Table("fault", *PROGRAMS, title=f"medians of {RUNS}")
    for what, fault in FAULTS.items():
        with ThreadPoolExecutor(len(PROGRAMS) * RUNS) as pool:  # they wait nearly all the time
            runs = {name: [pool.submit(measure, name, fault, run) for run in range(RUNS)] for name in PROGRAMS}
            results[what] = {name: median([each.result() for each in of_name]) for name, of_name in runs.items()}
        table.add_row(what, *map(in_words, results[what].values()))
    Console().print(table)
    FILE.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.disable()
    if len(sys.argv) > 1:
        asyncio.run(PROGRAMS[sys.argv[1]](int(sys.argv[2])))  # type: ignore[arg-type]  # coroutines all
    else:
        main()
