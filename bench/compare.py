"""Compare the package at a revision with the package in this folder: ``make bench-compare REV=...``.

``python -m bench.compare REV [--pairs N]``. Each pair runs both versions, each in a separate process. The table shows
the speed of the package in this folder as a multiple of the speed at the revision: the mean of all pairs, and a lower
bound with 95 % confidence. Both versions connect to the same gateways, which run the code of this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import burst, connect
from bench.gateways import HOST, GatewayProcess, firehose, gateway
from ibkr import IBConnector, Policy

WARM_UP, RUNS = 5, 25
# One-sided quantiles of Student's t, by degrees of freedom.
_T95 = {9: 1.833, 14: 1.761, 19: 1.729, 29: 1.699, 39: 1.685}


def speeds(port: int, control: int, firehose_port: int) -> dict[str, float]:
    """Measure the imported package and the bare library in turn. Return the median of some runs of each figure."""
    return {**asyncio.run(_connections(GatewayProcess(port, control))), **_bursts(firehose_port)}


async def _connections(served: GatewayProcess) -> dict[str, float]:
    connects = [(await connect.raw_connect(served.port), await connect.connect(served.port)) for _ in range(RUNS)]
    async with IBConnector(HOST, served.port, 3, policy=Policy(flap_limit=1000)) as connector:
        ticker = connector.ib.reqMktData(connect.AAPL)
        resets = []
        for _ in range(RUNS):
            resets.append((await connect.raw_connect(served.port), await connect.reset(served, connector, ticker)))
    return {
        name: statistics.median(raw / ours for raw, ours in runs[WARM_UP:])
        for name, runs in (("connect until READY", connects), ("reset to READY and ticking", resets))
    }


def _bursts(port: int) -> dict[str, float]:
    return {
        f"burst, {number} subscription{'s' * (number > 1)}": max(burst.ours_alone(port, number, runs=3))
        for number in (1, 50)
    }


def speeds_of(source: Path, ports: tuple[int, int, int]) -> dict[str, float]:
    """Measure the package in this folder."""
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{os.getcwd()}"}
    command = [sys.executable, "-m", "bench.compare", "--speeds", *map(str, ports)]
    found = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(found.stdout)
    return told


def bound(ratios: list[float]) -> tuple[float, float]:
    """The mean of these ratios, and the lower bound of their true mean with 95 % confidence."""
    logs = [math.log(each) for each in ratios]
    mean = statistics.fmean(logs)
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    t = next((value for freedom, value in _T95.items() if freedom >= len(logs) - 1), 1.645)
    return math.exp(mean), math.exp(mean - t * error)


def compare(before: Path, now: Path, pairs: int) -> None:
    """Run the pairs and show the result. The order of the two versions changes from pair to pair."""
    played: list[tuple[dict[str, float], dict[str, float]]] = []
    with gateway() as served, firehose() as firehose_port:
        ports = served.port, served.control, firehose_port
        for number in range(pairs):
            print(f"pair {number + 1} of {pairs}", file=sys.stderr, flush=True)
            if number % 2:
                new, old = speeds_of(now, ports), speeds_of(before, ports)
            else:
                old, new = speeds_of(before, ports), speeds_of(now, ports)
            played.append((old, new))
    table = Table(title=f"Speed now / before, {pairs} pairs")
    for column in ("what", "mean", "95 % bound"):
        table.add_column(column)
    for what in played[0][0]:
        mean, least = bound([new[what] / old[what] for old, new in played])
        table.add_row(what, f"{mean:.3f}", f"{least:.3f}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description="The package then and now.")
    parser.add_argument("revision", nargs="?", help="what to compare with, such as main~5 or v0.1.0")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument(
        "--speeds", nargs=3, type=int, metavar="PORT", help="print the speeds of the package that is imported"
    )
    arguments = parser.parse_args()
    if arguments.speeds:
        logging.disable(logging.CRITICAL)  # the two versions log different things, so neither logs here
        print(json.dumps(speeds(*arguments.speeds)))
        return 0
    if not arguments.revision or arguments.pairs < 2:
        parser.error("a revision is needed, such as main~5, and two pairs or more")
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "before")
        command = ["git", "worktree", "add", "--quiet", "--detach", str(checkout), arguments.revision]
        subprocess.run(command, check=True)
        try:
            compare(checkout / "src", Path("src").resolve(), arguments.pairs)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
