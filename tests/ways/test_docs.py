"""What docs/ways.md shows runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/ways.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^## ([^\n]*)\n(?:(?!^## ).)*?^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("title", "code"), PROGRAMS, ids=[title for title, _ in PROGRAMS])
def test_the_program_runs(gateway: ThreadedGateway, title: str, code: str) -> None:
    code = code.replace("7497", str(gateway.port))
    done = subprocess.run([sys.executable, "-P", "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert re.search(r"^\d+\.\d+ READY ", done.stdout), done.stderr
    assert done.stderr == ""
    gateway.wait_for(lambda gateway: not gateway.client_ids)


def test_every_way_has_its_program_and_every_example_is_there() -> None:
    assert len(PROGRAMS) == TEXT.count("```python") == 3
    assert all((ROOT / "docs" / link).exists() for link in re.findall(r"\]\(([^)]+)\)", TEXT))
