"""``ibkr gateway`` as users run it: as a process, with a stand-in for the gateway program."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime

import pytest

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.processes import process_identity
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
    """Return whether no process has the secret in its command line. True if the system does not show command lines."""
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
    """The script finds no settings, and ends with the exit code 6."""
    configure(machine)
    machine.ini.unlink()
    done = ibkr("gateway", "start")
    assert done.returncode == 1
    assert done.stderr.startswith("The gateway's process has ended (exit code 6): Error: IBC configuration file")
    code, told = state(ibkr)
    assert (code, told["state"], told["exit_code"]) == (1, "exited", 6)
    again = ibkr("gateway", "start")
    assert (again.returncode, again.stderr[:53]) == (1, done.stderr[:53])
    assert ibkr("gateway", "stop").stdout == "The gateway is stopped.\n"
    assert state(ibkr)[1]["state"] == "stopped"


def test_two_stops_at_once(machine, start, ibkr):
    configure(machine)
    supervisor = start("gateway", "run")
    wait_for_state(ibkr, "running")
    stops = [start("gateway", "stop") for _ in range(3)]
    said = [stop.communicate(timeout=30)[0] for stop in stops]
    assert [stop.returncode for stop in stops] == [0, 0, 0]
    assert "The gateway is stopped.\n" in said
    supervisor.communicate(timeout=30)


def test_a_gateway_whose_script_was_killed_is_not_called_stopped(machine, start, ibkr):
    """Nobody watched the end of the gateway's process, so its process id may now belong to another process."""
    configure(machine)
    supervisor = start("gateway", "run")
    wait_for_state(ibkr, "running")
    supervisor.kill()
    supervisor.communicate(timeout=30)
    [process_file] = machine.folder.glob("state/*/process.json")
    os.kill(json.loads(process_file.read_text())["pid"], signal.SIGKILL)
    done = ibkr("gateway", "stop")
    assert (done.returncode, f"another program still listens at port {machine.api_port}" in done.stderr) == (1, True)
    os.kill(machine.java_pid, signal.SIGKILL)


def test_following_a_log_leaves_nothing_behind(machine, start):
    configure(machine, "docker")
    program = machine.bin / "docker"
    program.write_text(
        f'#!/bin/sh\n[ "$3" = 0 ] || {{ echo $$ > "{machine.folder}/pid"; echo "A line."; exec sleep 1000; }}\n'
    )
    program.chmod(0o755)
    process = start("gateway", "logs", "-f")
    assert process.stdout.readline() == "A line.\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")
    assert process_identity(int((machine.folder / "pid").read_text())) == ""


FAILURES = {
    "no daemon": ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "*"),
    "no such container": ("Error response from daemon: No such container: ib-gateway", "*"),
    "no log to read": ("Error response from daemon: configured logging driver does not support reading", "*logs*"),
}


@pytest.mark.parametrize("options", [(), ("--json",), ("-f",)], ids=str)
@pytest.mark.parametrize(("words", "failing"), FAILURES.values(), ids=FAILURES)
def test_a_docker_that_fails_shows_no_log(machine, ibkr, words, failing, options):
    configure(machine, "docker")
    program = machine.bin / "docker"
    program.write_text(f'#!/bin/sh\ncase "$*" in {failing}) echo "{words}" >&2; exit 1;; esac\n')
    program.chmod(0o755)
    done = ibkr("gateway", "logs", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ibkr gateway: '{program} logs' failed: {words}\n"


@pytest.mark.parametrize("options", [(), ("-f",)], ids=str)
def test_a_docker_that_fails_while_it_shows_the_log(machine, ibkr, options):
    configure(machine, "docker")
    program = machine.bin / "docker"
    program.write_text('#!/bin/sh\ncase "$*" in *"--tail 0"*) exit 0;; esac\necho "A line."\nexit 3\n')
    program.chmod(0o755)
    done = ibkr("gateway", "logs", *options)
    assert (done.returncode, done.stdout) == (1, "A line.\n")
    assert done.stderr == "ibkr gateway: docker has failed with exit code 3: the log above may be incomplete\n"


def test_following_the_log_of_the_supervisor(machine, start):
    configure(machine)
    store = GatewayStore(GatewaySettings(**machine.settings("ibc")))
    store.make_folder()
    store.supervisor_log.write_text("old\nlast\n")
    process = start("gateway", "logs", "--supervisor", "-f", "-n", "1")
    assert process.stdout.readline() == "last\n"
    with store.supervisor_log.open("a") as log:
        log.write("new\n")
    assert process.stdout.readline() == "new\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("command", ["run", "start"])
def test_a_folder_that_cannot_be_used_names_its_file_and_the_cure(machine, ibkr, command):
    configure(machine)
    (machine.folder / "state").write_text("")
    done = ibkr("gateway", command)
    cure = "a file is in the place of a folder: remove it, or set gateway.state_dir to another folder"
    assert done.returncode == 1
    assert done.stderr.startswith(f"ibkr gateway: {machine.folder}/state/")
    assert done.stderr.endswith(f" cannot be used (Not a directory): {cure}\n")


def test_a_damaged_folder_names_its_file(machine, ibkr):
    configure(machine)
    store = GatewayStore(GatewaySettings(**machine.settings("ibc")))
    store.write_status(GatewayStatus(GatewayState.RUNNING, datetime.now(UTC)))
    store.close()
    (store.folder / "gateway.sqlite").write_text("This is not a database, and it is longer than a header. " * 20)
    done = ibkr("gateway", "run")
    assert done.returncode == 1
    assert (
        done.stderr == f"ibkr gateway: {store.folder}/gateway.sqlite is damaged (file is not a database): remove it\n"
    )


@pytest.mark.parametrize(
    ("driver", "more", "words"),
    [
        ("command", {"start": "run '--pw=hunter2"}, "ibkr.gateway.start = '***': No closing quotation"),
        ("command", {"start": " "}, "ibkr.gateway.start = '***': is blank"),
        ("command", {"start": "run", "stop": "'"}, "ibkr.gateway.stop = '***': No closing quotation"),
        ("command", {"start": "run", "state_dir": "~nouser/x"}, "ibkr.gateway.state_dir = '~nouser/x': "),
        ("ibc", {"ibc_ini": "~nouser/x"}, "ibkr.gateway.ibc_ini = '~nouser/x': "),
        ("ibc", {"java_path": "~nouser/x"}, "ibkr.gateway.java_path = '~nouser/x': "),
        ("ibc2", {"ibc2_home": "~nouser/x"}, "ibkr.gateway.ibc2_home = '~nouser/x': "),
    ],
)
@pytest.mark.parametrize("command", ["status", "run", "stop"])
def test_a_setting_that_cannot_be_used(machine, ibkr_here, command, driver, more, words, monkeypatch):
    configure(machine, driver, **more)
    monkeypatch.setattr("ibkr.cli.gateway_actions._log_to_stderr", lambda: None)  # its handler would stay
    done = ibkr_here("gateway", command)
    assert (done.returncode, words in done.stderr, "hunter2" in done.stderr) == (2, True, False)


def test_a_missing_program(machine, ibkr):
    configure(machine, "command", start="/nowhere/gateway")
    done = ibkr("gateway", "start")
    assert done.returncode == 1
    assert "gateway cannot be started: No such file or directory" in done.stderr
