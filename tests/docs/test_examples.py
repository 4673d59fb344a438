"""The examples, each as a process of its own against the simulated gateway; strategies through an outage."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ibkr.simulator import ThreadedGateway

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def running(name: str, *ports: int) -> Iterator[Callable[[str], str]]:
    """The example, and what waits for a line of its output that holds these words."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(EXAMPLES / name), *map(str, ports)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    said: list[str] = []

    def read_to(words: str) -> str:
        for line in process.stdout:
            said.append(line)
            if words in line:
                return line
        raise AssertionError(f"{name} never said {words!r}:\n{''.join(said)}")

    with process:
        try:
            yield read_to
        finally:
            process.kill()


def test_the_script() -> None:
    with ThreadedGateway(id_hold=0) as gateway, running("script.py", gateway.port) as read_to:
        assert read_to("READY").startswith("READY")
        assert float(read_to("last ").split()[1]) > 0


def test_the_strategy_survives_a_restart_of_its_gateway() -> None:
    with ThreadedGateway(id_hold=0) as gateway, running("strategy.py", gateway.port) as read_to:
        read_to("placed")
        gateway.faults.restart(0.5)
        read_to("RECONNECTING")
        read_to("READY")
        gateway.fill("AAPL")
        read_to("placed")


def test_of_two_gateways_one_may_fail() -> None:
    with (
        ThreadedGateway(id_hold=0) as one,
        ThreadedGateway(id_hold=0) as other,
        running("two_gateways.py", one.port, other.port) as read_to,
    ):
        read_to(f"{one.port} READY | {other.port} READY")
        one.faults.restart(0.5)
        read_to(f"{one.port} RECONNECTING | {other.port} READY")
        read_to(f"{one.port} READY | {other.port} READY")
