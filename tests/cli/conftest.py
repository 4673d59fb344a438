"""Runs the ``ibkr`` command as users do: as a separate process, in an empty directory."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from ibkr.cli.app import app
from ibkr.core.errors import ConfigError

COMMAND = [sys.executable, "-P", "-m", "ibkr"]


@pytest.fixture
def surroundings(tmp_path):
    """A directory and an environment without our settings. No maintenance window is set: tests also pass at night."""
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
def ibkr_here(surroundings, monkeypatch):
    """Runs the command in this process, if it only parses arguments and prints: a new process takes half a second."""
    for key in os.environ.keys() - surroundings["env"].keys():
        monkeypatch.delenv(key)
    monkeypatch.chdir(surroundings["cwd"])

    def run(*args: object, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [*map(str, args)]
        done = CliRunner().invoke(app, words, prog_name="ibkr", env=surroundings["env"] | variables)
        is_known = done.exception is None or isinstance(done.exception, SystemExit)
        refusal = f"ibkr: {done.exception}\n" if isinstance(done.exception, ConfigError) else ""
        assert is_known or refusal, done.exception
        return subprocess.CompletedProcess(words, 2 if refusal else done.exit_code, done.stdout, done.stderr + refusal)

    return run


@pytest.fixture
def start(surroundings):
    """Starts the command, with pipes for its output. If the command still runs after the test, the fixture ends it."""
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
        """What the gateway saw, from its control port."""
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
