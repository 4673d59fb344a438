"""docs/performance.md is the output of the benchmark's page generator."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_in_step_with_its_figures():
    done = subprocess.run(
        [sys.executable, "-m", "bench.page", "docs/performance.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == done.stdout, "run: make bench-page"
