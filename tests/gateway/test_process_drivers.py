"""The drivers ``ibc`` and ``command`` with the stand-in program: each cause shows its state within a second."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.gateway_tracker import RestartStarted
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.processes import process_identity

from .conftest import SECRET


async def test_ibc_from_start_to_stop(machine, watched):
    async with watched(machine.config("ibc")) as gateway:
        assert gateway.status.state is S.STOPPED
        await gateway.driver.start()
        assert await gateway.driver.is_running()
        status = await gateway.until(S.RUNNING)
        assert [each.state for each in gateway.states] == [S.STARTING, S.RUNNING]
        assert (status.driver, status.exit_code) == ("ibc", None)
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)
        assert not await gateway.driver.is_running()
        assert "CommandServer received command: STOP" in gateway.store.log.read_text()


async def test_ibc_waits_for_the_second_factor(machine, watched, soon):
    machine.plan(logins=["second factor"])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        status = await gateway.until(S.NEEDS_SECOND_FACTOR)
        assert status.alert.startswith("the gateway waits for your second factor since ")
        with soon():
            machine.do("approve")
            await gateway.until(S.RUNNING)


@pytest.mark.parametrize(
    ("login", "detail"),
    [
        ("refused", "the gateway refused user, password or trading mode"),
        ("elsewhere", "this user is logged in elsewhere, and the other session continues"),
    ],
)
async def test_ibc_whose_login_is_refused(machine, watched, login, detail):
    machine.plan(logins=[login])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        status = await gateway.until(S.LOGIN_FAILED)
        assert status.detail == detail


async def test_ibc_shows_an_unknown_window(machine, watched, soon):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        with soon():
            machine.do("window Prediction \x1b[31mMarkets")
            status = await gateway.until(S.UNKNOWN_WINDOW)
        assert status.detail == "Prediction [31mMarkets"


async def test_ibc_that_logs_known_windows_tells_of_no_unknown_one(machine, watched):
    machine.write_ini(LogStructureScope="known")
    machine.plan(logins=["window"])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.STARTING)
        machine.do("exit 1")
        await gateway.until(S.EXITED)
        assert [each.state for each in gateway.states] == [S.STARTING, S.EXITED]


@pytest.mark.parametrize(("order", "code"), [("exit 1111", 1111), ("exit 1103", 1103), ("exit 1", 1), ("crash", 137)])
async def test_ibc_that_ends(machine, watched, soon, order, code):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        with soon():
            machine.do(order)
            status = await gateway.until(S.EXITED)
        assert status.exit_code == code


async def test_a_login_dialog_that_never_comes_is_started_again_by_the_script(machine, watched):
    machine.plan(logins=["never"])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RESTARTING)
        await gateway.until(S.RUNNING)


async def test_a_restart_by_the_command_server_needs_no_login(machine, watched):
    machine.plan(logins=["ok", "second factor"])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        assert await gateway.driver.send("RESTART") == "RESTART in progress"
        await gateway.until(S.RESTARTING)
        await gateway.until(S.RUNNING)
        assert "Re-starting session" in gateway.store.log.read_text()
        assert await gateway.driver.send("RECONNECTDATA") == ""
        with pytest.raises(DriverError, match="refuses ENABLEAPI: Command invalid"):
            await gateway.driver.send("ENABLEAPI")


@pytest.mark.parametrize("ini", [{"CommandPrompt": "IBC> "}, {"SuppressInfoMessages": "no"}])
async def test_a_command_server_that_says_more(machine, watched, ini):
    machine.write_ini(**ini)
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        assert await gateway.driver.send("RECONNECTACCOUNT") == ""


async def test_a_command_server_that_is_off(machine, watched):
    machine.write_ini(CommandServerPort=0)
    async with watched(machine.config("ibc")) as gateway:
        assert not gateway.driver.has_command_server
        with pytest.raises(DriverError, match=r"set CommandServerPort in config\.ini"):
            await gateway.driver.send("RESTART")
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)


async def test_a_restart_of_the_process(machine, watched):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        before = machine.java_pid
        await gateway.driver.restart()
        await gateway.until(S.STARTING)
        await gateway.until(S.RUNNING)
        assert machine.java_pid != before


async def test_a_gateway_that_hangs_is_ended_all_the_same(machine, watched):
    async with watched(machine.config("ibc", {"stop_grace": 0.3})) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        os.kill(machine.java_pid, signal.SIGSTOP)
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)
        assert process_identity(machine.java_pid) == ""


async def test_a_command_from_start_to_crash(machine, watched, soon):
    async with watched(machine.config("command")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        with soon():
            os.kill(gateway.driver._pid, signal.SIGKILL)
            status = await gateway.until(S.EXITED)
        assert status.exit_code == -9
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        await gateway.driver.restart()
        await gateway.driver.stop()
        await gateway.until(S.STOPPED)


async def test_commands_to_stop_and_restart(machine, watched):
    done = machine.folder / "done"
    cfg = machine.config("command", {"stop": f"touch {done}", "stop_grace": 0.2, "restart": "false"})
    async with watched(cfg) as gateway:
        await gateway.driver.start()
        with pytest.raises(DriverError, match=r"gateway\.restart ended with exit code 1"):
            await gateway.driver.restart()
        await gateway.driver.stop()
        assert done.exists()
        assert not await gateway.driver.is_running()


async def test_a_program_that_is_not_there(machine, watched):
    async with watched(machine.config("command", {"start": f"nowhere-to-be-found --pw={SECRET}"})) as gateway:
        with pytest.raises(DriverError, match="nowhere-to-be-found cannot be started: No such file") as raised:
            await gateway.driver.start()
        assert SECRET not in str(raised.value)
        problems = await gateway.driver.problems()
        assert [problem.is_fatal for problem in problems] == [True, False]
        assert "password on its command line" in problems[1].message
        assert SECRET not in repr(problems)


async def test_the_log(machine, watched):
    async with watched(machine.config("ibc")) as gateway:
        assert [line async for line in gateway.driver.log(5, follow=False)] == []
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        [line] = [line async for line in gateway.driver.log(1, follow=False)]
        assert line.endswith("IBC: Login has completed")
        following = gateway.driver.log(0, follow=True)
        reading = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        machine.do("window New")
        assert (await asyncio.wait_for(reading, 5)).endswith("dialog entitled: New; event=Opened")
        await following.aclose()


async def test_what_is_wrong_with_the_configuration_of_ibc(machine, watched):
    async with watched(machine.config("ibc")) as gateway:
        assert await gateway.driver.problems() == []
        machine.ini.chmod(0o644)
        [problem] = await gateway.driver.problems()
        assert (problem.is_fatal, problem.cure) == (False, f"chmod 600 {machine.ini}")
    machine.write_ini(CommandServerPort="")
    async with watched(machine.config("ibc")) as gateway:
        [problem] = await gateway.driver.problems()
        assert "command server is off" in problem.message
    async with watched(machine.config("ibc", {"version": "999", "ibc_path": str(machine.folder)})) as gateway:
        messages = [problem.message for problem in await gateway.driver.problems()]
        assert [message.partition(":")[0] for message in messages] == ["gateway.ibc_path", "gateway.version"]


async def test_a_second_factor_of_the_new_process_is_not_taken_for_the_old_one_s(machine, watched):
    """Log lines that the new process wrote before its start was noticed belong to the new process."""
    machine.plan(logins=["ok", "second factor"])
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        gateway.monitor.handle_event(RestartStarted("a test"))
        await gateway.driver.restart()
        deadline = time.monotonic() + 5
        while "Second Factor Authentication initiated" not in gateway.store.log.read_text():
            time.sleep(0.01)  # noqa: ASYNC251 - the event loop rests: nothing of this is noticed meanwhile
            assert time.monotonic() < deadline
        await gateway.until(S.NEEDS_SECOND_FACTOR)
        states = [each.state for each in gateway.states]
        assert states == [S.STARTING, S.RUNNING, S.RESTARTING, S.STARTING, S.NEEDS_SECOND_FACTOR]
        assert gateway.monitor.tracker.second_factor


async def test_a_line_of_the_log_ends_nothing(machine, watched, eventually):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        with gateway.store.log.open("a") as log:
            log.write("2026-13-45 25:00:00:000 IBC: x\n")
            log.write(f"2026-07-02 22:28:35:000 IBC: Exiting after error with exit code={'9' * 5000}\n")
        machine.do("window Surprise")
        await gateway.until(S.UNKNOWN_WINDOW)


async def test_a_restart_that_is_killed_has_ended(machine, watched):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        machine.plan(boot=30)
        machine.do("nightly")
        await gateway.until(S.RESTARTING)
        os.killpg(gateway.driver._pid, signal.SIGKILL)
        status = await gateway.until(S.EXITED)
        assert status.exit_code == -9


async def test_a_stop_command_that_fails_stops_nothing_less(machine, watched, caplog):
    async with watched(machine.config("command", {"stop": "false"})) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        await gateway.driver.stop()
        assert not await gateway.driver.is_running()
        assert "gateway.stop ended with exit code 1" in caplog.text
        await gateway.until(S.STOPPED)


async def test_a_java_whose_script_was_killed_is_stopped_too(machine, watched, eventually):
    async with watched(machine.config("ibc")) as gateway:
        await gateway.driver.start()
        await gateway.until(S.RUNNING)
        os.kill(gateway.driver._pid, signal.SIGKILL)
        await gateway.until(S.EXITED)
        assert process_identity(machine.java_pid)
        await gateway.driver.stop()
        await eventually(lambda: not process_identity(machine.java_pid))
