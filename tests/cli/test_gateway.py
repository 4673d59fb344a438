"""``ibkr gateway`` as users run it: as a process, with a stand-in for the gateway program."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

from ibkr.simulator import ThreadedGateway

from ..gateway.conftest import SECRET, Machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@pytest.fixture
def machine(surroundings):
    with ThreadedGateway(id_hold=0) as broker:
        machine = Machine(surroundings["cwd"], broker)
        yield machine
        machine.close()


def configure(machine, driver="ibc", **more):
    values = machine.settings(driver, **more)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    text = f"[ibkr]\nport = {machine.api_port}\nrefused_every = 0.05\n\n[ibkr.gateway]\n{lines}"
    (machine.folder / "ibkr.toml").write_text(text)


def state(ibkr):
    done = ibkr("gateway", "status", "--json")
    return done.returncode, json.loads(done.stdout)


def wait_for_state(ibkr, wanted, restarts=0, within=30):
    deadline = time.monotonic() + within
    while True:
        code, told = state(ibkr)
        if told["state"] == wanted and told["restarts"] >= restarts:
            return code, told
        assert time.monotonic() < deadline, told


def test_without_a_driver_it_is_wrong_usage(ibkr):
    done = ibkr("gateway", "status")
    assert done.returncode == 2
    assert "ibkr.gateway.driver = '': names no driver" in done.stderr


@pytest.mark.rest
def test_start_restart_and_stop_in_the_background(machine, ibkr):
    """Start, state, log, restart, stop; and no secret in anything that others can read."""
    configure(machine)
    code, told = state(ibkr)
    assert (code, told["state"], told["supervised"]) == (1, "stopped", False)
    done = ibkr("gateway", "start")
    assert (done.returncode, done.stdout[:28]) == (0, "The gateway's process runs; ")
    try:
        code, told = wait_for_state(ibkr, "running")
        assert (code, told["supervised"], told["driver"], told["restarts"]) == (0, True, "ibc", 0)
        assert "running" in ibkr("gateway", "status").stdout
        assert json.loads(ibkr("gateway", "start", "--json").stdout) == {"ok": True, "message": "the gateway runs"}
        assert "Login has completed" in ibkr("gateway", "logs").stdout
        assert len(ibkr("gateway", "logs", "-n", 2, "--json").stdout.splitlines()) == 2
        assert "the gateway is running" in ibkr("gateway", "logs", "--supervisor").stdout
        assert command_lines_without(SECRET)
        again = ibkr("gateway", "restart")
        assert (again.returncode, again.stdout) == (0, "The gateway restarts, without a login.\n")
        wait_for_state(ibkr, "running", restarts=1)
    finally:
        done = ibkr("gateway", "stop")
    assert (done.returncode, done.stdout) == (0, "The gateway is stopped.\n")
    code, told = state(ibkr)
    assert (code, told["state"], told["supervised"]) == (1, "stopped", False)
    assert ibkr("gateway", "stop").stdout == "The gateway does not run.\n"
    files = [path for path in (machine.folder / "state").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def command_lines_without(secret):
    """Whether no process has the secret in its command line, where the system tells."""
    if not os.path.isdir("/proc"):
        return True
    lines = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                lines.append(file.read())
        except OSError:
            continue
    assert any(b"ibcalpha.ibc.IbcGateway" in line for line in lines)
    return not any(secret.encode() in line for line in lines)


def test_run_in_the_foreground_with_a_second_factor(machine, start, ibkr):
    machine.plan(logins=["second factor"])
    configure(machine)
    process = start("gateway", "run", "--json")
    told = ""
    while told != "needs_second_factor":
        told = json.loads(process.stdout.readline())["state"]
    assert ibkr("gateway", "run").stderr.startswith("ibkr gateway: another process supervises this gateway")
    refused = ibkr("gateway", "restart")
    assert refused.returncode == 1
    assert refused.stderr.startswith("The gateway waits for your second factor: approve it;")
    status = ibkr("gateway", "status")
    assert "approve it in IBKR Mobile" in status.stdout
    machine.do("approve")
    while told != "running":
        told = json.loads(process.stdout.readline())["state"]
    process.send_signal(signal.SIGTERM)
    _, diary = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "INFO    the gateway waits for your second factor: approve it in IBKR Mobile" in diary
    assert SECRET not in diary


@pytest.mark.rest
def test_a_failed_start(machine, ibkr):
    configure(machine, ibc_path=str(machine.folder / "elsewhere"))
    (machine.folder / "elsewhere").mkdir()
    done = ibkr("gateway", "start")
    assert "Traceback" not in done.stderr, "whether the start is over by now is chance"
    code, told = state(ibkr)
    assert (code, told["state"]) == (1, "exited")
    ibkr("gateway", "stop")


def test_a_missing_program(machine, ibkr):
    configure(machine, "command", start="/nowhere/gateway")
    done = ibkr("gateway", "start")
    assert done.returncode == 1
    assert "gateway cannot be started: No such file or directory" in done.stderr
