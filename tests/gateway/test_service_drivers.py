"""The drivers ``docker`` and ``systemd`` with stand-in commands that have the interface of the real ones."""

from __future__ import annotations

import json
import os
import signal

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.states import ConnectionState as C
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.restart_process import restart_process

from .conftest import STAND_IN
from .test_supervisor import FAST, QUICK


@pytest.fixture
def container(machine):
    """Makes the container: ``container(policy)``."""
    machine.write_program("docker", STAND_IN / "docker.py")
    words = [str(machine.folder / "ibc" / "scripts" / "ibcstart.sh"), "1045", "--gateway", "--on2fatimeout=exit"]
    words += [f"--tws-path={machine.jts}", f"--tws-settings-path={machine.folder / 'settings'}"]
    words += [f"--ibc-ini={machine.ini}", f"--java-path={machine.bin}"]

    def make(policy="no"):
        values = {"command": ["bash", *words], "running": False, "pid": 0, "exit_code": 0, "policy": policy}
        values["started"] = "0001-01-01T00:00:00Z"
        (machine.folder / "container.json").write_text(json.dumps(values))

    yield make
    end_of(machine.folder / "container.json", "pid")


@pytest.fixture
def unit(machine, monkeypatch):
    """Makes the unit: ``unit(restart)``."""
    machine.write_program("systemctl", STAND_IN / "systemctl.py")
    machine.write_program("journalctl", STAND_IN / "systemctl.py")
    monkeypatch.setenv("PATH", str(machine.bin), prepend=os.pathsep)

    def make(restart="no"):
        command = [str(machine.bin / "java"), "ibcalpha.ibc.IbcGateway", str(machine.ini)]
        values = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "MainPID": 0}
        values |= {"ExecMainCode": 0, "ExecMainStatus": 0, "Restart": restart, "command": command}
        (machine.folder / "unit.json").write_text(json.dumps(values))

    yield make
    end_of(machine.folder / "unit.json", "MainPID")


def end_of(file, key):
    """End what still runs."""
    if file.exists():
        values = json.loads(file.read_text())
        file.write_text(json.dumps(values | {"policy": "no", "Restart": "no", "stopped": True}))
        if values[key]:
            os.killpg(values[key], signal.SIGKILL)


async def test_a_container_from_start_to_stop(machine, container, watched):
    container()
    machine.plan(logins=["second factor"])
    async with watched(machine.config("docker")) as gateway:
        await gateway.driver.start()
        assert await gateway.driver.is_running()
        await gateway.until(S.STARTING)
        status = await gateway.until(S.NEEDS_SECOND_FACTOR)
        assert status.driver == "docker"
        machine.do("approve")
        await gateway.until(S.RUNNING)
        lines = [line async for line in gateway.driver.log(1, follow=False)]
        assert [line[-24:] for line in lines] == ["IBC: Login has completed"]
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)


