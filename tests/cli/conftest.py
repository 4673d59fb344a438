"""The ``ibkr`` command as its users run it: a process of its own, in an empty directory."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

COMMAND = [sys.executable, "-P", "-m", "ibkr"]


@pytest.fixture
def surroundings(tmp_path):
    """Directory and environment without any setting of ours; but at night, too, no outage is an expected one."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
    env |= {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error", "IBKR_REGION": "none"}
    for key in ("FORCE_COLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
        env.pop(key, None)
    return {"cwd": tmp_path, "env": env}


@pytest.fixture
def ibkr(surroundings):
    """Runs the command to its end."""

    def run(*args: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, args)],
            cwd=surroundings["cwd"],
            env=surroundings["env"] | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )

    return run


@pytest.fixture
def start(surroundings):
    """Starts the command, with pipes to what it says; it ends with the test, if not before."""
    started = []

    def start(*args: object, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, args)],
            cwd=surroundings["cwd"],
            env=surroundings["env"] | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Simulated:
    """A running ``ibkr simulate``."""

    process: subprocess.Popen[str]
    port: int
    control_port: int

    def fault(self, line: str) -> None:
        """Carry out a fault, written as on a command line."""
        name, *args = line.split()
        assert self._ask("POST", f"/faults/{name}", json.dumps({"args": args}))["ok"]

    def seen(self) -> dict[str, object]:
        """What it saw, by its control port."""
        return self._ask("GET", "/seen")

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=10)
        connection.request(method, path, body)
        with connection.getresponse() as response:
            return json.loads(response.read())


@pytest.fixture
def simulated(start):
    """An ``ibkr simulate`` on free ports."""
    process = start("simulate", "--port", 0, "--control", 0, "--json")
    where = json.loads(process.stdout.readline())
    return Simulated(process, where["port"], where["control_port"])
