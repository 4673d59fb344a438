"""The examples for notebooks, web services and GUIs, each through a fault, and a blocking handler in a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".ways" / ("Scripts" if sys.platform == "win32" else "bin") / "python"


@pytest.mark.ways
@pytest.mark.parametrize("app", ["notebook", "kernel", "fastapi", "streamlit", "qt"])
def test_the_example_lives_through_a_fault(app: str) -> None:
    assert PYTHON.exists(), "its environment is missing: run 'make ways', which makes it"
    command = [str(PYTHON), str(ROOT / "tests/run_modes/apps/drive.py"), app]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stdout + done.stderr
    assert done.returncode == 0
