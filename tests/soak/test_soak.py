"""A minute of each soak, as ``make soak`` runs it for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.rest
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("run", ["turn", "overlap"])
def test_a_minute(run: str) -> None:
    variables = {**os.environ, "SOAK_MINUTES": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "soak", run], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "READY" in done.stdout
