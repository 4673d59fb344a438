"""A connector that records its own sessions."""

from __future__ import annotations

import pytest
from ib_async import MarketOrder

from ibkr import ConfigError, IBConnector, load_config
from ibkr.proxy import Recording
from ibkr.proxy.recording_writer import SUFFIX
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import AAPL


def files(directory):
    return sorted(directory.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)


async def test_every_session_is_in_a_file_without_what_is_personal(gateway, tmp_path):
    async with IBConnector("127.0.0.1", gateway.port, 7, record=tmp_path) as connector:
        order = MarketOrder("BUY", 5, account="DU1234567", orderRef="strategy of Jane")
        trade = connector.ib.placeOrder(AAPL, order)
        while not trade.isDone():
            await trade.statusEvent
        gateway.faults.reset()
        await gateway.wait_for(lambda gateway: len(gateway.seen.sessions) == 2)
        await connector.wait_ready_async(10)
    first, second = map(Recording.read, files(tmp_path))
    names = [entry.name for entry in first.entries]
    assert names[0] == "startApi"
    assert {"placeOrder", "openOrder", "execDetails", "positionEnd"} <= set(names)
    assert "reset" in first.end.lower()
    assert second.end
    assert second.entries[0].name == "startApi"
    for path in files(tmp_path):
        assert "DU1234567" not in path.read_text()
        assert "Jane" not in path.read_text()
    assert all(entry.fields is not None for entry in (*first.entries, *second.entries))


def test_in_a_plain_script(script_loop, tmp_path):
    with ThreadedGateway(id_hold=0) as gateway:
        with IBConnector("127.0.0.1", gateway.port, 7, record=tmp_path) as connector:
            connector.ib.placeOrder(AAPL, MarketOrder("BUY", 5))
            connector.ib.client.reqMktData(connector.ib.client.getReqId(), AAPL, "", False, False, [])
        [path] = files(tmp_path)
    sent = [entry.name for entry in Recording.read(path).entries if entry.is_request]
    assert sent[-2:] == ["placeOrder", "reqMktData"]


async def test_without_it_nothing_is_recorded(gateway, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with IBConnector("127.0.0.1", gateway.port, 7):
        pass
    assert list(tmp_path.iterdir()) == []


async def test_a_setting(gateway, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IBKR_RECORD", "recorded")
    async with IBConnector.from_config(load_config(port=gateway.port)):
        pass
    assert len(files(tmp_path / "recorded")) == 1


@pytest.mark.parametrize("record", ["file/in", 5])
def test_a_folder_that_cannot_be(tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises((ConfigError, TypeError), match=r"ibkr.record|expected str"):
        IBConnector("127.0.0.1", 1, 7, record=record)


async def test_a_disk_that_is_full_does_not_end_the_session(gateway, tmp_path, caplog):
    async with IBConnector("127.0.0.1", gateway.port, 7, record=tmp_path) as connector:
        for path in files(tmp_path):
            path.unlink()
        tmp_path.rmdir()
        gateway.faults.reset()
        await gateway.wait_for(lambda gateway: len(gateway.seen.sessions) == 2)
        await connector.wait_ready_async(10)
        assert connector.may_trade
    assert "The connection continues" in caplog.text
