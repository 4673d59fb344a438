"""``make bench-compare REV=...``: the package as it was at a revision, and as it is, group by group in turn.

``python -m bench.compare REV [GROUP ...]``. The figures of today's bench are taken of both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.__main__ import GROUPS
from bench.figures import Figure

ROUNDS = 2


def figures_of(source: Path, group: str, runs: int) -> dict[str, Figure]:
    """What the bench finds with the package in this folder."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "figures.json")
        command = [sys.executable, "-m", "bench", group, "--runs", str(runs), "--json", str(saved)]
        environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{os.getcwd()}"}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        figures = [Figure.from_dict(each) for each in json.loads(saved.read_text())["figures"]]
    return {figure.name: figure for figure in figures}


def compare(before: Path, now: Path, groups: list[str], runs: int) -> None:
    table = Table(title="Before and now: medians; 1 is no change")
    for column in ("what", "before", "now", "now / before"):
        table.add_column(column)
    for group in groups:
        rounds = [(figures_of(before, group, runs), figures_of(now, group, runs)) for _ in range(ROUNDS)]
        for name, figure in rounds[0][1].items():
            old, new = (
                [each[column][name].ours.median for each in rounds if name in each[column]] for column in (0, 1)
            )
            if old:
                was, is_ = sum(old) / len(old), sum(new) / len(new)
                unit = figure.measured_in
                table.add_row(figure.what, f"{was:.4g} {unit}", f"{is_:.4g} {unit}", f"{is_ / was:.2f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    revision, groups = sys.argv[1], sys.argv[2:] or [group for group in GROUPS if group != "stages"]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "before")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(checkout), revision], check=True)
        try:
            compare(checkout / "src", Path("src").resolve(), groups, runs=5)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
