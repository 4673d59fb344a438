"""A supervisor whose folder breaks while it runs: it goes on, remembers, and writes again when it can."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.follower import ask_supervisor
from ibkr.gateway.gateway_store import GatewayStore, SupervisorRequest
from ibkr.gateway.log_tail import LogTail
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
        status = await state_is(supervisor, lambda status: "gave up restarting" in status.alert)
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
        os.kill(machine.java_pid, signal.SIGKILL)
        await state_is(supervisor, in_state(S.EXITED))
        await state_is(supervisor, ready)
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


def test_a_log_that_cannot_be_read_is_reported_once(tmp_path, caplog):
    tail = LogTail(tmp_path / "log")
    tail.path.mkdir()
    assert [list(tail.new_lines()) for _ in range(3)] == [[], [], []]
    assert caplog.text.count("cannot be read") == 1
    tail.path.rmdir()
    tail.path.write_text("line\n")
    tail.offset = 0
    assert list(tail.new_lines()) == ["line"]


def test_a_log_that_is_removed_is_read_on_and_its_successor_from_the_beginning(tmp_path):
    path = tmp_path / "log"
    with path.open("w") as old, closing(LogTail(path, keeps_open=True)) as tail:
        print("one", file=old, flush=True)
        assert list(tail.new_lines()) == ["one"]
        path.unlink()
        print("two", file=old, flush=True)
        assert list(tail.new_lines()) == ["two"]
        path.write_text("the first line of the next log\n")
        assert list(tail.new_lines()) == ["the first line of the next log"]
