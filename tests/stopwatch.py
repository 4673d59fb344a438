"""A stopwatch for tests that measure time. It subtracts the time in which our threads waited for a free CPU core.

So a limit of one second allows one second on an idle machine, and more on a busy machine. Linux gives the time that a
thread has waited. On other systems, the stopwatch shows the elapsed time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROC = Path("/proc")


def start_stopwatch() -> Callable[[], float]:
    """Start to measure. Returns a function that returns the seconds since this start."""
    began, before = time.monotonic(), run_delays()

    def elapsed() -> float:
        seconds, now = time.monotonic() - began, run_delays()
        return max(0.0, seconds - sum(delay - before.get(task, 0.0) for task, delay in now.items()))

    return elapsed


def run_delays(pid: int | str = "self") -> dict[str, float]:
    """Seconds that each thread of this process, and of the processes below it, has waited for a core."""
    found: dict[str, float] = {}
    for task in _tasks(pid):
        try:
            found[str(task)] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
            children = (task / "children").read_text(encoding="ascii").split()
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended, or the system does not give the value
            continue
        for child in children:
            found |= run_delays(child)
    return found


def _tasks(pid: int | str) -> Iterator[Path]:
    try:
        yield from (PROC / str(pid) / "task").resolve().iterdir()
    except (FileNotFoundError, ProcessLookupError):
        return


def slowness() -> float:
    """Seconds to allow for the start or end of a process on a busy machine: a multiple of the time to start one."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return 3 * (time.monotonic() - began)
