"""The examples, each as a process with the simulated gateway; strategies go through an outage."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ibkr.simulator import ThreadedGateway

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = Path(__file__).parents[2] / "examples"

# IBKR_REGION is "none", because an outage in a maintenance window is expected and not reported.
SURROUNDINGS = os.environ | {"PYTHONUNBUFFERED": "1", "IBKR_REGION": "none"}


@contextmanager
def running(name: str, *ports: int, is_endless: bool = True) -> Iterator[Callable[[str], str]]:
    """Runs an example, and gives a function that waits for a line with these words. An endless example gets Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(EXAMPLES / name), *map(str, ports)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=SURROUNDINGS,
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
            if is_endless:
                process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(timeout=10) == 0, rest
            assert "Traceback" not in rest
        finally:
            process.kill()


def test_the_pages_lead_to_every_example() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert [
        file.name for file in EXAMPLES.iterdir() if file.is_file() and f"(../examples/{file.name})" not in pages
    ] == []


def test_the_script() -> None:
    with ThreadedGateway(id_hold=0) as gateway, running("script.py", gateway.port, is_endless=False) as read_to:
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


def test_an_outage_and_its_end_are_reported_by_the_command(tmp_path: Path) -> None:
    told = tmp_path / "alerts.txt"
    ring = f"{sys.executable} {EXAMPLES / 'alert.py'} {told}"
    options = ["--on-outage", ring, "--outage-after", "0.1", "--http", "127.0.0.1:0"]
    with ThreadedGateway(id_hold=0) as gateway:
        command = [sys.executable, "-P", "-m", "ibkr", "-v", "serve", "--port", str(gateway.port), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=SURROUNDINGS) as process:
            try:
                wait_for_line(process.stderr, "Connected to IBKR at")
                gateway.faults.restart(1.5)
                wait_for_line(process.stderr, "RECONNECTING")
                wait_for_line(process.stderr, "Connected to IBKR again")
            finally:
                process.terminate()
                process.communicate(timeout=10)
    outage, recovery = told.read_text(encoding="utf-8").splitlines()
    assert outage.startswith("outage: RECONNECTING, session lost")
    assert recovery.startswith("recovery: READY")


def wait_for_line(stream: Iterable[str], words: str) -> None:
    """Read until a line has these words."""
    assert any(words in line for line in stream)
