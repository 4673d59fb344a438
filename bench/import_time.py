"""The start of a process: the time until there is a connector, and the cost of the import."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench.figures import Figure, plain, ratio

_BARE = "pass"
_IMPORT = "import ibkr"
_RAW = "import ib_async; ib_async.IB()"
_OURS = "from ibkr import IBConnector; IBConnector('127.0.0.1', 7497, 1)"


def fresh(code: str) -> float:
    """Milliseconds that a new interpreter takes to run this code, with modules already compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return 1000 * (time.perf_counter() - began)


def measure(runs: int) -> list[Figure]:
    rounds = [[fresh(code) for code in (_BARE, _IMPORT, _RAW, _OURS)] for _ in range(2 + 3 * runs)][2:]
    bare, package, raw, ours = ([each[column] for each in rounds] for column in range(4))
    only = [after - before for after, before in zip(package, bare, strict=True)]
    return [
        ratio("start", "new process until IBConnector(...) / until ib_async.IB()", ours, raw, "ms", 1.15),
        plain("import", "import ibkr, more than bare Python", only, "ms", 15),
    ]
