"""A fleet with thirty random failures. ``python -m soak.fleet`` causes 300 failures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.rest
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_thirty_moments():
    command = [sys.executable, "-m", "soak.fleet", "30"]
    env = os.environ | {"SOAK_PATIENCE": "10", "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
