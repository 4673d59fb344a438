"""The page docs/performance.md, from the figures that ``make bench`` has kept: ``python -m bench.page FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.figures import Figure

_HEAD = """\
# Performance

Written by `make bench-page` from [performance.json](performance.json). `make bench` prints the same table of your
machine, `make bench-full` takes three times as many runs, `make bench-compare REV=main~5` holds a change against a
revision. Ours and the bare library are measured in turn in one run. A value is that of the medians, or their ratio; in
brackets is the middle half of the runs.

Closest to what they must be are the start of a process (1.11 to 1.14 x were read), connecting (1.03 to 1.05 x) and 200
idle connectors (0.44 to 0.45 %). The same machine has hours in which the bare library takes half as long again, and its
figures scatter; then up to 1.15 x was read for connecting. On a busy machine, read several runs.
"""

_STAGES = """\
## Where the time of a burst goes

Processor time for each tick of a burst of 200,000, each line with all that it needs of those above. The limit is the
first: reading bytes from the socket and doing nothing with them. What a tick costs beyond it is Python: a message cut
off, its two numbers read, six attributes of the `Ticker` set and a `TickData` made. Slices, events and the program's
own listener come once for many ticks.
"""

_HOW = """\
## How

- One read brings 8 KB at most, into one buffer a thread; messages are cut off it by offset. The library copies the rest
  of its buffer for every message. With reads of 16 KB and more, Python's garbage collector is what stalls the loop:
  more ticks are alive at a time than it takes to wake it, and a full collection takes 10 to 20 ms.
- Work goes on for 4 ms or to the end of one read, then the event loop has its turn, and nothing is read until the rest
  is done: TCP tells the gateway to wait. To the library's events, a slice is what a packet is: in a burst they come
  oftener, each with fewer ticks.
- Prices and sizes of market data (messages 1 and 2) are read in one step, with the library's own values and events; all
  others, and all that is odd, by the library's decoder.
- Start-up's first request leaves as soon as the gateway has opened the session, so that it works while the others are
  made; rows of positions and portfolio are read without the text that the library makes of each for its log, account
  values without its way of calling its own methods. What can wait until the gateway is at work does.
- With a version of the client library that is not known (known are ib_async 2.1.0 and ib_insync 0.9.86) its own code
  reads, and a warning says so once.
- A connector has one timer that matters while it is idle. Timers may be late by 1 % of the whole wait, so that those
  of many connectors wake the loop together; its pulse, which notices a blockage, beats every 0.4 s for all.
- What a program declares costs every start: an import's time is in compiling a dataclass's methods, so values are
  dataclasses for whoever asks, and compile none.
"""


def page(saved: dict[str, Any]) -> str:
    """The page, in Markdown."""
    figures = [Figure.from_dict(each) for each in saved["figures"]]
    stages = [figure for figure in figures if figure.name.startswith("stage ")]
    judged = [figure for figure in figures if figure not in stages]
    machine = saved["machine"]
    where = (
        f"Measured on {saved['measured']}, {saved['runs']} runs: {machine['processor']}; {machine['system']}, "
        f"{machine['python']}; {machine['packages']}. Load average when it began: {machine['load']}. "
        "What others do on a machine moves times more than ratios."
    )
    for each in saved.get("later", ()):  # groups that were measured again by themselves
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
    profile = _table(("up to", "us a tick"), [(figure.what, figure.ours.in_words("")) for figure in stages])
    return "\n".join((_HEAD, where, "", table, _STAGES, profile, _HOW))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    sys.stdout.write(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
