"""The proxy is transparent for bytes, back-pressure and connection ends; and it reports the traffic."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import struct

import pytest
from ib_async import MarketOrder

from ibkr.proxy import Proxy
from ibkr.proxy.message_catalog import GATEWAY_MESSAGES, STREAM_MESSAGES, drop_stream_messages
from ibkr.proxy.observer_queue import ObserverQueue
from ibkr.simulator import Gateway
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes, version_frame
from tests.fixture_types import AAPL
from tests.proxy.tee import Tee
from tests.proxy.test_cleaning import _Filled

HELLO = hello_bytes(ClientHello(157, 178))
VERSION = version_frame(178, "20261129 10:00:00 UTC")


@pytest.fixture
async def pair(plain, new_proxy, connect):
    """A proxy, a client of it, and the gateway's side."""
    proxy = await new_proxy(plain.port)
    client = await connect(proxy.port)
    return proxy, client, await plain.next()


async def test_a_gateway_whose_host_cannot_be(connect):
    async with Proxy("a..b", 4002) as proxy:
        client = await connect(proxy.port)
        assert await client.read_to_end() == b""


def kinds_of_bytes():
    """Conversations that follow the API, that do not, and that do in part."""
    rng = random.Random(7)
    tick = frame(encode_fields(1, 6, 9000, 4, 202.55, 2, 0))
    return {
        "api": (HELLO + frame(encode_fields(71, 2, 1, "")), VERSION + tick * 5000),
        "noise": (rng.randbytes(70_000), rng.randbytes(70_000)),
        "http": (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "too long": (HELLO + b"\xff\xff\xff\xff" + b"x" * 100, VERSION + tick + b"\xff\xff\xff\xffrest"),
        "no version": (HELLO, frame(b"hello\0you\0") + tick),
        "parts": (HELLO[:7], VERSION[:3]),
        "undecodable": (HELLO + frame(b"\xff\xfe\0\0\0"), VERSION + frame(b"61\x0099\0\xff\0") + frame(b"")),
        "protobuf": (
            HELLO + frame(b"\0\0\1\x0f" + b"\xff" * 9),
            version_frame(226, "x") + frame(b"\0\0\0\xcc\xff\xff"),
        ),
    }


@pytest.mark.parametrize("name", list(kinds_of_bytes()))
async def test_bytes_pass_as_they_are_in_both_directions(pair, name):
    _, client, gateway = pair
    up, down = kinds_of_bytes()[name]
    chance = random.Random(name)
    for start in range(0, max(len(up), len(down)), 4096):  # send pieces that do not match the frames
        size = chance.randrange(1, 4096)
        for data, source, target in ((up, client, gateway), (down, gateway, client)):
            for piece in (data[start : start + size], data[start + size : start + 4096]):
                if piece:
                    await source.write(piece)
                    assert await target.read(len(piece)) == piece


async def test_half_a_frame_is_not_kept_waiting(pair):
    _, client, gateway = pair
    await client.write(HELLO)
    await gateway.write(VERSION + b"\0\0\1\0half")
    assert await client.read(len(VERSION) + 8) == VERSION + b"\0\0\1\0half"


@pytest.mark.parametrize("first", ["client", "gateway"])
async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(pair, first):
    proxy, client, gateway = pair
    one, other = (client, gateway) if first == "client" else (gateway, client)
    await one.write(b"last words")
    one.writer.write_eof()
    assert await other.read_to_end() == b"last words"
    await other.write(b"still there")
    assert await one.read(11) == b"still there"
    other.writer.write_eof()
    assert await one.read_to_end() == b""
    await proxy.wait_for(lambda proxy: not proxy.connections)


@pytest.mark.parametrize("first", ["client", "gateway"])
async def test_a_reset_is_passed_on(pair, first):
    proxy, client, gateway = pair
    one, other = (client, gateway) if first == "client" else (gateway, client)
    raw = one.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.writer.transport.abort()
    with pytest.raises(ConnectionResetError):
        await other.read_to_end()
    await proxy.wait_for(lambda proxy: not proxy.connections)


@pytest.mark.parametrize("slow", ["client", "gateway"])
async def test_who_does_not_read_makes_the_other_wait(pair, slow):
    _, client, gateway = pair
    sender = gateway if slow == "client" else client
    block, written = os.urandom(1 << 20), 0

    async def write() -> None:
        nonlocal written
        while True:
            sender.writer.write(block)
            await sender.writer.drain()
            written += len(block)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write(), 0.5)
    assert written < 40 << 20  # only what the buffers of the kernel and the proxy can take
    reader = client if slow == "client" else gateway
    async with asyncio.timeout(10):
        assert await reader.reader.readexactly(1 << 20) == block


async def test_each_client_has_a_connection_of_its_own(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port)
    clients = [await connect(proxy.port) for _ in range(3)]
    gateways = [await plain.next() for _ in range(3)]
    for number, client in enumerate(clients):
        await client.write(b"%d" % number)
    assert sorted([await gateway.read(1) for gateway in gateways]) == [b"0", b"1", b"2"]


