"""A recording replays to ib_async as the gateway did: the same tickers, positions, trades and errors."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re

import pytest
from ib_async import IB, MarketOrder, Stock

from ibkr.proxy import Recording, ReplayGateway
from ibkr.proxy.message_catalog import STREAM_MESSAGES
from ibkr.proxy.recording_writer import SUFFIX
from ibkr.simulator import Gateway
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes
from tests.fixture_types import STOCKS
from tests.proxy.random_program import ACCOUNTS, Program, until
from tests.proxy.raw_session import raw_session


async def record(new_proxy, directory, program, **options):
    """The results of a program with a simulated gateway, and its recording."""
    async with Gateway(accounts=ACCOUNTS, id_hold=0, on_rate="off", **options) as gateway:
        proxy = await new_proxy(gateway.port, record=directory)
        outcome = await program.run(IB(), proxy.port)
        await proxy.wait_for(lambda proxy: not proxy.connections)
    [path] = directory.glob(f"*{SUFFIX}")
    return outcome, Recording.read(path)


def renamed(value, names):
    """The value, with other account ids."""
    return re.sub("|".join(names), lambda match: names[match[0]], repr(value))


async def same_again(new_proxy, directory, seed, steps, ticks=0, **options):
    outcome, recording = await record(new_proxy, directory, Program(seed, steps, ticks), **options)
    async with ReplayGateway(recording, speed=math.inf) as replay:
        again = Program(seed, steps)
        replayed = await again.run(IB(), replay.port)
        assert list(replay.missing) == []
    names = dict(zip(ACCOUNTS, again.accounts, strict=True))
    assert set(names) & set(names.values()) == set()
    for what, found in outcome.items():
        assert renamed(found, names) == repr(replayed[what]), what
    return recording


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_session_played_to_ib_async_is_the_same(new_proxy, tmp_path, seed):
    await same_again(new_proxy, tmp_path, seed, steps=8)


@pytest.mark.rest
@pytest.mark.parametrize("seed", range(100, 160))
async def test_random_sessions_played_to_ib_async_are_the_same(new_proxy, tmp_path, seed):
    await same_again(new_proxy, tmp_path, seed, steps=25)


@pytest.mark.rest
async def test_a_session_of_ten_thousand_messages(new_proxy, tmp_path):
    recording = await same_again(new_proxy, tmp_path, 1, steps=60, ticks=10_000, tick_interval=0.005)
    assert len(recording.entries) > 10_000
    text = recording.path.read_text() + "".join((entry.body or b"").decode("latin-1") for entry in recording.entries)
    for secret in (*ACCOUNTS, "Jane"):
        assert secret not in text


@pytest.fixture
async def replay_of(new_proxy, tmp_path):
    """Records a program, and replays it."""
    replays = []

    async def make(program, speed=math.inf):
        _, recording = await record(new_proxy, tmp_path, program)
        replays.append(ReplayGateway(recording, speed=speed))
        await replays[-1].start()
        return replays[-1]

    yield make
    for replay in replays:
        await replay.stop()


class Watching(Program):
    """A program with one ticker, for some ticks."""

    async def run(self, ib, port, client_id=7, account_of=None):
        await ib.connectAsync("127.0.0.1", port, clientId=client_id)
        ticker = ib.reqMktData(STOCKS[0])
        times = []
        ticker.updateEvent += lambda _: times.append(asyncio.get_running_loop().time())
        await until(ib, lambda: len(times) >= 6)
        ib.disconnect()
        return times


async def test_streams_keep_their_timing(replay_of, ib):
    replay = await replay_of(Watching(0, 0), speed=2)
    recorded = [entry.at for entry in replay.recording.entries if entry.name == "tickPrice"]
    times = await Watching(0, 0).run(ib, replay.port)
    assert times[-1] - times[0] > 0.3 * (recorded[-1] - recorded[0]) > 0


async def test_other_ids_are_those_of_the_client(replay_of, ib):
    replay = await replay_of(Program(3, 8))
    again = Program(3, 8)
    ib.client.updateReqId(5000)
    outcome = await again.run(ib, replay.port, client_id=91)
    assert all(trade[0] >= 5000 for trade in outcome["trades"])
    assert outcome["trades"]
    assert all(trade.orderStatus.clientId in (0, 91) for trade in again.trades)
    assert list(replay.missing) == []


async def test_what_is_not_in_the_recording_is_an_error(replay_of, ib):
    replay = await replay_of(Program(0, 1))
    errors = []
    ib.errorEvent += lambda *error: errors.append(error[:3])
    await ib.connectAsync("127.0.0.1", replay.port, clientId=7)
    assert await ib.reqContractDetailsAsync(Stock("OTHER", "SMART", "USD")) == []
    trade = ib.placeOrder(STOCKS[0], MarketOrder("BUY", 1))
    await until(ib, trade.isDone)
    told = [(code, text) for _, code, text in errors if "not in the recording" in text]
    assert told == [(322, "reqContractDetails is not in the recording"), (201, "placeOrder is not in the recording")]
    assert any("symbol=OTHER" in missing for missing in replay.missing)
    ib.disconnect()


async def test_nothing_personal_is_logged(replay_of, ib, caplog):
    replay = await replay_of(Program(0, 1))
    caplog.set_level("INFO", "ibkr.proxy")
    await ib.connectAsync("127.0.0.1", replay.port, clientId=7)
    trade = ib.placeOrder(STOCKS[0], MarketOrder("BUY", 1, account="U7654321", orderRef="strategy of Jane"))
    await until(ib, trade.isDone)
    ib.disconnect()
    assert "placeOrder" in caplog.text
    said = "".join(record.getMessage() for record in caplog.records if record.name == "ibkr.proxy")
    assert "U7654321" not in said
    assert "Jane" not in said


async def test_a_client_of_another_version_is_closed(replay_of, connect, caplog):
    replay = await replay_of(Program(0, 1))
    client = await connect(replay.port)
    await client.write(hello_bytes(ClientHello(213, 226)))
    assert await client.read_to_end() == b""
    assert "the recording has version 178" in caplog.text


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", hello_bytes(ClientHello(100, 178)) + b"\xff\xff\xff\xff"],
)
async def test_hostile_bytes_end_that_client_alone(replay_of, connect, data):
    replay = await replay_of(Program(0, 1))
    client = await connect(replay.port)
    await client.write(data)
    with contextlib.suppress(ConnectionResetError):
        await client.read_to_end()
    other = await connect(replay.port)
    await other.write(hello_bytes(ClientHello(100, 178)))
    assert await other.read(4)


async def test_garbage_requests_are_survived(replay_of, connect):
    replay = await replay_of(Program(0, 1))
    client = await connect(replay.port)
    await client.write(hello_bytes(ClientHello(100, 178)))
    chance = random.Random(1)
    await client.write(frame(encode_fields(71, 2, 5, "")))
    for _ in range(200):
        await client.write(frame(chance.randbytes(chance.randrange(40))))
        await client.write(frame(encode_fields(chance.randrange(110), chance.randrange(9), "x")))
    await client.write(frame(encode_fields(49, 1)))
    seen = b""
    while b"49\0" not in seen:  # 49 is the answer to the last request
        seen += await client.reader.read(65536)


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_an_impossible_speed(speed, tmp_path):
    with pytest.raises(ValueError, match="speed"):
        ReplayGateway(None, speed=speed)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [157, 200, 206, 226])
async def test_any_version_plays_as_it_was(new_proxy, connect, tmp_path, version):
    async with Gateway(accounts=ACCOUNTS, server_version=version, id_hold=0) as gateway:
        proxy = await new_proxy(gateway.port, record=tmp_path / "real")
        await raw_session(connect, proxy, version, ACCOUNTS, "mine")
    [path] = (tmp_path / "real").glob(f"*{SUFFIX}")
    recording = Recording.read(path)
    accounts = next(entry.fields["accounts"] for entry in recording.entries if entry.name == "managedAccounts")
    async with ReplayGateway(recording, speed=math.inf) as replay:
        proxy = await new_proxy(replay.port, record=tmp_path / "again", keeps_private=True)
        await raw_session(connect, proxy, version, tuple(accounts.split(",")), "mine")
        assert list(replay.missing) == []
    [path] = (tmp_path / "again").glob(f"*{SUFFIX}")
    again = Recording.read(path)
    assert told(again) == told(recording)
    assert len(told(again)) > 30


def told(recording):
    """Return what the gateway has sent, except streams, in any order."""
    bodies = [entry.body for entry in recording.entries if not entry.is_request and entry.name not in STREAM_MESSAGES]
    return sorted(bodies)
