"""The folder of a gateway: the lock, requests and answers, and files that are damaged."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing

import pytest

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.gateway.follower import ask_supervisor
from ibkr.gateway.gateway_store import GatewayStore, SupervisorAnswer, SupervisorRequest
from ibkr.gateway.store_errors import StoreDamaged


@pytest.fixture
def store(tmp_path):
    with closing(open_store(tmp_path)) as store:
        yield store


def open_store(folder):
    return GatewayStore(GatewaySettings(driver="command", start="true", state_dir=str(folder)))


def test_readers_see_no_supervisor_in_each_other(store):
    store.acquire_lock().close()
    seen: set[bool] = set()

    def poll():
        mine = open_store(store.folder.parent)
        for _ in range(300):
            seen.add(mine.is_supervised())

    readers = [threading.Thread(target=poll) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert seen == {False}


def test_a_reader_is_not_in_the_way_of_a_supervisor(store):
    store.acquire_lock().close()
    ended = threading.Event()

    def poll():
        mine = open_store(store.folder.parent)
        while not ended.is_set():
            mine.is_supervised()

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for _ in range(20):
            with closing(store.acquire_lock()):
                assert store.is_supervised()
    finally:
        ended.set()
        reader.join()


def test_each_asker_gets_its_own_answer(store):
    names = [store.add_request(SupervisorRequest("start", "a test")) for _ in range(3)]
    for name in names:
        found = store.next_request()
        assert found == (name, SupervisorRequest("start", "a test"))
        store.save_answer(name, SupervisorAnswer(is_done=True, message=name))
    assert store.next_request() is None
    assert [store.read_answer(name).message for name in names] == names


async def test_a_request_that_nobody_answered_is_not_carried_out_later(store):
    with closing(store.acquire_lock()):
        answer = await ask_supervisor(store, SupervisorRequest("restart", "a test"), 0.01)
    assert not answer.is_done
    assert store.next_request() is None


def write(store, statement, *values):
    assert store.next_request() is None  # this makes the tables
    with closing(sqlite3.connect(store.folder / "gateway.sqlite", isolation_level=None)) as database:
        database.execute(statement, values)


DAMAGED = ["", "{", "[" * 100_000, "[]", "7", '{"state": "running", "since": null, "next_login": null}', "{}"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_state(store, text):
    write(store, "INSERT INTO state VALUES (1, ?)", text)
    with pytest.raises(StoreDamaged, match=r"gateway\.sqlite is damaged \(.*\): remove it"):
        store.read_status()


@pytest.mark.parametrize("at", ["yesterday", 7, "2026-03-02T14:30:00"])
def test_a_damaged_restart(store, at):
    write(store, "INSERT INTO restarts VALUES (?, 1, '')", at)
    with pytest.raises(StoreDamaged, match=r"gateway\.sqlite is damaged \(.*\): remove it"):
        store.read_restarts()


@pytest.mark.parametrize("text", [*DAMAGED, json.dumps({"action": "dance", "by": "a test"})])
@pytest.mark.parametrize("name", ["x", None])
def test_a_damaged_request_is_dropped(store, name, text, caplog):
    write(store, "INSERT INTO requests VALUES (?, ?, NULL)", name, text)
    right = store.add_request(SupervisorRequest("stop", "a test"))
    assert store.next_request() == (right, SupervisorRequest("stop", "a test"))
    assert "a request in" in caplog.text


def test_a_damaged_answer(store):
    write(store, "INSERT INTO requests VALUES ('x', '{}', '[]')")
    with pytest.raises(StoreDamaged, match=r"gateway\.sqlite is damaged"):
        store.read_answer("x")


@pytest.mark.parametrize("name", ["gateway.sqlite", "supervisor-lock"])
def test_a_file_that_is_no_database(store, name):
    store.make_folder()
    (store.folder / name).write_text("This is not a database, and longer than the header of one. " * 20)
    with pytest.raises(StoreDamaged, match=rf"{name} is damaged \(file is not a database\): remove it"):
        store.read_status() if name == "gateway.sqlite" else store.is_supervised()
    if name == "supervisor-lock":
        with pytest.raises(StoreDamaged, match="remove it"):
            store.acquire_lock()
