"""The specification's scenarios, word for word, over a real socket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from ibkr import GatewayUnreachable, IBConnector
from ibkr.simulator import ThreadedGateway

# All tests that need port 7497 are in this file. With --dist=loadfile, two tests of one file never run together.
pytestmark = pytest.mark.usefixtures("script_loop")

scenarios("connection.feature")


@dataclass
class Outcome:
    """The result of ``connect()``."""

    error: Exception | None = None


@pytest.fixture
def outcome() -> Outcome:
    return Outcome()


@given(parsers.parse("a running TWS/Gateway on localhost:{port:d}"), target_fixture="gateway")
def running_gateway(port: int) -> Iterator[ThreadedGateway]:
    gateway = ThreadedGateway(port=port, id_hold=0)
    try:
        gateway.start()
    except OSError as error:
        pytest.fail(f"port {port} is taken by a program that this test did not start, and will not connect to: {error}")
    yield gateway
    gateway.stop()


@given("valid credentials (host, port, client_id)", target_fixture="connector")
def connector(gateway: ThreadedGateway) -> Iterator[IBConnector]:
    connector = IBConnector("127.0.0.1", gateway.port, 1)
    yield connector
    connector.disconnect()


@given("connector.is_connected() is true")
def is_connected(connector: IBConnector) -> None:
    connector.connect()
    assert connector.is_connected()


@given("TWS/Gateway is not running")
def not_running(gateway: ThreadedGateway) -> None:
    gateway.stop()


@when("I call connector.connect()")
def connect(connector: IBConnector, outcome: Outcome) -> None:
    try:
        connector.connect()
    except GatewayUnreachable as error:
        outcome.error = error


@when("I call connector.disconnect()")
def disconnect(connector: IBConnector) -> None:
    assert connector.disconnect() is True


@then("connector.is_connected() should be true")
def should_be_connected(connector: IBConnector, gateway: ThreadedGateway) -> None:
    assert connector.is_connected() is True
    assert gateway.client_ids == [1]


@then("connector.is_connected() should be false")
def should_not_be_connected(connector: IBConnector, gateway: ThreadedGateway) -> None:
    assert connector.is_connected() is False
    gateway.wait_for(lambda gateway: not gateway.client_ids)


@then("an exception is raised")
def exception_raised(connector: IBConnector, outcome: Outcome) -> None:
    assert outcome.error is not None
    assert "connection refused" in str(outcome.error)
    assert not connector.is_connected()


SECTION_5 = """\
from ibkr import IBConnector, load_config

# Load IBKR config
cfg = load_config()
connector = IBConnector(cfg['ibkr']['host'], cfg['ibkr']['port'], cfg['ibkr']['client_id'])

# Attempt connection
if connector.connect():
    print("Connected, proceeding to market data retrieval")
else:
    raise RuntimeError("Unable to connect to IBKR")
"""


def test_section_5_as_a_script(tmp_path: Path, gateway_process: subprocess.Popen[str]) -> None:
    done = run_script(tmp_path)
    assert done.stdout == "Connected, proceeding to market data retrieval\n"
    assert done.returncode == 0, done.stderr


def test_section_5_raises_when_nothing_listens(tmp_path: Path) -> None:
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert "GatewayUnreachable: 127.0.0.1:7497: connection refused" in done.stderr


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of section 5, with its import line, in a separate process and folder, without other settings."""
    (folder / "section_5.py").write_text(SECTION_5)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
    return subprocess.run(
        [sys.executable, "section_5.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def gateway_process() -> Iterator[subprocess.Popen[str]]:
    """``ibkr simulate --port 7497``, listening."""
    command = [sys.executable, "-m", "ibkr", "simulate", "--port", "7497"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    if "listens" not in said:
        process.kill()
        pytest.fail(f"the simulated gateway did not start: {said}{process.communicate()[0]}")
    yield process
    process.terminate()
    process.communicate(timeout=10)
