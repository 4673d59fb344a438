"""The environments of other client libraries, which ``make clients`` makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment() -> Callable[[str], Path]:
    """The folder of a client's environment, by its name. If it is missing, the test fails and is not skipped."""

    def find(name: str) -> Path:
        found = ROOT / ".clients" / name
        if not (found / ".made").exists():
            pytest.fail(f"no environment for {name}: run 'make clients', which makes {found}", pytrace=False)
        return found

    return find


@pytest.fixture
def python_of(environment: Callable[[str], Path]) -> Callable[[str], Path]:
    """The interpreter of a client's environment, by its name."""
    folder, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return lambda name: environment(name) / folder / f"python{suffix}"


@pytest.fixture
def node() -> str:
    """The command node."""
    found = shutil.which("node")
    if not found:
        pytest.fail("node is missing, which @stoqey/ib needs; on Debian and Ubuntu: apt install nodejs", pytrace=False)
    return found


@pytest.fixture
def run_program(python_of: Callable[[str], Path]) -> Callable[..., Any]:
    """Runs a program of ``sessions`` in a client's environment: ``run_program(client, file, gateway, *words)``.

    Returns what it prints, as JSON. A failure, or any output on stderr, fails the test.
    """

    def run(client: str, file: str, gateway: ThreadedGateway, *words: str) -> Any:
        done = subprocess.run(
            [str(python_of(client)), str(Path(__file__).parent / "sessions" / file), str(gateway.port), *words],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr}\n{gateway.seen}"
        return json.loads(done.stdout)

    return run
