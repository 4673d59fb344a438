"""docs/codes.md is the output of its generator."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_in_step_with_the_catalogue():
    done = subprocess.run(
        [sys.executable, DOCS.parent / "tools" / "codes.py"], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.stderr == ""
    assert (DOCS / "codes.md").read_text(encoding="utf-8") == done.stdout, "run: make docs"
