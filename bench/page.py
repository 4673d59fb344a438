"""Write docs/performance.md from the figures that ``make bench`` has stored: ``python -m bench.page FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure

_HEAD = """\
# Performance

`make bench-page` writes this page from [performance.json](performance.json). `make bench` prints the same table for
your machine, `make bench-full` does three times as many runs, and `make bench-compare REV=main~5` compares the package
with a revision. This package and the bare client library run in turn, in one run. A value is a median, or the ratio of
two medians. The brackets show the range of the middle half of the runs.

What misses its limit, and why:

- **The start of a process**: it loads 124 modules of this package, which takes 26 ms.
- **Connecting**: each packet of the gateway is read in a turn of the event loop of its own, so that a handler may run
  the loop itself. The connector also decides its state from each answer. Both take about 0.4 ms.
- **200 idle connectors**: 4 MB are this package's code, the rest is 55 kB for each connector. The share of a core is
  near its limit, and depends on the machine.

On a busy machine, do several runs.
"""

_STAGES = """\
## Where the time of a burst goes

Processor time per tick in a burst of 200,000 ticks. Each line includes the lines above it. The first line is the lower
limit: read bytes from the socket, and do nothing with them. The rest of a tick's cost is Python: split off a message,
read its two numbers, set six attributes of the `Ticker`, make a `TickData`. The work per slice, the events and the
program's own listener run once for many ticks.
"""

_HOW = """\
## How

- A read takes 8 KB at most, into one buffer per thread. Messages are cut off by their offset. The client library
  instead copies the rest of its buffer for every message. With reads of 16 KB or more, Python's garbage collector
  stalls the loop: so many ticks are alive at a time that a full collection starts, which takes 10 to 20 ms.
- The reader works for 4 ms, or to the end of one read. Then other callbacks of the event loop run. Nothing more is
  read until the rest is done; TCP makes the gateway wait. For the library's events, a slice counts as a packet: in a
  burst they come more often, with fewer ticks each.
- Prices and sizes of market data (messages 1 and 2) are read in one step, with the same values and events as in the
  library. The library's decoder reads all other messages, and every unusual one.
- The first start-up request is sent as soon as the gateway has opened the session, so the gateway works while the other
  requests are made. Rows of positions and portfolio are read without the text that the library makes of each row for
  its log. Work that can wait is done while the gateway works.
- The known versions of the client libraries are ib_async 2.1.0 and ib_insync 0.9.86. With any other version, the
  library's own code reads the messages, and one WARNING reports this.
- An idle connector has one timer that matters. A timer may be late by 1 % of its time, so that the timers of many
  connectors wake the loop together. One monitor per loop, which notices a blocked loop, runs every 0.4 s for all of
  them.
- Class definitions slow down every start: most of the import time of a dataclass is spent on compiling its methods.
  The package's records behave as dataclasses, but compile no methods.
"""


def page(saved: dict[str, Any]) -> str:
    """The page, in Markdown."""
    figures = [Figure.from_dict(each) for each in saved["figures"]]
    stages = [figure for figure in figures if figure.name.startswith("stage ")]
    judged = [figure for figure in figures if figure not in stages]
    machine = saved["machine"]
    where = (
        f"Measured on {saved['measured']}, {saved['runs']} runs: {machine['processor']}; {machine['system']}, "
        f"{machine['python']}; {machine['packages']}. Load average at the start: {machine['load']}. "
        "Other work on the machine changes times more than ratios."
    )
    for each in saved.get("later", ()):  # these groups were measured again separately
        groups = ", ".join(each["groups"])
        where += f" Again on {each['measured']}: {groups} ({each['runs']} runs, load average {each['load']})."
    rows = [
        (
            figure.what,
            figure.ours.in_words(figure.measured_in),
            figure.raw.in_words(figure.measured_in) if figure.raw else "",
            f"{figure.value:.3g} {figure.unit}",
            figure.demand,
            {None: "", True: "holds", False: "missed"}[figure.holds],
        )
        for figure in judged
    ]
    table = _table(("what", "ours", "bare library", "value", "must be", ""), rows)
    profile = _table(("stage", "us per tick"), [(figure.what, figure.ours.in_words("")) for figure in stages])
    return "\n".join((_HEAD, where, "", table, _STAGES, profile, _HOW))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    sys.stdout.write(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
