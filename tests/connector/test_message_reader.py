"""The reader passes all messages to the library, in order and in slices, and reads no faster than it works."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable
from unittest.mock import patch

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import IB, NewsBulletin

from ibkr import ConnectionState, IBConnector, SessionState, Status
from ibkr.session.library import contract, message_reader
from ibkr.simulator import Gateway
from ibkr.wire import encode_fields, frame
from tests.fixture_types import Back, Make, StateOf

from .adopted_ib import OPENING, reads

READY = ConnectionState.READY


def bulletins(numbers: Iterable[int]) -> bytes:
    """Messages that need no subscription. Each message includes its number."""
    return b"".join([frame(encode_fields(14, 1, number, 1, "text", "NYSE")) for number in numbers])


class Seen(list[int]):
    """The numbers of the bulletins, in the order in which the library's listeners get them."""

    def __init__(self, connector: IBConnector) -> None:
        self._came = asyncio.Event()
        connector.ib.newsBulletinEvent.connect(self._note, keep_ref=True)

    def _note(self, bulletin: NewsBulletin) -> None:
        self.append(bulletin.msgId)
        self._came.set()

    async def are(self, count: int) -> None:
        """Wait until there are this many."""
        async with asyncio.timeout(10):
            while len(self) < count:
                self._came.clear()
                await self._came.wait()


def receive(connector: IBConnector, data: bytes) -> None:
    """Feed these bytes to the connection, as the socket does."""
    connector.ib.client.conn.data_received(data)


