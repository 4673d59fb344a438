"""The drivers ``ibc`` and ``command`` that look at a gateway which another supervisor has started."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.gateway_monitor import read_gateway_status
from ibkr.gateway.gateway_store import GatewayStore


async def test_the_next_supervisor_takes_up_the_process_of_the_last(machine, watched):
    cfg = machine.config("ibc")
    machine.plan(logins=["second factor"])
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        child = gateway.driver._child
    async with watched(cfg) as gateway:
        assert await gateway.driver.is_running()
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        machine.do("crash")
        child.wait(5)  # in this test, the process is still our child; in production it is not
        status = await gateway.until(S.EXITED)
        assert status.exit_code == 137
    async with watched(cfg) as gateway:
        assert not await gateway.driver.is_running()


@pytest.mark.parametrize(("order", "code"), [("exit 1104", 1104), ("crash", 137)])
async def test_a_gateway_that_ended_while_nobody_watched(machine, watched, order, code):
    """As 'ibkr gateway status' shows it, at every look; until somebody stops it."""
    cfg = machine.config("ibc")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        child = gateway.driver._child
    machine.do(order)
    child.wait(5)
    with closing(GatewayStore(cfg.ibkr.gateway)) as store:
        for _ in range(2):
            status = await read_gateway_status(make_driver(cfg.ibkr.gateway, store))
            assert (status.state, status.exit_code, status.detail) == (S.EXITED, code, "")
        await make_driver(cfg.ibkr.gateway, store).stop()
        status = await read_gateway_status(make_driver(cfg.ibkr.gateway, store))
        assert status.state is S.STOPPED


async def test_a_second_factor_of_the_past_causes_no_alert(machine, watched):
    """A second factor that was approved before a supervisor starts is not reported again."""
    cfg = machine.config("ibc")
    machine.plan(logins=["second factor"])
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        machine.do("approve")
        await gateway.until(S.RUNNING)
        child = gateway.driver._child
    async with watched(cfg) as gateway:
        await gateway.until(S.RUNNING)
        assert [each.state for each in gateway.states] == [S.RUNNING]
        machine.do("crash")
        child.wait(5)


async def test_the_next_supervisor_knows_what_happened_meanwhile(machine, watched):
    """A restart, a pending second factor, and a window: the phone must not be asked again."""
    cfg = machine.config("ibc")
    machine.plan(restart_login="second factor")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        machine.do("nightly")
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        machine.do("window Surprise")
        await gateway.until(S.UNKNOWN_WINDOW)
        child = gateway.driver._child
    async with watched(cfg) as late:
        await late.until(S.UNKNOWN_WINDOW)
        assert [each.state for each in late.states] == [S.UNKNOWN_WINDOW]
        assert (late.monitor.tracker.second_factor, late.monitor.tracker.is_logged_in) == (True, False)
        machine.do("crash")
        child.wait(5)


async def test_a_login_that_began_unseen_is_not_running(machine, watched, eventually):
    """The log has a login that was complete, then a restart whose login is not."""
    machine.write_ini(LogStructureScope="known")
    machine.plan(restart_login="window")
    cfg = machine.config("ibc")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        child = gateway.driver._child
    machine.do("nightly")
    await eventually(lambda: "entitled: Login" in gateway.store.log.read_text().partition("Re-starting session")[2])
    status = await read_gateway_status(make_driver(cfg.ibkr.gateway, gateway.store))
    assert status.state is S.STARTING
    machine.do("crash")
    child.wait(5)


async def test_a_log_of_many_megabytes(machine, watched):
    """The login of a gateway that has since written much is still known."""
    cfg = machine.config("ibc")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        child = gateway.driver._child
    with gateway.store.log.open("a") as log:
        log.write(f"{'x' * 99}\n" * 30_000)
    status = await read_gateway_status(make_driver(cfg.ibkr.gateway, gateway.store))
    assert status.state is S.RUNNING
    machine.do("crash")
    child.wait(5)


async def test_an_adopted_gateway_that_ends_in_order(machine, watched):
    """Nobody has its exit code, but the script writes it into the log."""
    cfg = machine.config("ibc")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        child = gateway.driver._child
    async with watched(cfg) as late:
        await late.until(S.RUNNING)
        await late.driver.send("STOP")
        child.wait(5)
        status = await late.until(S.EXITED)
        assert status.exit_code == 0


@pytest.mark.parametrize(
    "values",
    [
        {"log_offset": float("inf")},
        {"log_offset": -5},
        {"started_at": "2026-03-02T14:30:00"},
        {"started_at": 7},
        {"pid": None},
        "[" * 100_000,
        "",
        "[]",
    ],
)
async def test_a_damaged_process_file(machine, values):
    store = GatewayStore(machine.config("ibc").ibkr.gateway)
    store.make_folder()
    right = {"pid": 7, "began": "1", "started_at": "2026-03-02T14:30:00+00:00", "log_offset": 0}
    store.process_file.write_text(values if isinstance(values, str) else json.dumps(right | values))
    with pytest.raises(DriverError, match=r"process\.json cannot be read \(.*\): remove it"):
        make_driver(machine.config("ibc").ibkr.gateway, store)


async def test_a_command_that_has_ended_is_never_shown_as_running(machine, watched):
    cfg = machine.config("command")
    async with watched(cfg, leave=True) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        gateway.driver._child.kill()
        gateway.driver._child.wait(5)
    async with watched(cfg) as late:
        await late.until(S.EXITED)
        assert [each.state for each in late.states] == [S.EXITED]
