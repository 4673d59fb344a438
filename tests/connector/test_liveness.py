"""Bytes do not prove that a gateway works: it must send messages that can be decoded, and must answer."""

from __future__ import annotations

import asyncio
import struct

import pytest

from ibkr import ConnectionState, IBConnector, NotReady
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Back, Make, NextTick, StateOf, Ticking

READY = ConnectionState.READY
QUICK = {
    "probe_after": 0.2,
    "probe_apart": 0.05,
    "suspect_after": 0.1,
    "probe_timeout": 0.3,
    "probe_every": 0.4,
    "lateness_tolerance": 0.2,
}
ENDLESS = struct.pack(">I", 16 * 1024 * 1024)


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


async def is_refused(connector: IBConnector, max_age: float) -> None:
    with pytest.raises(NotReady):
        await connector.ensure_fresh_async(max_age)


async def test_a_wrong_length_prefix_makes_it_suspect_then_dead_though_bytes_flow(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, back: Back, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK)
    (client,) = gateway._state.clients
    client.send_raw(ENDLESS)
    await state_of(connector, lambda status: status.state is not READY, within=5)
    await is_refused(connector, 0.05)
    await back(connector)
    await next_tick(ticker)
    assert gateway.seen.connects == 2


async def test_a_byte_now_and_then_in_a_message_that_never_ends_is_no_life(
    gateway: Gateway, make: Make, state_of: StateOf, back: Back
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    (client,) = gateway._state.clients
    client.send_raw(ENDLESS)

    async def drip() -> None:
        while True:
            client.send_raw(b"1")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        await state_of(connector, lambda status: status.state is not READY, within=5)
        await is_refused(connector, 0.05)
    finally:
        dripping.cancel()
    await back(connector)


async def test_prices_flow_and_nobody_reads_what_we_send(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK)
    await connector.ensure_fresh_async(0.1)
    await gateway.fault("mute", "reqCurrentTime")
    status = await state_of(connector, lambda status: status.state is not READY, within=5)
    assert (status.state, status.session, status.may_trade) == ("DEGRADED", "suspect", False)
    await is_refused(connector, 0.1)
    await next_tick(ticker)
    await gateway.fault("clear")
    await connector.wait_ready_async(5)
    await connector.ensure_fresh_async(0.1)
    assert gateway.seen.connects == 1


async def test_fresh_is_what_has_answered_and_not_what_has_sent(gateway: Gateway, ticking: Ticking) -> None:
    connector, _ = await ticking(probe_after=60.0, probe_apart=0.01)
    await connector.ensure_fresh_async(60)
    asked = len(gateway.seen.received("reqCurrentTime"))
    await connector.ensure_fresh_async(0)
    assert len(gateway.seen.received("reqCurrentTime")) == asked + 1
    await connector.ensure_fresh_async(60)
    assert len(gateway.seen.received("reqCurrentTime")) == asked + 1


async def test_while_messages_flow_an_answer_may_take_longer(gateway: Gateway, ticking: Ticking) -> None:
    """For example, the gateway collects garbage, and reads our request afterwards."""
    connector, _ = await ticking(**QUICK | {"probe_after": 60.0, "probe_every": 60.0})
    await gateway.fault("delay_message", "currentTime", 0.3)
    await connector.ensure_fresh_async(0)
    assert connector.status.state is READY


@pytest.mark.parametrize(
    "body",
    [
        b"4\x002\x00" + b"9" * 5000 + b"\x002104\x00Market data farm connection is OK:usfarm\x00",
        b"1\x006\x00" + b"9" * 5000 + b"\x001\x00230.5\x00100\x000\x00",
        b"9" * 5000 + b"\x001\x00",
        b"17\x00" + b"1" * 5000 + b"\x00",
        b"9\x001\x00" + b"1" * 5000 + b"\x00",
        b"90\x00" + b"1" * 5000 + b"\x00",
        b"\xff\xfe\x00\x00",
        b"",
    ],
    ids=["error", "tick", "message id", "bars", "next id", "bar", "no text", "nothing"],
)
async def test_a_field_that_is_no_number_of_a_sensible_size_ends_nothing(
    body: bytes, gateway: Gateway, ticking: Ticking, next_tick: NextTick
) -> None:
    connector, ticker = await ticking()
    connector.ib.reqMktData(AAPL, "233")  # this stream still waits for its first message
    (client,) = gateway._state.clients
    client.send_raw(struct.pack(">I", len(body)) + body)
    await next_tick(ticker)
    await connector.ib.reqCurrentTimeAsync()
    assert (connector.status.state, gateway.seen.connects) == (READY, 1)


HELLO = b"178\x0020260302 14:30:00 UTC\x00"


@pytest.mark.parametrize(
    "bodies",
    [[b"1" * 5000 + b"\x0020260302 14:30:00 UTC\x00"], [HELLO, b"9\x001\x00" + b"1" * 5000 + b"\x00"]],
    ids=["version", "next id"],
)
async def test_such_a_field_before_there_is_a_session_ends_the_attempt_and_is_reported(
    bodies: list[bytes], make: Make
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in bodies:
            writer.write(struct.pack(">I", len(body)) + body)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connector = make(port=server.sockets[0].getsockname()[1], timeout=0.3, connect_attempts=1)
        with pytest.raises(ConnectionError):
            await connector.connect_async()
    assert connector.status.state == "FAILED"
