"""Recordings: the content of the file, its robustness, and its maximum size."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys

import pytest
from ib_async import LimitOrder, MarketOrder, Stock

from ibkr.proxy import Recording, RecordingError
from ibkr.proxy.recording_stats import compute_stats
from ibkr.proxy.recording_writer import SUFFIX
from ibkr.simulator import Gateway
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes, version_frame
from tests.proxy.raw_session import raw_session

ACCOUNTS = ("DU7654321", "DU7654322")
REFERENCE = "momentum by Jane"


@pytest.fixture(params=[178, 226])
async def two_accounts(request):
    async with Gateway(accounts=ACCOUNTS, server_version=request.param, id_hold=0) as gateway:
        yield gateway


def files(directory):
    return sorted(directory.glob(f"*{SUFFIX}"))


async def trade(ib, proxy, account):
    """A session with an order that is filled and one that is cancelled."""
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    [apple] = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    ticker = ib.reqMktData(apple)
    bought = ib.placeOrder(apple, MarketOrder("BUY", 10, account=account, orderRef=REFERENCE))
    resting = ib.placeOrder(apple, LimitOrder("BUY", 1, 1.0, account=account, orderRef=REFERENCE))
    while not (bought.isDone() and resting.orderStatus.status == "Submitted" and ticker.bid > 0):
        await ib.updateEvent
    ib.cancelOrder(resting.order)
    while not resting.isDone():
        await ib.updateEvent
    ib.disconnect()
    await proxy.wait_for(lambda proxy: not proxy.connections)


async def test_a_session_in_a_file(gateway, new_proxy, ib, tmp_path):
    proxy = await new_proxy(gateway.port, record=tmp_path)
    await trade(ib, proxy, "DU1234567")
    [path] = files(tmp_path)
    recording = Recording.read(path)
    assert recording.header.server_version == 178
    assert recording.header.client_versions == (157, 178)
    assert not recording.header.is_private
    assert recording.end == "closed by the client"
    names = [entry.name for entry in recording.entries]
    assert names[:3] == ["startApi", "managedAccounts", "nextValidId"]
    assert {"placeOrder", "openOrder", "orderStatus", "execDetails", "commissionReport", "tickPrice"} <= set(names)
    assert all(entry.fields is not None for entry in recording.entries)
    times = [entry.at for entry in recording.entries]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= recording.duration < 30
    first = json.loads(path.read_text().splitlines()[1])
    assert first["from"] == "client"
    assert first["fields"] == {"client_id": 7, "optional_capabilities": ""}
    assert base64.b64decode(first["frame"]) == frame(encode_fields(71, 2, 7, ""))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
async def test_nobody_else_may_read_it(gateway, new_proxy, ib, tmp_path):
    proxy = await new_proxy(gateway.port, record=tmp_path / "made")
    await trade(ib, proxy, "")
    assert stat.S_IMODE(files(tmp_path / "made")[0].stat().st_mode) == 0o600


def everything(path):
    """The raw file and all its frames."""
    frames = [json.loads(line).get("frame") for line in path.read_text().splitlines()]
    return path.read_bytes() + b"".join(base64.b64decode(each) for each in frames if each)


async def test_nothing_personal_is_in_it(two_accounts, new_proxy, connect, tmp_path):
    proxy = await new_proxy(two_accounts.port, record=tmp_path)
    await raw_session(connect, proxy, two_accounts._settings.server_version, ACCOUNTS, REFERENCE)
    [path] = files(tmp_path)
    held = everything(path)
    assert held.count(b"Filled") >= 2
    for secret in (*ACCOUNTS, REFERENCE, "Jane"):
        assert secret.encode() not in held
    assert b"DU0000001" in held
    assert b"DU0000002" in held


async def test_kept_private_it_is_as_it_was(gateway, new_proxy, ib, tmp_path, caplog):
    proxy = await new_proxy(gateway.port, record=tmp_path, keeps_private=True)
    assert "do not share them" in caplog.text
    await trade(ib, proxy, "DU1234567")
    [path] = files(tmp_path)
    assert Recording.read(path).header.is_private
    assert REFERENCE.encode() in everything(path)
    assert b"DU1234567" in everything(path)


async def test_a_long_session_goes_on_in_parts(plain, new_proxy, connect, tmp_path):
    proxy = await new_proxy(plain.port, record=tmp_path, max_file=20_000)
    sent = await many_times(proxy, plain, connect, 1000)
    parts = files(tmp_path)
    assert len(parts) > 3
    assert all(path.stat().st_size < 60_000 for path in parts)
    first = min(parts, key=lambda path: len(path.name))
    recording = Recording.read(first)
    assert [entry.fields["time"] for entry in recording.entries] == sent
    assert recording.end == "closed by the gateway"
    alone = Recording.read(next(path for path in parts if ".part2" in path.name))
    assert 0 < len(alone.entries) < 1000


async def test_all_recordings_together_are_bounded(plain, new_proxy, connect, tmp_path, caplog):
    proxy = await new_proxy(plain.port, record=tmp_path, max_file=20_000, max_total=50_000)
    sent = await many_times(proxy, plain, connect, 1500)
    assert sum(path.stat().st_size for path in files(tmp_path)) < 100_000
    assert "deleted the oldest recording" in caplog.text
    parts = sorted(files(tmp_path), key=lambda path: path.stat().st_mtime)
    assert [entry.fields["time"] for part in parts for entry in Recording.read(part).entries][-1] == sent[-1]


async def many_times(proxy, plain, connect, count):
    """A session with this many messages currentTime, in pieces."""
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(hello_bytes(ClientHello(157, 178)))
    await peer.read(len(hello_bytes(ClientHello(157, 178))))
    await peer.write(version_frame(178, "20261129 10:00:00 UTC"))
    for start in range(0, count, 50):
        data = b"".join(frame(encode_fields(49, 1, number)) for number in range(start, start + 50))
        await peer.write(data)
        await client.reader.read(len(data))
    peer.writer.write_eof()
    await client.read_to_end()
    client.writer.write_eof()
    await proxy.wait_for(lambda proxy: not proxy.connections)
    return list(range(count))


def made(tmp_path, *lines, end="\n"):
    path = tmp_path / f"x{SUFFIX}"
    header = {
        "ibkr_recording": 1, "started": "x", "program": "x", "server_version": 178, "connection_time": "x",
        "client_versions": [157, 178], "is_private": False,
    }  # fmt: skip
    texts = [line if isinstance(line, str) else json.dumps(line) for line in (header, *lines)]
    path.write_text("\n".join(texts) + end)
    return path


LINE = {
    "t": 1.5, "from": "gateway", "name": "nextValidId", "fields": {"order_id": 5},
    "frame": base64.b64encode(frame(encode_fields(9, 1, 5))).decode(),
}  # fmt: skip


@pytest.mark.parametrize("cut", range(1, len(json.dumps(LINE)) + 1, 7))
def test_an_incomplete_last_line_does_not_count(tmp_path, cut):
    path = made(tmp_path, LINE, json.dumps(LINE)[:cut], end="")
    recording = Recording.read(path)
    assert [entry.fields for entry in recording.entries] == [{"order_id": 5}]
    assert (recording.end, recording.duration) == ("", 1.5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 3 is damaged"),
        ("[1]", "line 3: not a line of a recording"),
        ({**LINE, "t": None}, "line 3: not a line"),
        ({**LINE, "t": "inf"}, "line 3: not a line"),
        ({**LINE, "t": 10**400}, "line 3: not a line"),
        ('{"t": 1e999, "end": ""}', "line 3 is damaged: 1e999 is not a finite number"),
        ({**LINE, "fields": {"price": float("nan")}}, "line 3 is damaged: NaN is not a finite number"),
        ({**LINE, "from": "me"}, "line 3: not a line"),
        ({**LINE, "frame": "!!"}, "line 3: not a line"),
        ({**LINE, "frame": base64.b64encode(b"\0\0\0\x09abc").decode()}, "line 3: not a line"),
        ({key: value for key, value in LINE.items() if key != "name"}, "line 3: not a line"),
    ],
)
def test_a_damaged_line_is_reported(tmp_path, line, said):
    with pytest.raises(RecordingError, match=said):
        Recording.read(made(tmp_path, LINE, line, LINE))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a recording"),
        (b"\x89PNG\r\n\x1a\n", "is not a recording"),
        (b'{"ibkr_recording": 1}\n', "the header is damaged"),
        (b'{"ibkr_recording": 99}\n', "has format 99"),
        (b"{}\n", "is not a recording"),
    ],
)
def test_what_is_no_recording(tmp_path, content, said):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        Recording.read(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
async def test_a_full_disk_ends_the_recording_and_not_the_connection(gateway, new_proxy, ib, tmp_path, caplog):
    proxy = await new_proxy(gateway.port, record=tmp_path)
    real = proxy._recorder.create

    def full(stem):
        path, file = real(stem)
        file.close()
        return path, open("/dev/full", "wb", buffering=0)

    proxy._recorder.create = full
    await trade(ib, proxy, "")
    assert "No space left on device. The connection continues" in caplog.text
    assert "Traceback" not in caplog.text


async def test_statistics(gateway, new_proxy, ib, tmp_path):
    proxy = await new_proxy(gateway.port, record=tmp_path)
    await trade(ib, proxy, "")
    told = compute_stats(Recording.read(files(tmp_path)[0])).to_dict()
    assert told["requests"]["placeOrder"] == 2
    assert told["messages"]["managedAccounts"] == 1
    assert told["errors"]["202"] == 1
    assert told["round_trips"]["reqContractDetails"]["answered"] == 1
    assert 0 < told["round_trips"]["reqPositions"]["median_ms"] < 5000
    assert told["round_trips"]["placeOrder"]["answered"] == 2
    assert told["messages_per_second"] > 0
    assert told["not_known"] == 0


def test_silences(tmp_path):
    lines = [{**LINE, "t": at} for at in (0.0, 1.0, 9.5)]
    recording = Recording.read(made(tmp_path, *lines, {"t": 20.0, "end": "closed by the client"}))
    assert compute_stats(recording).silences == [(1.0, 8.5), (9.5, 10.5)]
