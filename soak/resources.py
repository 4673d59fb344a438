"""What must not grow in a long run: tasks, timers, threads, sockets, memory."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from dataclasses import dataclass

MIB = 2**20
TRACED_TOLERANCE = 0.5 * MIB
"""Growth of the memory that Python has allocated. A leak of one status or ticker in each outage shows in an hour."""
RESIDENT_TOLERANCE = 16 * MIB
"""Growth of the process. It is larger because the allocator keeps memory that it once had."""


@dataclass(frozen=True)
class Measure:
    """The counts at one moment. Memory is in bytes. It is None if the system does not give the value."""

    tasks: int
    timers: int
    threads: int
    sockets: int | None
    traced: int
    resident: int | None


def measure() -> Measure:
    """The counts now, after garbage collection."""
    gc.collect()
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return Measure(
        tasks=len(asyncio.all_tasks()),
        timers=sum(not handle.cancelled() for handle in scheduled),
        threads=threading.active_count(),
        sockets=_sockets(),
        traced=tracemalloc.get_traced_memory()[0],
        resident=_resident(),
    )


@dataclass(frozen=True)
class Growth:
    """One row: the value before and after, and how much it may grow."""

    what: str
    before: int
    after: int
    tolerance: float
    unit: float = 1

    @property
    def holds(self) -> bool:
        return self.after - self.before <= self.tolerance

    def __str__(self) -> str:
        scale, digits = (MIB, 2) if self.unit == MIB else (1, 0)
        unit = " MiB" if self.unit == MIB else ""
        numbers = [f"{value / scale:.{digits}f}" for value in (self.before, self.after, self.tolerance)]
        return f"{numbers[0]} -> {numbers[1]}{unit} (may grow by {numbers[2]})"


def growths(before: Measure, after: Measure) -> list[Growth]:
    """Return how much each count has grown. The result has no counts that the system does not give."""
    rows = [
        Growth("tasks", before.tasks, after.tasks, 0),
        # The number of the connector's own timers varies: for example, a probe or a watched stream has a timer.
        Growth("timers", before.timers, after.timers, 3),
        Growth("threads", before.threads, after.threads, 0),
        Growth("memory allocated", before.traced, after.traced, TRACED_TOLERANCE, MIB),
    ]
    if before.sockets is not None and after.sockets is not None:
        rows.append(Growth("sockets", before.sockets, after.sockets, 0))
    if before.resident is not None and after.resident is not None:
        rows.append(Growth("memory of the process", before.resident, after.resident, RESIDENT_TOLERANCE, MIB))
    return rows


def _sockets() -> int | None:
    if not os.path.isdir("/proc/self/fd"):
        return None
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except FileNotFoundError:  # this was the descriptor of the listing itself
            continue
    return count


def _resident() -> int | None:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return None
