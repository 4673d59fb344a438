"""A supervisor whose folder breaks while it runs: it goes on, remembers, and writes again when it can."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.follower import ask_supervisor
from ibkr.gateway.gateway_store import GatewayStore, SupervisorRequest
from ibkr.gateway.store_errors import SupervisorRunning
from ibkr.gateway.supervisor import Supervisor

from .test_service_drivers import unit  # noqa: F401 - a fixture
from .test_supervisor import FAST, QUICK, in_state, ready

BEGIN, END = "its files cannot be written", "its files are written again"
GARBAGE = "This is not a database, and longer than the header of one. " * 200
needs_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root is needed to mount a full disk")


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    monkeypatch.setattr("ibkr.gateway.supervisor_records._RETRY_AFTER", 0.1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def small_disk(machine):
    """The folder for the states is a disk of 128 kB. ``small_disk()`` fills it and returns the file to remove."""
    folder = machine.folder / "state"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)], check=True)

    def fill():
        space = os.statvfs(folder)
        (folder / "big").write_bytes(bytes(space.f_bavail * space.f_frsize))
        return folder / "big"

    yield fill
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def logged(caplog):
    """How many times the log of the supervisor tells the begin of the trouble, and its end."""
    lines = [record.getMessage() for record in caplog.records if record.name == "ibkr.gateway"]
    return sum(BEGIN in line for line in lines), sum(END in line for line in lines)


def store_alert(status):
    return status.gateway is not None and BEGIN in status.gateway.alert


def no_alert(status):
    return ready(status) and status.gateway.alert == ""


async def test_a_file_in_the_place_of_the_folder(machine, supervised, state_is, caplog):
    """The gateway is restarted as before, and the limit stays in force."""
    caplog.set_level("INFO", "ibkr.gateway")
    async with supervised(machine.config("ibc", FAST | {"restart_limit": 1}, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        folder = supervisor.store.folder
        aside = folder.rename(folder.with_name("aside"))
        folder.write_text("")
        status = await state_is(supervisor, store_alert)
        assert f"{folder} cannot be used (" in status.gateway.alert
        assert "a file is in the place of a folder: remove it" in status.gateway.alert
        os.kill(machine.java_pid, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        status = await state_is(supervisor, ready)
        assert status.gateway.restarts == 1
        os.kill(machine.java_pid, signal.SIGKILL)
        status = await state_is(supervisor, lambda status: "no more restarts" in status.alert)
        assert status.alert.endswith("restart_limit (1 in 24 hours) is reached")
        assert logged(caplog) == (1, 0)
        folder.unlink()
        aside.rename(folder)
        async with asyncio.timeout(10):
            while supervisor.records.trouble:  # noqa: ASYNC110 - its alert is hidden by that of the policy
                await asyncio.sleep(0.02)
        assert len(supervisor.store.read_restarts()) == 1
        assert logged(caplog) == (1, 1)


@needs_root
async def test_a_full_disk(machine, unit, small_disk, supervised, state_is, caplog):  # noqa: F811 - the fixture
    caplog.set_level("INFO", "ibkr.gateway")
    unit()
    async with supervised(machine.config("systemd", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        big = small_disk()
        machine.do("exit 1")
        status = await state_is(supervisor, store_alert)
        assert "free space on its disk" in status.gateway.alert
        status = await state_is(supervisor, ready)
        assert status.gateway.restarts == 1
        big.unlink()
        await state_is(supervisor, no_alert)
        assert [restart.full_login for restart in supervisor.store.read_restarts()] == [True]
        assert supervisor.store.read_status().state is S.RUNNING
        assert logged(caplog) == (1, 1)


@needs_root
@pytest.mark.parametrize("driver", ["ibc", "systemd"])
async def test_a_full_disk_at_the_start(machine, unit, small_disk, driver):  # noqa: F811 - the fixture
    unit()
    small_disk()
    with pytest.raises((OSError, sqlite3.Error), match=r".*state.* cannot be used \(.*\): free space on its disk"):
        await Supervisor(machine.config(driver, FAST, **QUICK)).run()
    assert not (machine.folder / "java.pid").exists()


@needs_root
async def test_a_full_disk_leaves_the_file_of_the_process_as_it_is(machine, small_disk, watched):
    cfg = machine.config("command", {"start": "sleep 1000"})
    async with watched(cfg) as gateway:
        await gateway.driver.start()
        before = gateway.store.process_file.read_text()
        big = small_disk()
        await gateway.driver.restart()
        with pytest.raises(OSError, match="No space"):
            gateway.driver.save_process()
        assert gateway.store.process_file.read_text() == before
        big.unlink()
        gateway.driver.save_process()
        assert json.loads(gateway.store.process_file.read_text())["pid"] != json.loads(before)["pid"]


async def test_a_folder_that_is_removed_comes_back(machine, supervised, state_is, eventually, caplog):
    cfg = machine.config("ibc", FAST, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        tracker = supervisor.monitor.tracker
        await eventually(lambda: tracker.logged_in_at is not None)
        first_login = tracker.logged_in_at
        os.kill(machine.java_pid, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        await state_is(supervisor, ready)
        await eventually(lambda: tracker.logged_in_at != first_login)  # the log of the new process is read
        store = supervisor.store
        before = (store.process_file.read_text(), store.read_restarts())
        shutil.rmtree(store.folder)
        await eventually(lambda: store.process_file.exists() and GatewayStore(cfg.ibkr.gateway).is_supervised())
        assert (store.process_file.read_text(), store.read_restarts()) == (before[0], before[1])
        assert len(before[1]) == 1
        machine.do("window Surprise")  # the process writes on into the log that was removed
        await state_is(supervisor, in_state(S.UNKNOWN_WINDOW))
        assert store.read_status().state is S.UNKNOWN_WINDOW
        with pytest.raises(SupervisorRunning):
            await Supervisor(cfg).run()
        with closing(GatewayStore(cfg.ibkr.gateway)) as mine:
            answer = await ask_supervisor(mine, SupervisorRequest("stop", "a test"))
        assert answer.is_done
    assert caplog.text.count("was removed") == 1


async def test_a_process_file_that_is_damaged_is_written_again(machine, supervised, state_is, eventually):
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        file = supervisor.store.process_file
        before = file.read_text()
        for text in (b"{", b"\xff"):
            file.write_bytes(text)
            await eventually(lambda: file.read_bytes() == before.encode())
        assert supervisor.store.log.stat().st_mode & 0o077 == 0


async def test_a_database_that_is_damaged(machine, supervised, state_is, caplog):
    caplog.set_level("INFO", "ibkr.gateway")
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        file = supervisor.store.folder / "gateway.sqlite"
        file.write_text(GARBAGE)
        status = await state_is(supervisor, store_alert)
        assert f"{file} is damaged (" in status.gateway.alert
        os.kill(machine.java_pid, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        await state_is(supervisor, ready)
        file.unlink()
        await state_is(supervisor, no_alert)
        assert len(supervisor.store.read_restarts()) == 1
        assert logged(caplog) == (1, 1)


async def test_a_request_whose_answer_cannot_be_written_is_carried_out_once(machine, supervised, state_is):
    """Another program reads in the database, and does not end."""
    cfg = machine.config("ibc", FAST, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        with closing(GatewayStore(cfg.ibkr.gateway)) as mine:
            name = mine.add_request(SupervisorRequest("restart", "a test"))
            with closing(sqlite3.connect(mine.folder / "gateway.sqlite", isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM requests").fetchall()
                status = await state_is(supervisor, store_alert)
                assert "end the program that uses it" in status.gateway.alert
                await state_is(supervisor, lambda status: ready(status) and store_alert(status))
            await state_is(supervisor, no_alert)
            assert mine.read_answer(name).is_done
            assert [restart.full_login for restart in mine.read_restarts()] == [False]


async def test_what_was_kept_in_memory_is_written_at_the_end(machine, supervised, state_is, monkeypatch):
    """Even if the next attempt is not due yet."""
    monkeypatch.setattr("ibkr.gateway.supervisor_records._RETRY_AFTER", 3600.0)
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        folder = supervisor.store.folder
        aside = folder.rename(folder.with_name("aside"))
        folder.write_text("")
        await state_is(supervisor, store_alert)
        os.kill(machine.java_pid, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        await state_is(supervisor, ready)
        folder.unlink()
        aside.rename(folder)
    with closing(GatewayStore(machine.config("ibc").ibkr.gateway)) as store:
        assert len(store.read_restarts()) == 1
        assert not store.process_file.exists()


async def test_a_restart_without_a_supervisor_says_that_it_is_not_recorded(machine, unit, watched):  # noqa: F811
    unit()
    cfg = machine.config("systemd", FAST, **QUICK)
    async with watched(cfg) as gateway:
        await gateway.driver.start()
        assert gateway.store.next_request() is None  # makes the tables
        with closing(sqlite3.connect(gateway.store.folder / "gateway.sqlite", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM requests").fetchall()
            answer = await Supervisor(cfg).restart_once(SupervisorRequest("restart", "a test", with_orders=True))
        assert answer.is_done
        assert "but this could not be recorded: " in answer.message
        assert answer.message.endswith(
            "gateway.sqlite cannot be used (database is locked): end the program that uses it"
        )


async def test_another_supervisor_that_took_the_lock_of_a_removed_folder(machine, supervised, state_is):
    cfg = machine.config("ibc", FAST, **QUICK)
    async with supervised(cfg) as supervisor:
        await state_is(supervisor, ready)
        (supervisor.store.folder / "supervisor-lock").unlink()
        with closing(GatewayStore(cfg.ibkr.gateway)) as other, closing(other.acquire_lock()):
            status = await state_is(supervisor, store_alert)
            assert "another process supervises this gateway: end one of the two" in status.gateway.alert
        await state_is(supervisor, no_alert)
        assert supervisor.store.is_supervised()


async def test_a_stop_whose_files_cannot_be_removed(machine, supervised, state_is, caplog):
    async with supervised(machine.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready)
        folder = supervisor.store.folder
        folder.rename(folder.with_name("aside"))
        folder.write_text("")
    assert not await supervisor.driver.is_running()
    assert "process.json cannot be removed" in caplog.text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
async def test_an_output_that_cannot_be_written(machine, eventually):
    """As the log of a supervisor in the background on a full disk, and its JSON."""
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in machine.settings("ibc", **FAST).items())
    text = f"[ibkr]\nport = {machine.api_port}\nrefused_every = 0.05\n\n[ibkr.gateway]\n{settings}"
    (machine.folder / "ibkr.toml").write_text(text)
    command = [sys.executable, "-m", "ibkr", "gateway", "run", "--json"]
    full = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(*command, stdout=full, stderr=full, cwd=machine.folder)
    os.close(full)
    with closing(GatewayStore(machine.config("ibc").ibkr.gateway)) as store:

        def runs(restarts):
            status = store.read_status() if store.is_supervised() else None
            return status is not None and (status.state, status.restarts) == (S.RUNNING, restarts)

        try:
            await eventually(lambda: runs(0))
            os.kill(machine.java_pid, signal.SIGKILL)
            await eventually(lambda: runs(1), 20)
        finally:
            process.terminate()
            await process.wait()
