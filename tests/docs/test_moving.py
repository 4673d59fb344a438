"""Runs the programs of docs/moving.md, before and after the move, through a restart of the gateway."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]
INSYNC = ROOT / ".clients" / "ib_insync" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PAGE = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
BEFORE, AFTER, *_ = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


PRICES = r"AAPL \d+\.\d+ MSFT \d+\.\d+"


def run_through_a_restart(python: Path | str, code: str, is_back: str) -> None:
    """Run the program to its fill, restart its gateway, and read its output up to the line that says it is back."""
    lines: list[str] = []

    def read_to(pattern: str) -> None:
        for line in process.stdout:
            lines.append(line)
            if re.match(pattern, line):
                return
        raise AssertionError(f"not printed: {pattern}\n{''.join(lines)}")

    with ThreadedGateway(id_hold=0) as gateway:
        process = subprocess.Popen(
            [python, "-c", code.replace("7497", str(gateway.port))],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

        with process:
            try:
                read_to("filled 1")
                gateway.faults.restart(0.5)
                read_to(is_back)
                read_to(PRICES)
                process.send_signal(signal.SIGINT)
                process.stdout.read()
                assert process.wait(timeout=10) == 0
            finally:
                process.kill()
        assert len(gateway.seen.sessions) == 2
        assert len(gateway.seen.received("placeOrder")) == 1


def test_the_program_before() -> None:
    """Run it with ib_async, which has the same API: this environment has ib_async."""
    run_through_a_restart(sys.executable, BEFORE.replace("ib_insync", "ib_async"), "disconnected")


@pytest.mark.clients
def test_the_program_before_with_ib_insync() -> None:
    assert INSYNC.exists(), "run: make clients"
    run_through_a_restart(INSYNC, BEFORE, "disconnected")


def test_the_program_after() -> None:
    run_through_a_restart(sys.executable, AFTER, "while disconnected")
