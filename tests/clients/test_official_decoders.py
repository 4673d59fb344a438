"""Run the tests marked ``ibapi`` with each official client: its decoder, its encoder, its threads."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients


@pytest.mark.timeout(300)
@pytest.mark.parametrize("client", ["ibapi", "nautilus-ibapi", "ibapi-latest", "ibapi-stable"])
def test_with(client: str, python_of: Callable[[str], Path], request: pytest.FixtureRequest) -> None:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run(
        [python_of(client), "-c", where], capture_output=True, text=True, check=True
    ).stdout.strip()
    words = [sys.executable, "-m", "pytest", "-q", "-m", "ibapi", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    done = subprocess.run(
        words,
        cwd=request.config.rootpath,
        env={**os.environ, "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, \d+ deselected in", done.stdout, re.MULTILINE), done.stdout
