"""Random orders during every fault, in every kind of program. At the end, the program knows what the broker has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("operations", [60, pytest.param(1000, marks=pytest.mark.rest)])
@pytest.mark.timeout(290)
def test_the_program_believes_what_the_broker_has(operations: int) -> None:
    command = [sys.executable, "-m", "soak.orders", str(operations)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:  # the difference comes last, where a long output is not cut
        pytest.fail(f"{done.stderr}\npython -m soak.orders: {done.stdout}", pytrace=False)