async def test_a_gateway_that_refuses(new_proxy, connect, caplog):
    caplog.set_level(logging.INFO, "ibkr.proxy")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    proxy = await new_proxy(port)
    client = await connect(proxy.port)
    assert await client.read_to_end() == b""
    await proxy.wait_for(lambda proxy: not proxy.connections)
    assert f"cannot connect to the gateway at 127.0.0.1:{port}" in caplog.text


async def test_a_stopped_proxy_leaves_nothing(plain, connect):
    async with Proxy("127.0.0.1", plain.port) as proxy:
        client = await connect(proxy.port)
        await plain.next()
        with pytest.raises(RuntimeError, match="already listens"):
            await proxy.start()
    assert not proxy.connections
    assert await client.read_to_end() == b""
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_beyond_loopback_it_warns(plain, new_proxy, caplog):
    await new_proxy(plain.port, host="0.0.0.0")
    assert "anybody who reaches it can use the gateway" in caplog.text


async def test_hostile_bytes_are_reported_once_and_others_go_on(plain, new_proxy, connect, caplog):
    proxy = await new_proxy(plain.port)
    bad, good = await connect(proxy.port), await connect(proxy.port)
    one, two = await plain.next(), await plain.next()
    await bad.write(b"\x00\xff" * 100)
    await bad.write(b"\x00\xff" * 100)
    assert await one.read(400) == b"\x00\xff" * 200
    await good.write(HELLO)
    assert await two.read(len(HELLO)) == HELLO
    [record] = caplog.records
    assert record.getMessage().startswith("1: the client does not speak the API")


@pytest.mark.parametrize("broken", ["add_requests", "add_gateway_messages"])
async def test_a_mistake_of_ours_does_not_end_the_session(gateway, new_proxy, ib, caplog, monkeypatch, broken):
    def fail(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(ObserverQueue, broken, fail)
    proxy = await new_proxy(gateway.port)
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    assert len(ib.positions()) == 2
    ib.disconnect()
    assert "internal error; the connection continues" in caplog.text


async def test_it_tells_what_passes(gateway, new_proxy, ib, caplog):
    caplog.set_level(logging.INFO, "ibkr.proxy")
    proxy = await new_proxy(gateway.port)
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    assert proxy.client_ids == [7]
    ib.disconnect()
    await proxy.wait_for(lambda proxy: not proxy.connections)
    lines = [record.getMessage() for record in caplog.records if record.name == "ibkr.proxy"]
    assert lines[0].startswith("1: a client from 127.0.0.1:")
    assert lines[1] == "1: version 178; the client offers 157 to 178"
    assert "1 -> startApi client_id=7" in lines
    assert "1 <- nextValidId order_id=1" in lines
    assert any(line.startswith("1 <- error req_id=-1 code=2104 text=Market data farm") for line in lines)
    assert any(line.startswith("1 <- position account=") and "symbol=AAPL" in line for line in lines)
    assert lines[-1] == "1: over: closed by the client"
    assert "DU1234567" not in caplog.text


@pytest.mark.parametrize(
    ("show", "seen", "unseen"),
    [
        (["errors"], "<- error", "position"),
        (["orders", "account"], "<- position", "error"),
        (["session"], "startApi", "positionEnd"),
    ],
)
async def test_it_tells_only_what_is_requested(gateway, new_proxy, ib, caplog, show, seen, unseen):
    caplog.set_level(logging.INFO, "ibkr.proxy")
    proxy = await new_proxy(gateway.port, show=show)
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    ib.disconnect()
    await proxy.wait_for(lambda proxy: not proxy.connections)
    messages = [line for line in caplog.messages if line.startswith(("1 ->", "1 <-"))]
    assert any(seen in line for line in messages)
    assert not any(unseen in line for line in messages)


def test_nothing_else_can_be_shown():
    with pytest.raises(ValueError, match="there is no category prices; choose from: session, orders"):
        Proxy(show=["prices"])


@pytest.mark.parametrize("version", [157, 178])
async def test_a_complete_session_is_the_same_before_and_behind_it(new_proxy, ib, version):
    async with Gateway(server_version=version, id_hold=0) as gateway:
        with Tee(gateway.port) as behind:
            proxy = await new_proxy(behind.port)
            with Tee(proxy.port) as before:
                await ib.connectAsync("127.0.0.1", before.port, clientId=7)
                ticker = ib.reqMktData(AAPL)
                trade = ib.placeOrder(AAPL, MarketOrder("BUY", 10))
                while not (trade.isDone() and ticker.bid > 0):
                    await ib.updateEvent
                ib.disconnect()
                await gateway.wait_for(lambda gateway: gateway.client_ids == [])
                await proxy.wait_for(lambda proxy: not proxy.connections)
    [inner], [outer] = behind.passed, before.passed
    assert bytes(outer.up) == bytes(inner.up)
    assert bytes(inner.down).startswith(bytes(outer.down))
    assert len(outer.down) > 5000


def test_what_streams_is_reported_by_its_first_bytes():
    for name, layout in GATEWAY_MESSAGES.items():
        for version in (178, 201, 226):
            body = layout.encode(version, **_Filled(name).values(layout.fields))
            assert drop_stream_messages([body]) == ([] if name in STREAM_MESSAGES else [body]), name