@pytest.fixture
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a slice at the first look at the clock."""
    monkeypatch.setattr(message_reader, "SLICE", 0.0)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

MESSAGES = st.lists(st.binary(max_size=40), max_size=30)


HANDSHAKE = [encode_fields(15, 1, "DU1,DU2"), encode_fields(9, 1, 7)]


@given(
    st.permutations(HANDSHAKE),
    MESSAGES,
    st.binary(min_size=1, max_size=40),
    st.lists(st.integers(0, 1500), max_size=12),
)
def test_messages_are_cut_and_read_as_the_library_does(
    handshake: list[bytes], bodies: list[bytes], last: bytes, cuts: list[int]
) -> None:
    # The library reads an empty message only when the next byte comes, so the last message is not empty.
    bodies = [*handshake, *bodies, last]
    data = b"".join([frame(body) for body in bodies])
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    packets = [data[start:end] for start, end in itertools.pairwise(places)]

    def told(read_by: Callable[[IB], Callable[[bytes], None]]) -> tuple[list[list[str]], int, int]:
        ib = IB()
        ib.client.connState, ib.client._serverVersion = ib.client.CONNECTED, 178
        fields: list[list[str]] = []
        ib.client.decoder.interpret = fields.append  # type: ignore[method-assign]
        take = read_by(ib)
        for packet in packets:
            take(packet)
        return fields, ib.client._numBytesRecv, ib.client._numMsgRecv

    async def ours() -> tuple[list[list[str]], int, int]:
        def take(ib: IB) -> Callable[[bytes], None]:
            ib.client.connState, ib.client._serverVersion = ib.client.CONNECTING, 0
            return reads(ib, OPENING[0])

        return told(take)

    with patch.object(message_reader, "SLICE", math.inf):
        got = asyncio.run(ours())
    assert got == told(lambda ib: ib.client._onSocketHasData)


async def test_messages_that_arrive_while_the_session_is_announced_come_last(make: Make) -> None:
    """A status listener runs the loop, and the packet that opened the session ended with half a message."""
    connector = make()
    seen = Seen(connector)
    *whole, cut = [bulletins([number]) for number in range(3)]
    data_received = connector.ib.client.conn.data_received

    def with_more(data: bytes) -> None:
        data_received(b"".join([data, *whole, cut[:9]]) if frame(encode_fields(9, 1, 1)) in data else data)

    def turn_the_loop(status: Status) -> None:
        if status.state is ConnectionState.SYNCING and not turned:
            turned.append(status)
            receive(connector, cut[9:] + bulletins([3]))

    turned: list[Status] = []
    connector.ib.client.conn.data_received = with_more
    connector.on_status(turn_the_loop)
    await connector.connect_async()
    await seen.are(4)
    assert seen == [0, 1, 2, 3]
    assert connector.status.outages == 0


async def test_a_long_packet_is_worked_on_in_turns_and_reading_waits(make: Make, tiny_slices: None) -> None:
    connector = make()
    await connector.connect_async()
    seen = Seen(connector)
    receive(connector, bulletins(range(100)))
    steps = [len(seen)]
    while len(seen) < 100:
        await asyncio.sleep(0)
        steps.append(len(seen))
    assert seen == list(range(100))
    assert steps[0] == 0, "nothing is read inside the transport's own callback"
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(steps))
    await connector.ib.reqCurrentTimeAsync()


async def test_messages_that_arrive_during_a_slice_come_after_the_waiting_ones(make: Make, tiny_slices: None) -> None:
    """A listener runs the loop, and the transport delivers more bytes."""
    connector = make()
    await connector.connect_async()
    seen = Seen(connector)

    def more(bulletin: NewsBulletin) -> None:
        if bulletin.msgId in (5, 50):
            first = 1000 * bulletin.msgId
            receive(connector, bulletins(range(first, first + 20)))

    connector.ib.newsBulletinEvent.connect(more, keep_ref=True)
    receive(connector, bulletins(range(90)))
    await seen.are(130)
    assert [number for number in seen if number < 1000] == list(range(90))
    assert [number for number in seen if number >= 1000] == [*range(5000, 5020), *range(50000, 50020)]


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_a_megabyte_over_a_real_socket_on_every_loop(
    factory: Callable[[], asyncio.AbstractEventLoop], back: Back
) -> None:
    async def story() -> None:
        async with Gateway(id_hold=0) as gateway, IBConnector("127.0.0.1", gateway.port, 7) as connector:
            seen = Seen(connector)
            for outage in (1, 2):
                del seen[:]
                [client] = gateway._state.clients
                client.send_raw(bulletins(range(20_000)))
                await seen.are(20_000)
                assert seen == list(range(20_000))
                await connector.ib.reqCurrentTimeAsync()
                await gateway.fault("reset")
                await back(connector, outage)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())


async def test_after_a_disconnect_nothing_more_is_reported(make: Make, tiny_slices: None) -> None:
    connector = make()
    await connector.connect_async()
    seen = Seen(connector)

    def enough(bulletin: NewsBulletin) -> None:
        if bulletin.msgId == 20:
            connector.ib.disconnect()

    connector.ib.newsBulletinEvent.connect(enough, keep_ref=True)
    receive(connector, bulletins(range(100)))
    await seen.are(21)
    await connector.disconnect_async()
    assert seen == list(range(21))
    assert await connector.connect_async()


async def test_all_that_came_before_the_end_is_reported_before_it(make: Make, tiny_slices: None) -> None:
    connector = make()
    await connector.connect_async()
    seen = Seen(connector)
    at_the_end: list[int] = []
    connector.ib.disconnectedEvent.connect(lambda: at_the_end.append(len(seen)), keep_ref=True)
    receive(connector, bulletins(range(100)))
    connector.ib.client.conn.transport.abort()  # type: ignore[union-attr]
    connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connector.ib.connectedEvent.connect(lambda: connected.set_result(None), keep_ref=True)
    await asyncio.wait_for(connected, 10)
    assert at_the_end == [100]


async def test_complete_messages_before_an_absurd_one_are_reported(
    make: Make, state_of: StateOf, tiny_slices: None
) -> None:
    connector = make()
    await connector.connect_async()
    seen = Seen(connector)
    lost = asyncio.ensure_future(state_of(connector, lambda status: status.state is not READY))
    await asyncio.sleep(0)
    receive(connector, bulletins(range(40)) + b"\x7f\xff\xff\xff")
    assert seen == list(range(40))
    assert "2,147,483,647 bytes" in (await lost).reason


async def test_time_spent_on_received_messages_is_no_silence(make: Make, tiny_slices: None) -> None:
    connector = make(probe_after=0.1, probe_apart=0.1, suspect_after=0.1, probe_timeout=0.2)
    await connector.connect_async()
    suspects: list[Status] = []

    def look(status: Status) -> None:
        if status.session is SessionState.SUSPECT or status.state is not READY:
            suspects.append(status)

    connector.on_status(look)
    connector.ib.newsBulletinEvent.connect(lambda _: time.sleep(0.002), keep_ref=True)
    seen = Seen(connector)
    receive(connector, bulletins(range(400)))
    await seen.are(400)
    assert not suspects


async def test_a_long_pause_is_reported_once(
    make: Make,
    tiny_slices: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(message_reader, "LONG_PAUSE", 0.5)
    connector = make()
    await connector.connect_async()
    connector.ib.newsBulletinEvent.connect(lambda _: time.sleep(0.01), keep_ref=True)
    seen = Seen(connector)
    for count, told in ((2, 0), (60, 1), (20, 1)):
        before = len(seen)
        receive(connector, bulletins(range(count)))
        await seen.are(before + count)
        assert caplog.text.count("Nothing was read from the gateway for ") == told


async def test_an_unknown_version_of_the_library_reads_for_itself(
    make: Make, backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ib_async, "__version__", "2.1.0+local")
    contract._warn_unknown.cache_clear()
    with caplog.at_level(logging.WARNING, "ibkr.session"):
        connectors = [make(client_id) for client_id in (7, 8)]
    assert caplog.text.count("2.1.0+local is installed. It has everything that ibkr relies on") == 1
    for connector in connectors:
        await connector.connect_async()
        seen = Seen(connector)
        receive(connector, bulletins(range(100)))
        await seen.are(100)
        assert seen == list(range(100))