async def test_a_container_that_runs_already(machine, container, watched):
    container()
    machine.plan(logins=["second factor"])
    async with watched(machine.config("docker"), leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        machine.do("approve")
        await gateway.until(S.RUNNING)
    async with watched(machine.config("docker")) as gateway:
        await gateway.until(S.RUNNING)
        assert S.NEEDS_SECOND_FACTOR not in [each.state for each in gateway.states], "that is of the past"
        machine.do("crash")
        status = await gateway.until(S.EXITED)
        assert status.exit_code == 137
        await gateway.driver.restart()
        await gateway.until(S.RUNNING)
    async with watched(machine.config("docker")) as gateway:
        status = await gateway.until(S.STOPPED) if gateway.states else gateway.status
        assert status.state is S.STOPPED


@pytest.mark.parametrize(("order", "code"), [("exit 1111", 1111), ("exit 1", 1)])
async def test_a_container_that_ends(machine, container, watched, soon, order, code):
    container()
    async with watched(machine.config("docker")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        assert not gateway.driver.external_restart_on_exit
        with soon():
            machine.do(order)
            status = await gateway.until(S.EXITED)
        assert status.exit_code == code


@pytest.mark.rest
async def test_a_container_that_docker_starts_again_is_left_to_it(machine, container, supervised, state_is):
    container("always")
    async with supervised(machine.config("docker", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, lambda status: status.state is C.READY)
        machine.do("crash")
        await state_is(supervisor, lambda status: status.gateway.state is S.EXITED)
        await state_is(supervisor, lambda status: status.gateway.state is S.RUNNING)
        assert supervisor.driver.external_restart_on_exit
        assert supervisor.store.read_restarts() == ()
    assert json.loads((machine.folder / "container.json").read_text())["running"], "it is not ours to end"


async def test_a_container_that_hangs_is_restarted(machine, container, supervised, state_is):
    """Docker does not do this itself, with any of its policies."""
    container("always")
    async with supervised(machine.config("docker", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, lambda status: status.state is C.READY)
        before = machine.java_pid
        machine.do("hang")
        await state_is(supervisor, lambda status: status.gateway.state is S.RESTARTING)
        await state_is(supervisor, lambda status: status.state is C.READY)
        assert machine.java_pid != before
        assert [restart.full_login for restart in supervisor.store.read_restarts()] == [True]


async def test_a_container_that_is_not_there(machine, watched):
    machine.write_program("docker", STAND_IN / "docker.py")
    async with watched(machine.config("docker")) as gateway:
        [problem] = await gateway.driver.problems()
        assert problem.message == "gateway.container: there is no container ib-gateway"
        with pytest.raises(DriverError, match="docker start' failed: Error response from daemon: No such cont"):
            await gateway.driver.start()
    async with watched(machine.config("docker", {"docker": "no-docker-here"})) as gateway:
        [problem] = await gateway.driver.problems()
        assert "there is no program no-docker-here" in problem.message


async def test_a_docker_that_says_something_else(machine, watched):
    machine.write_program("docker", STAND_IN / "docker.py")
    (machine.bin / "docker").write_text("#!/bin/sh\necho '[]'\n")
    async with watched(machine.config("docker")) as gateway:
        [problem] = await gateway.driver.problems()
        assert "answers in a form that we do not know" in problem.message


async def test_a_unit_from_start_to_stop(machine, unit, watched, soon):
    unit()
    async with watched(machine.config("systemd", {"user_unit": True})) as gateway:
        assert await gateway.driver.problems() == []
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        assert await gateway.driver.is_running()
        with soon():
            machine.do("crash")
            status = await gateway.until(S.EXITED)
        assert status.exit_code == 137
        await gateway.driver.restart()
        await gateway.until(S.RUNNING)
        assert "Login has completed" in [line async for line in gateway.driver.log(9, follow=False)][-1]
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)


@pytest.mark.rest
async def test_a_unit_that_ended_is_started_again(machine, unit, supervised, state_is):
    unit()
    async with supervised(machine.config("systemd", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, lambda status: status.state is C.READY)
        machine.do("exit 1")
        await state_is(supervisor, lambda status: status.gateway.state is S.EXITED)
        await state_is(supervisor, lambda status: status.state is C.READY)
        assert len(supervisor.store.read_restarts()) == 1


@pytest.mark.rest
async def test_a_unit_that_systemd_starts_again_is_left_to_it(machine, unit, supervised, state_is):
    unit("on-failure")
    async with supervised(machine.config("systemd", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, lambda status: status.state is C.READY)
        machine.do("exit 1")
        status = await state_is(supervisor, lambda status: status.gateway.state is S.RESTARTING)
        assert status.gateway.detail == "systemd starts it again after its end (exit code 1)"
        await state_is(supervisor, lambda status: status.state is C.READY)
        assert supervisor.store.read_restarts() == ()


async def test_a_unit_that_is_not_there(machine, unit, watched):
    async with watched(machine.config("systemd")) as gateway:
        [problem] = await gateway.driver.problems()
        assert problem.message == "gateway.unit: there is no unit ibgateway.service"
        with pytest.raises(DriverError, match=r"Unit ibgateway\.service not found"):
            await gateway.driver.start()


@pytest.mark.parametrize(("driver", "program"), [("systemd", "systemctl"), ("docker", "docker")])
async def test_a_restart_whose_start_fails_has_ended(machine, unit, container, watched, driver, program):
    unit()
    container()
    async with watched(machine.config(driver)) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        command = machine.bin / program
        words = command.read_text()
        command.write_text(words.replace("\n", f'\n[ "$1" = restart ] && {{ "{command}" stop x; exit 1; }}\n', 1))
        with pytest.raises(DriverError, match="restart' failed"):
            await restart_process(gateway.monitor, "a test")
        await gateway.until(S.RESTARTING)
        await gateway.until(S.EXITED)
