"""Compare this package with the bare client library: ``make bench``.

``python -m bench [GROUP ...] [--runs N] [--json FILE]``. One run measures this package and the bare library in turn,
and most figures are ratios. Like a real gateway, the gateway is a separate process. The times vary from run to run, so
each figure is a median. The table shows the limit of a figure next to it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from bench.machine import describe

GROUPS = (
    "import_time",
    "connect",
    "burst",
    "burst_stages",
    "idle",
    "memory",
    "half_open",
    "sse",
    "ticks",
    "orders",
    "proxy",
    "fleet",
)
"""Each a module whose ``measure(runs)`` gives figures; ``runs`` is the number of pairs, or of rounds."""


def measure(groups: list[str], runs: int) -> list[Figure]:
    """Run these groups in order, and return their figures. Progress goes to stderr."""
    figures: list[Figure] = []
    for group in groups:
        began = time.monotonic()
        print(f"{group} ...", end=" ", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"bench.{group}").measure(runs)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def show(figures: list[Figure]) -> None:
    table = Table(title="Ours and the bare library in turn: medians, and the middle half of them")
    for column in ("what", "ours", "bare library", "value", "must be", ""):
        table.add_column(column)
    for figure in figures:
        raw = figure.raw.in_words(figure.measured_in) if figure.raw else ""
        ours = figure.ours.in_words(figure.measured_in)
        verdict = {None: "", True: "holds", False: "MISSED"}[figure.holds]
        table.add_row(figure.what, ours, raw, f"{figure.value:.3g} {figure.unit}", figure.demand, verdict)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ours against the bare client library.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one or more of: {', '.join(GROUPS)}")
    parser.add_argument("--runs", type=int, default=10, help="pairs, or rounds, of each figure")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    logging.disable(logging.CRITICAL)  # the two libraries log different things, so neither logs here
    machine, began = describe(), datetime.now(UTC)
    figures = measure(arguments.groups or list(GROUPS), arguments.runs)
    if arguments.json:
        saved = {
            "measured": f"{began:%Y-%m-%d}",
            "runs": arguments.runs,
            "machine": machine,
            "figures": [figure.to_dict() for figure in figures],
        }
        arguments.json.write_text(json.dumps(saved, indent=1) + "\n")
    show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
