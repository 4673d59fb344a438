"""``ibkr simulate``: until a signal, and what it says when it cannot."""

import signal
import socket
import subprocess
import sys

import pytest

from .conftest import COMMAND


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals between processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(simulated, number):
    simulated.process.send_signal(number)
    _, talk = simulated.process.communicate(timeout=10)
    assert simulated.process.returncode == 0
    assert talk == "Ctrl-C ends it.\n"


def test_it_says_where_it_listens(surroundings):
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--port", "0"], **surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        line = process.stdout.readline()
        _, _, port = line.strip().rpartition(":")
        socket.create_connection(("127.0.0.1", int(port)), timeout=10).close()
        process.kill()
    assert line == f"Simulated gateway listens on 127.0.0.1:{port}\n"


@pytest.mark.parametrize("option", ["--port", "--control"])
def test_a_port_that_is_taken(ibkr, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports = {"--port": 0, "--control": 0} | {option: number}
        done = ibkr("simulate", *(word for pair in ports.items() for word in pair))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(number) in done.stderr
    assert "choose another port" in done.stderr
    assert "Traceback" not in done.stderr


def test_faults_come_in_by_the_control_port(simulated):
    assert simulated.control("mute reqPositions") == {"ok": True, "done": "mute reqPositions"}
    assert simulated.control("nonsense")["ok"] is False
