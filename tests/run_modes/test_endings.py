"""Programs that end or fork while they are connected: real processes, and what the gateway sees of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Stopwatch

PROGRAMS = Path(__file__).parent / "programs"
SLACK = 1.0
"""Additional seconds that a loaded machine may need to end an interpreter."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(gateway: ThreadedGateway) -> Iterator[Start]:
    """Starts one of the programs: ``start("ending.py", "script", "exit")``. It is connected to ``gateway``."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, str(PROGRAMS / program), str(gateway.port), *arguments]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


@pytest.mark.parametrize("way", ["script", "thread", "async"])
@pytest.mark.parametrize(
    ("end", "press", "code", "last_word"),
    [
        ("fall off", None, 0, ""),
        ("exit", None, 3, ""),
        ("exception", None, 1, "ValueError: the program's own"),
        ("run", signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"),
        ("compute", signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"),
        ("handle", signal.SIGTERM, 4, ""),
    ],
)
def test_it_ends_at_once_and_the_gateway_sees_a_clean_close(
    gateway: ThreadedGateway,
    start: Start,
    stopwatch: Stopwatch,
    way: str,
    end: str,
    press: int | None,
    code: int,
    last_word: str,
) -> None:
    if (way, end) == ("async", "compute"):
        end = "run"
    left = []
    gateway.on_received("end", left.append)
    process = start("ending.py", way, end)
    assert process.stdout.readline() == "connected\n", process.stderr.read()
    elapsed = stopwatch()
    if press:
        process.send_signal(press)
    _, told = process.communicate(timeout=30)
    assert elapsed() < 1 + SLACK
    assert process.returncode == code
    assert (told.splitlines() or [""])[-1] == last_word
    tracebacks = 2 if way == "async" and press == signal.SIGINT else 1  # asyncio.run prints the cancellation, too
    assert told.count("Traceback") == (tracebacks if last_word else 0), told
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert left, "closed properly, not reset"


EXITS_IN_A_CALLBACK = """
import asyncio
import sys

from ibkr import ConnectionState, IBConnector

connector = IBConnector("127.0.0.1", int(sys.argv[1]), 7)
connector.on_state_change(lambda status: sys.exit(5) if status.state is ConnectionState.RECONNECTING else None)


async def main():
    async with connector:
        print("connected", flush=True)
        await asyncio.sleep(60)


if sys.argv[2] == "async":
    asyncio.run(main())
else:
    connector.connect()
    print("connected", flush=True)
    connector.run()
"""


@pytest.mark.parametrize("way", ["script", "async"])
def test_an_exit_in_a_callback_when_the_session_is_lost_is_at_once(
    gateway: ThreadedGateway, stopwatch: Stopwatch, way: str
) -> None:
    command = [sys.executable, "-c", EXITS_IN_A_CALLBACK, str(gateway.port), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            elapsed = stopwatch()
            gateway.fault("reset")
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 5, errors
    assert elapsed() < 1 + SLACK
    assert "nternal error" not in errors


@pytest.mark.parametrize("way", ["script", "thread"])
def test_orders_that_wait_for_their_turn_at_the_end_are_sent(gateway: ThreadedGateway, start: Start, way: str) -> None:
    process = start("ending.py", way, "orders")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 40)


@pytest.mark.parametrize("number", [10, 70])
def test_what_a_plain_script_has_sent_is_at_the_gateway_while_it_blocks(
    gateway: ThreadedGateway, start: Start, number: int
) -> None:
    """The buy and its protective stop among them, even beyond the burst and the gateway's limit."""
    process = start("ordering.py", "script", str(number), "blocked")
    assert process.stdout.readline() == "ordered\n", process.stderr.read()
    gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2 + number)
    gateway.wait_for(lambda gateway: gateway.seen.received("cancelOrder"))
    assert [each.terms.order_type for each in gateway.orders[:2]] == ["MKT", "STP"]
    times = [request.time for request in gateway.seen.requests]
    assert max(sum(first <= at < first + 1 for at in times) for first in times) <= 50


@pytest.mark.parametrize("way", ["script", "async", "thread"])
@pytest.mark.parametrize(("end", "code"), [("return", 0), ("exit", 3)])
def test_a_normal_end_sends_what_waits(gateway: ThreadedGateway, start: Start, way: str, end: str, code: int) -> None:
    """Without ``disconnect()``, and more than the gateway accepts in a second."""
    process = start("ordering.py", way, "70", end)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in told
    assert "was not sent" not in told
    gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 72)
    gateway.wait_for(lambda gateway: gateway.seen.received("cancelOrder"))


@pytest.mark.parametrize("way", ["async", "thread"])
def test_an_exception_sends_cancels_and_drops_new_orders_with_a_word(
    gateway: ThreadedGateway, start: Start, way: str
) -> None:
    process = start("ordering.py", way, "70", "exception")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    gateway.wait_for(lambda gateway: gateway.seen.received("cancelOrder"))
    arrived = {request.fields[1] for request in gateway.seen.received("placeOrder")}
    assert 40 <= len(arrived) < 72
    dropped = re.findall(r"The order (\d+) .* was not sent and will not be sent: the program was interrupted", told)
    assert len(dropped) == 72 - len(arrived)
    assert not arrived & set(dropped)


@pytest.mark.parametrize("way", ["script", "thread"])
def test_sigterm_ends_the_socket_at_once(gateway: ThreadedGateway, start: Start, way: str) -> None:
    process = start("ending.py", way, "run")
    assert process.stdout.readline() == "connected\n"
    process.terminate()
    gateway.wait_for(lambda gateway: not gateway.client_ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.parametrize("way", ["script", "thread"])
def test_after_a_fork_the_child_knows_that_it_has_no_connection(
    gateway: ThreadedGateway, start: Start, way: str
) -> None:
    process = start("forking.py", way)
    said = dict(process.stdout.readline().strip().split(": ", 1) for _ in range(3))
    assert said["parent"] == "READY, outages: 0"
    assert said["child's own"] == "READY, in the parent's loop: False"
    assert said["child"].startswith("FAILED: ")
    assert f"forked from {process.pid}" in said["child"]
    assert said["child"].endswith("connected: False")
    assert [session.client_id for session in gateway.seen.sessions] == [7, 8]
    process.send_signal(signal.SIGKILL)
    gateway.wait_for(lambda gateway: not gateway.client_ids)  # the child still runs
    process.stdin.write("again\n")
    process.stdin.flush()
    assert process.stdout.readline() == "child again: True\n"
    process.stdin.close()
    gateway.wait_for(lambda gateway: not gateway.client_ids)
