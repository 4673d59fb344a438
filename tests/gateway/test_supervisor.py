"""The supervisor with the stand-in program and a real connection: what it restarts, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import closing

import pytest
from ib_async import LimitOrder, Stock

from ibkr.connector import IBConnector
from ibkr.core.gateway_status import NOT_STARTED
from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.restart_policy import Action, PortState
from ibkr.core.states import ConnectionState as C
from ibkr.core.states import UpstreamState
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.drivers.ibc import IbcDriver
from ibkr.gateway.follower import GatewayFollower, ask_supervisor
from ibkr.gateway.gateway_store import GatewayStore, SupervisorRequest
from ibkr.gateway.store_errors import SupervisorRunning
from ibkr.gateway.supervisor import Supervisor
from ibkr.observe.outage_tracker import OutageTracker

# Steps of some minutes in production last a second here.
FAST = {"auto_restart": True, "restart_after": 1.0, "start_grace": 1.0, "restart_wait": 0.5, "night": "00:00-00:00"}
QUICK = {"probe_after": 0.3, "suspect_after": 0.3, "probe_timeout": 0.8, "timeout": 0.8, "backoff_first": 0.1}
QUICK |= {"backoff_cap": 0.2}


def ready(status):
    return status.state is C.READY and status.gateway is not None and status.gateway.state is S.RUNNING


def in_state(state):
    return lambda status: status.gateway is not None and status.gateway.state is state


async def test_a_gateway_that_hangs_is_restarted_and_orders_stay_true(machine, supervised, state_is):
    """The command server restarts it without a login. Another program has one outage and keeps its order."""
    cfg = machine.config("ibc", FAST, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        program = IBConnector("127.0.0.1", machine.api_port, 11, policy=cfg.ibkr.policy, timeout=0.4)
        outages, watch = [], OutageTracker()
        async with program:
            watch.update(program.status)
            program.on_status(lambda status: outages.append(watch.update(status)))
            trade = program.ib.placeOrder(Stock("AAPL", "SMART", "USD"), LimitOrder("BUY", 10, 1.0))
            async with asyncio.timeout(5):
                while trade.orderStatus.status != "Submitted":
                    await trade.statusEvent
            machine.do("hang")
            await state_is(supervisor, in_state(S.RESTARTING))
            assert program.status.outages == 1
            machine.do("wake")  # the stand-in's menu works again; IBC's RESTART needs it
            status = await state_is(supervisor, ready)
            assert status.gateway.alert == ""
            await program.wait_ready_async(15)
            ended = [outage for outage in outages if outage is not None and outage.ended_at is not None]
            assert len(ended) == 1
            assert trade.orderStatus.status == "Submitted"
            assert [order.order_id for order in machine.broker.orders] == [trade.order.orderId]
        assert [restart.full_login for restart in supervisor.store.read_restarts()] == [False]


async def test_a_hang_that_only_a_kill_ends(machine, supervised, state_is):
    """Without a command server, the process is killed. Its login then waits for a second factor: no further restart."""
    machine.write_ini(CommandServerPort=0)
    machine.plan(logins=["ok", "second factor"])
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        before = machine.java_pid
        machine.do("hang")
        status = await state_is(supervisor, in_state(S.NEEDS_SECOND_FACTOR))
        assert machine.java_pid != before
        assert "approve it in IBKR Mobile" in status.alert
        waiting = machine.java_pid
        # Much longer than restart_after. The policy runs five times per second during this time.
        status = await state_is(supervisor, lambda status: "waits for your second factor" in status.reason)
        seen = supervisor.observe()
        assert (seen.link, seen.second_factor) == (PortState.REFUSED, True)
        now = supervisor._now()
        for seconds in (0, 600, 6000, 60_000):
            later = type(now)(now.mono + seconds, now.wall)
            assert supervisor.policy.decide(seen, later).act is Action.NOTHING
        assert machine.java_pid == waiting
        machine.do("approve")
        status = await state_is(supervisor, ready)
        assert status.alert == ""
        assert [restart.full_login for restart in supervisor.store.read_restarts()] == [True]


@pytest.mark.parametrize("driver", ["ibc", "command"])
async def test_a_crash(machine, supervised, state_is, driver):
    async with supervised(machine.config(driver, FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        before = machine.java_pid
        os.kill(before, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        status = await state_is(supervisor, ready)
        assert status.gateway.restarts == 1
        assert machine.java_pid != before


async def test_watching_alone_tells_and_does_nothing(machine, supervised, state_is, eventually, caplog):
    caplog.set_level("INFO", "ibkr.gateway")
    async with supervised(machine.config("ibc", FAST | {"auto_restart": False}, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        machine.do("exit 1")
        status = await state_is(supervisor, lambda status: "has ended (exit code 1)" in status.reason)
        assert status.gateway.state is S.EXITED
        await eventually(lambda: "auto_restart is off" in caplog.text)
        assert supervisor.store.read_restarts() == ()


async def test_a_dry_run_says_what_it_would_do(machine, supervised, state_is, eventually, caplog):
    async with supervised(machine.config("ibc", FAST | {"dry_run": True}, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        machine.do("exit 1")
        await state_is(supervisor, in_state(S.EXITED))
        words = "dry run, would do start, which needs a full login: the process has ended"
        await eventually(lambda: words in caplog.text)
        assert supervisor.monitor.tracker.state is S.EXITED
        assert supervisor.store.read_restarts() == ()


async def test_1100_is_left_to_the_gateway(machine, supervised, state_is):
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        machine.broker.faults.lose_upstream()
        await state_is(supervisor, lambda status: status.upstream is UpstreamState.DOWN)
        seen, now = supervisor.observe(), supervisor._now()
        assert seen.link is PortState.UPSTREAM_DOWN
        decision = supervisor.policy.decide(seen, type(now)(now.mono + 86_400, now.wall))
        assert (decision.act, "1100" in decision.reason) == (Action.NOTHING, True)


@pytest.mark.rest
async def test_what_was_counted_is_kept_for_the_next_supervisor(machine, supervised, state_is):
    cfg = machine.config("ibc", FAST | {"restart_limit": 1}, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        machine.do("exit 1")
        await state_is(supervisor, in_state(S.EXITED))
        await state_is(supervisor, ready)
    async with supervised(cfg) as supervisor:
        status = await state_is(supervisor, ready)
        assert status.gateway.restarts == 1
        machine.do("crash")
        status = await state_is(supervisor, lambda status: "no more restarts" in status.alert)
        assert status.alert.endswith("no more restarts: restart_limit (1 in 24 hours) is reached")


async def test_there_is_one_supervisor(machine, supervised, state_is):
    cfg = machine.config("ibc", FAST, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        other = Supervisor(cfg)
        with pytest.raises(SupervisorRunning):
            await other.run()
    assert not GatewayStore(cfg.ibkr.gateway).is_supervised()


async def test_no_second_gateway_is_started_beside_one_of_somebody_else(machine):
    """A second gateway would end the login of the first."""
    with socket.create_server(("127.0.0.1", machine.api_port)):
        supervisor = Supervisor(machine.config("ibc", FAST, **QUICK))
        with pytest.raises(DriverError, match=f"port {machine.api_port} is open, and no process of ours has opened it"):
            await supervisor.run()
    assert not supervisor.store.process_file.exists()


async def test_it_ends_what_is_its_own(machine, supervised, state_is):
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
    assert supervisor.status.state is S.STOPPED
    assert not await supervisor.driver.is_running()


async def test_what_a_person_asks_for(machine, supervised, state_is, eventually):
    cfg = machine.config("ibc", FAST, **QUICK)
    store = GatewayStore(cfg.ibkr.gateway)
    assert "no supervisor runs" in (await ask_supervisor(store, SupervisorRequest("restart", "a test"))).message
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        machine.broker.place_order("AAPL", "BUY", 10, limit_price=1.0)
        answer = await ask_supervisor(store, SupervisorRequest("restart", "a test"))
        assert (answer.is_done, "1 order works at the broker" in answer.message) == (False, True)
        before = machine.java_pid
        answer = await ask_supervisor(store, SupervisorRequest("restart", "a test", with_orders=True))
        assert (answer.is_done, answer.message) == (True, "the gateway restarts, without a login")
        await eventually(lambda: machine.java_pid != before)
        await state_is(supervisor, ready)
        machine.write_ini(CommandServerPort=0)
        machine.plan(logins=["second factor"])
        answer = await ask_supervisor(store, SupervisorRequest("restart", "a test", with_orders=True))
        assert (answer.is_done, answer.message) == (True, "the gateway is restarted; it needs a full login")
        await state_is(supervisor, in_state(S.NEEDS_SECOND_FACTOR))
        answer = await ask_supervisor(store, SupervisorRequest("restart", "a test", with_orders=True))
        assert (answer.is_done, answer.message.startswith("the gateway waits for your second factor")) == (False, True)
        answer = await ask_supervisor(store, SupervisorRequest("stop", "a test"))
        assert (answer.is_done, answer.message) == (True, "the gateway is stopped")
    store.close()


async def test_another_program_sees_the_same(machine, supervised, state_is, eventually):
    """Before, during and after the run of a supervisor."""
    cfg = machine.config("ibc", FAST, **QUICK)
    told = []
    follower = GatewayFollower(cfg.ibkr.gateway, told.append)

    async def until(holds):
        await eventually(lambda: told and holds(told[-1]))

    following = asyncio.create_task(follower.run())
    try:
        await until(lambda status: status.state is S.STOPPED)
        async with supervised(cfg) as supervisor:
            await state_is(supervisor, ready)
            await until(lambda status: status.state is S.RUNNING and status.supervised)
            machine.do("window Surprise")
            await until(lambda status: status.state is S.UNKNOWN_WINDOW)
            assert told[-1].detail == supervisor.status.detail == "Surprise"
        await until(lambda status: status.state is S.STOPPED)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_a_restart_whose_start_fails_has_ended_and_is_tried_again(machine, supervised, state_is):
    async with supervised(machine.config("command", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        (machine.bin / "java").rename(machine.bin / "elsewhere")
        answer = await ask_supervisor(supervisor.store, SupervisorRequest("restart", "a test", with_orders=True))
        assert (answer.is_done, "java cannot be started" in answer.message) == (False, True)
        status = await state_is(supervisor, in_state(S.EXITED))
        assert status.gateway.exit_code == NOT_STARTED
        (machine.bin / "elsewhere").rename(machine.bin / "java")
        await state_is(supervisor, ready)


async def test_a_follower_outlives_an_error_of_its_watch(
    machine, supervised, state_is, eventually, monkeypatch, caplog
):
    cfg = machine.config("ibc", FAST, **QUICK)
    monkeypatch.setattr("ibkr.gateway.follower._RETRY_AFTER", 0.1)
    told = []
    follower = GatewayFollower(cfg.ibkr.gateway, told.append)
    with monkeypatch.context() as broken:
        broken.setattr(IbcDriver, "events", lambda self: 1 / 0)
        following = asyncio.create_task(follower.run())
        await eventually(lambda: told and told[-1] is None)
    assert "cannot be watched: ZeroDivisionError: division by zero" in caplog.text
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        await eventually(lambda: told[-1] is not None and told[-1].state is S.RUNNING)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_state_of_the_last_supervisor_is_not_that_of_the_next(machine):
    supervisor = Supervisor(machine.config("command", {"start": "/nowhere/gateway"}, **QUICK))
    supervisor.store.write_status(supervisor.status)
    with pytest.raises(DriverError):
        await supervisor.run()
    with closing(supervisor.store):
        assert supervisor.store.read_status() is None


async def test_a_second_factor_behind_a_window_is_not_asked_for_again(machine, supervised, state_is):
    machine.plan(logins=["second factor"])
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, in_state(S.NEEDS_SECOND_FACTOR))
        machine.do("window Surprise")
        await state_is(supervisor, in_state(S.UNKNOWN_WINDOW))
        answer = await ask_supervisor(supervisor.store, SupervisorRequest("restart", "a test"))
        assert (answer.is_done, answer.message.startswith("the gateway waits for your second factor")) == (False, True)


async def test_a_command_server_at_a_port_that_does_not_exist(machine, supervised, state_is):
    machine.write_ini(CommandServerPort=70000)
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        [problem] = await supervisor.driver.problems()
        assert "CommandServerPort in config.ini is 70000" in problem.message
        answer = await ask_supervisor(supervisor.store, SupervisorRequest("restart", "a test"))
        assert (answer.is_done, answer.message) == (True, "the gateway is restarted; it needs a full login")
