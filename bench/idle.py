"""Two hundred idle connectors in one process: processor time, memory, and the time to reconnect."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.figures import Figure, plain, ratio
from bench.gateways import gateway

COUNT = 200
SECONDS = 10.0
"""Long enough for two probes of each connector."""
_CLOSED = 1.0


@contextmanager
def crowd(kind: str, port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.idle_clients", kind, str(port), str(COUNT), str(SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def said(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def _round() -> dict[str, float]:
    """Measure each with a separate gateway, so that no client id is still in use."""
    with crowd("bare", 0) as process:
        bare = said(process)["memory"]
    with gateway() as served, crowd("raw", served.port) as process:
        raw = said(process)
    with gateway() as served, crowd("ours", served.port) as process:
        ours = said(process)
        assert process.stdin is not None
        process.stdin.write("restart\n")
        process.stdin.flush()
        served.fault("restart", _CLOSED)
        opened = time.monotonic() + _CLOSED
        back = said(process) - opened
    return {
        "ours": ours["memory"] - bare,
        "raw": raw["memory"] - bare,
        "share": ours["share"],
        "raw share": raw["share"],
        "back": back,
    }


def measure(runs: int) -> list[Figure]:
    rounds = [_round() for _ in range(runs)]

    def of(name: str) -> list[float]:
        return [each[name] for each in rounds]

    what = f"{COUNT} idle in one process"
    return [
        plain("idle share", f"{what}: share of a core, probes included", of("share"), "%", 0.5, of("raw share")),
        ratio("idle memory", f"{what}: memory in addition to the interpreter", of("ours"), of("raw"), "MB", 1.3),
        plain("idle back", f"{what}: all back after their gateway's restart", of("back"), "s", 2.0),
    ]
