"""Random faults against 20 subscriptions, for a chosen time. At the end, everything must work again: ``make soak``.

``python -m soak`` injects a fault when the fault before it is over. ``python -m soak overlap`` does not wait for that.
``SOAK_MINUTES`` is the time (10), and ``SOAK_SEED`` repeats a run. ``python -m soak crash`` starts and kills a program
that trades with a journal, ``SOAK_KILLS`` times (300). Each time, the next program must account for every order. If a
check failed, the exit code is 1 and the report names the check.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import secrets
import sys
import time
import tracemalloc
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from ibkr import ConnectionState
from soak.crash import crash
from soak.faults import BREAKING, EPISODES, draw_overlapping
from soak.harness import SUBSCRIPTIONS, NotHeld, Rig, gateway_process
from soak.resources import Measure, growths, measure

SETTLED_AFTER = 0.25
"""Growth is measured after this share of the run, because the caches are then full."""
LONGEST_PAUSE = 0.5
"""The longest pause between two faults, in seconds."""


@dataclass
class Report:
    """The report of a run: what was checked, the result, and whether it holds (None: for information only)."""

    rows: list[tuple[str, str, bool | None]] = field(default_factory=list)

    def add(self, what: str, how: object, holds: bool | None = None) -> None:
        self.rows.append((what, str(how), holds))

    @property
    def broken(self) -> list[str]:
        return [f"{what}: {how}" for what, how, holds in self.rows if holds is False]


class Unheard(logging.Handler):
    """Collects what asyncio logs: exceptions that nobody retrieved, tasks that were destroyed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage().replace("\n", " "))


class Soak:
    """One run of faults, this many minutes long."""

    def __init__(self, rig: Rig, minutes: float, dice: random.Random) -> None:
        self._rig, self._dice = rig, dice
        self._began = time.monotonic()
        self._seconds = minutes * 60
        self._faults = 0
        self._settled: Measure | None = None

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _say(self, text: str) -> None:
        print(f"{self._elapsed:8.1f} s  {text}", flush=True)

    async def in_turn(self, report: Report) -> None:
        """Inject a fault when the fault before it is over. Each kind is used once before a kind is used again."""
        deck: list[int] = []
        while self._elapsed < self._seconds:
            deck = deck or self._dice.sample(range(len(EPISODES)), len(EPISODES))
            known, outages = len(self._rig.outages.durations), await self._broken()
            words = await EPISODES[deck.pop()](self._rig, self._dice)
            broken = await self._broken()
            await self._rig.ready(broken)
            await self._rig.all_tick()
            self._faults += 1
            out = sum(self._rig.outages.durations[known:])
            self._say(f"{words:<60} {f'out {out:6.2f} s' if broken > outages else 'no outage'}")
            self._settle()
            await asyncio.sleep(self._dice.uniform(0, LONGEST_PAUSE))
        broken, counted = await self._broken(), self._rig.connector.status.outages
        report.add("outages", f"the connector counts {counted}, the simulator broke {broken}", counted == broken)

    async def overlapping(self, report: Report) -> None:
        """Inject faults while other faults are active. At the end, end all faults that are still active."""
        while self._elapsed < self._seconds:
            command = draw_overlapping(self._dice)
            await self._rig.fault(command)
            await asyncio.sleep(self._dice.uniform(0, LONGEST_PAUSE))
            self._faults += 1
            self._say(f"{command:<40} {self._rig.connector.status.state}")
            if self._settled is None and self._elapsed >= SETTLED_AFTER * self._seconds:
                await self._end_all()
                self._settle()
        began = time.monotonic()
        await self._end_all()
        report.add("all faults ended to READY and ticks", f"{time.monotonic() - began:.2f} s", True)
        report.add("outages", self._rig.connector.status.outages)

    async def _end_all(self) -> None:
        await self._rig.fault("clear")
        await self._rig.fault("1102")  # "clear" sends no message, and only 1102 changes the connector's upstream state
        await self._rig.ready(0)
        await self._rig.all_tick()
        self._say("all faults ended")

    async def _broken(self) -> int:
        return sum(name in BREAKING for name in await self._rig.faults_seen())

    def _settle(self) -> None:
        if self._settled is None and self._elapsed >= SETTLED_AFTER * self._seconds:
            self._settled = measure()

    def sum_up(self, report: Report) -> None:
        """Check what must hold at the end of a run."""
        state = self._rig.connector.status.state
        report.add("state", state, state is ConnectionState.READY)
        report.add("faults", self._faults)
        if durations := sorted(self._rig.outages.durations):
            middle, longest = durations[len(durations) // 2], durations[-1]
            report.add("out", f"median {middle:.2f} s, longest {longest:.2f} s, {sum(durations):.0f} s in all")
        assert self._settled is not None
        for growth in growths(self._settled, measure()):
            report.add(growth.what, growth, growth.holds)


async def run(name: str, minutes: float, seed: int) -> Report:
    report, unheard = Report(), Unheard()
    logging.getLogger("asyncio").addHandler(unheard)
    tracemalloc.start()
    async with gateway_process() as (port, control):
        rig = Rig(port, control)
        try:
            await rig.start()
            soak = Soak(rig, minutes, random.Random(seed))
            await (soak.overlapping(report) if name == "overlap" else soak.in_turn(report))
            await rig.all_tick()
            report.add("subscriptions", f"all {SUBSCRIPTIONS} tick", True)
            soak.sum_up(report)
        except NotHeld as error:
            report.add("held", error, False)
        finally:
            await rig.connector.disconnect_async()
    gc.collect()
    report.add("errors that nobody took", "; ".join(unheard.told) or "none", not unheard.told)
    return report


async def run_crash(kills: int, seed: int) -> Report:
    report = Report()
    try:
        oracle = await crash(kills, seed)
    except NotHeld as error:
        report.add("held", error, False)
    else:
        report.add("kills", kills)
        report.add("orders, each accounted for once", oracle.orders, True)
        report.add("executions, each accounted for once", f"{oracle.executions}, {oracle.missed} of them missed", True)
        report.add("orders unconfirmed, and not at the broker", oracle.unconfirmed, True)
    return report


def main() -> int:
    names = sys.argv[1:] or ["turn"]
    minutes = float(os.environ.get("SOAK_MINUTES") or 10)
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    kills = int(os.environ.get("SOAK_KILLS") or 300)
    if names not in (["turn"], ["overlap"], ["crash"]) or minutes <= 0:
        usage = "usage: [SOAK_MINUTES=10] [SOAK_KILLS=300] [SOAK_SEED=n] python -m soak [turn|overlap|crash]"
        print(usage, file=sys.stderr)
        return 2
    for logger in ("ib_async", "ibkr"):  # this program prints a line for each outage itself
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    how_long = f"{kills} kills" if names == ["crash"] else f"{minutes:g} minutes"
    print(f"{names[0]}: {how_long}, SOAK_SEED={seed} repeats it", flush=True)
    report = asyncio.run(run_crash(kills, seed) if names == ["crash"] else run(names[0], minutes, seed))
    table = Table(title=f"Soak, {names[0]}, {how_long}, seed {seed}")
    for column in ("what", "measured", ""):
        table.add_column(column)
    for what, how, holds in report.rows:
        table.add_row(what, how, {True: "holds", False: "BROKEN", None: ""}[holds])
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    for line in report.broken:
        print(f"did not hold: {line}", file=sys.stderr)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
