"""The fixture ``ib_recording``, as users use it: in plain tests."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from ib_async import IB, Stock

from ibkr.proxy import RecordingError
from ibkr.proxy.recording_writer import SUFFIX
from tests.proxy.test_command import a_session


@pytest.fixture
async def file(gateway, new_proxy, ib, tmp_path):
    """A recording of one session."""
    proxy = await new_proxy(gateway.port, record=tmp_path)
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    ib.disconnect()
    await proxy.wait_for(lambda proxy: not proxy.connections)
    [path] = tmp_path.glob(f"*{SUFFIX}")
    return path


def test_it_plays_the_recording(file, ib_recording):
    gateway = ib_recording(file, speed=math.inf)
    assert a_session(gateway.port) == [("AAPL", 100), ("ES", -1)]
    gateway.assert_all_recorded()


def test_two_at_a_time(file, ib_recording):
    one, other = ib_recording(file, speed=math.inf), ib_recording(file, speed=math.inf)
    assert one.port != other.port
    assert a_session(one.port) == a_session(other.port)


def test_what_is_missing(file, ib_recording):
    async def ask(port):
        ib = IB()
        await ib.connectAsync("127.0.0.1", port, clientId=7)
        await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
        over = asyncio.get_running_loop().create_future()
        ib.client.conn.disconnected.connect(lambda _: over.set_result(None))
        ib.disconnect()
        await over

    gateway = ib_recording(file, speed=math.inf)
    asyncio.run(ask(gateway.port))
    with pytest.raises(AssertionError, match=r"not in .*: reqContractDetails .*symbol=AAPL"):
        gateway.assert_all_recorded()


def test_it_is_looked_for_beside_the_test_and_in_the_current_directory(file, ib_recording, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert ib_recording(file.name).recording.path.name == file.name
    with pytest.raises(RecordingError, match="is not a recording"):
        ib_recording("test_fixture.py")
    with pytest.raises(FileNotFoundError):
        ib_recording("nowhere")


def test_a_file_that_is_nowhere(ib_recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        ib_recording("nowhere.ibkr.jsonl")
    for place in ("nowhere.ibkr.jsonl", str(Path(__file__).parent), str(tmp_path)):
        assert place in str(caught.value)
