"""The driver ``systemd``: what each state of a unit means, at the first look and later."""

from __future__ import annotations

import json

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.gateway_monitor import read_gateway_status

from .test_service_drivers import unit  # noqa: F401 - a fixture

AGAIN = "systemd starts it again after its end (exit code 3)"
# ActiveState, SubState and whether there is a main process; the state, detail and exit code to show. systemctl(1) and
# src/basic/unit-def.c of systemd name the states.
FIRST_LOOKS = [
    ("active", "running", True, S.RUNNING, "", None),
    ("active", "running", False, S.RUNNING, "", None),  # Type=forking, and its main process is not known
    ("active", "exited", False, S.EXITED, "", 3),  # RemainAfterExit=
    ("reloading", "reload-notify", True, S.RUNNING, "", None),
    ("refreshing", "refresh-extensions", True, S.RUNNING, "", None),
    ("activating", "start-pre", False, S.STARTING, "", None),
    ("activating", "condition", False, S.STARTING, "", None),
    ("activating", "start", True, S.STARTING, "", None),  # Type=notify
    ("activating", "auto-restart", False, S.RESTARTING, AGAIN, None),
    ("activating", "auto-restart-queued", False, S.RESTARTING, AGAIN, None),
    ("failed", "failed-before-auto-restart", False, S.RESTARTING, AGAIN, None),
    ("inactive", "dead-before-auto-restart", False, S.RESTARTING, AGAIN, None),
    ("failed", "failed", False, S.EXITED, "", 3),
    ("transmogrifying", "running", True, S.RUNNING, "", None),
]


@pytest.fixture
def show(machine, unit):  # noqa: F811 - the fixture
    """Sets what ``systemctl show`` says: ``show(active, sub)``."""
    unit("on-failure")

    def write(active, sub, pid=0, **more):
        file = machine.folder / "unit.json"
        values = json.loads(file.read_text()) | {"ActiveState": active, "SubState": sub, "ShownPID": pid}
        values |= {"ExecMainCode": 1, "ExecMainStatus": 3, **more}
        file.with_suffix(".new").write_text(json.dumps(values))
        file.with_suffix(".new").rename(file)

    return write


@pytest.mark.parametrize(("active", "sub", "has_pid", "state", "detail", "code"), FIRST_LOOKS)
async def test_the_first_look(machine, show, watched, active, sub, has_pid, state, detail, code):
    show(active, sub, 1 if has_pid else 0)
    async with watched(machine.config("systemd"), leave=True) as gateway:
        status = await gateway.until(state)
        assert (status.detail, status.exit_code) == (detail, code)
        assert [each.state for each in gateway.states] == [state]
        assert await gateway.driver.is_running() is (state in (S.RUNNING, S.STARTING))


@pytest.mark.parametrize(
    ("active", "sub"),
    [
        ("inactive", "dead"),
        ("deactivating", "stop-sigterm"),
        ("deactivating", "stop-post"),
        ("maintenance", "cleaning"),
        ("transmogrifying", "away"),
    ],
)
async def test_a_first_look_at_a_unit_that_is_stopped_or_stops(machine, show, watched, active, sub):
    show(active, sub, 1 if sub == "stop-sigterm" else 0)
    async with watched(machine.config("systemd"), leave=True) as gateway:
        status = await read_gateway_status(gateway.driver)
        assert (status.state, status.exit_code) == (S.STOPPED, None)
        assert not await gateway.driver.is_running()


@pytest.mark.parametrize(("active", "sub", "is_left"), [("active", "running", True), ("failed", "failed", False)])
async def test_a_unit_that_has_failed_is_not_started_again_by_systemd(machine, show, watched, active, sub, is_left):
    """StartLimitBurst= is reached, or Restart= does not include this end."""
    show(active, sub)
    async with watched(machine.config("systemd"), leave=True) as gateway:
        await gateway.until(S.RUNNING if is_left else S.EXITED)
        assert gateway.driver.external_restart_on_exit is is_left


async def test_one_state_after_the_other(machine, show, watched):
    show("activating", "start-pre")
    async with watched(machine.config("systemd"), leave=True) as gateway:
        await gateway.until(S.STARTING)
        show("active", "running")
        await gateway.until(S.RUNNING)
        show("activating", "auto-restart")
        await gateway.until(S.RESTARTING)
        show("activating", "start-pre")
        await gateway.until(S.STARTING)
        show("failed", "failed")
        assert (await gateway.until(S.EXITED)).exit_code == 3
        show("activating", "start")
        await gateway.until(S.STARTING)
        show("inactive", "dead")
        await gateway.until(S.STOPPED)
        expected = [S.STARTING, S.RUNNING, S.RESTARTING, S.STARTING, S.EXITED, S.STARTING, S.STOPPED]
        assert [each.state for each in gateway.states] == expected


async def test_a_state_that_is_not_known_is_reported_once_and_changes_nothing(
    machine, show, watched, eventually, caplog
):
    show("active", "running")
    async with watched(machine.config("systemd"), leave=True) as gateway:
        await gateway.until(S.RUNNING)
        show("transmogrifying", "away")
        words = "The unit ibgateway.service is in a state that we do not know: transmogrifying (away)"
        await eventually(lambda: words in caplog.text)
        show("failed", "failed")
        await gateway.until(S.EXITED)
        assert [each.state for each in gateway.states] == [S.RUNNING, S.EXITED]
        assert caplog.text.count(words) == 1


@pytest.mark.parametrize("code", [2, 3])  # CLD_KILLED, and CLD_DUMPED: with a core
async def test_a_main_process_that_a_signal_has_ended(machine, show, watched, code):
    show("failed", "failed", ExecMainCode=code, ExecMainStatus=6)
    async with watched(machine.config("systemd"), leave=True) as gateway:
        assert (await gateway.until(S.EXITED)).exit_code == 134
