"""A minute of each soak, which ``make soak`` runs for longer; and thirty kills."""

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
    assert "READY" in soak(run, SOAK_MINUTES="1")


@pytest.mark.rest
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_program_s_successor_accounts_for_every_order() -> None:
    assert "30 kills" in soak("crash", SOAK_KILLS="30")


def soak(run: str, **variables: str) -> str:
    """What a run has printed."""
    done = subprocess.run(
        [sys.executable, "-m", "soak", run],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
