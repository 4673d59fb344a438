"""The fleet's servers are away: sessions, data and cancels continue; trading stops and resumes as promised."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from ib_async import LimitOrder, Stock

from ibkr import ConnectionState, Fleet, FleetError, IBConnector, NotReady
from ibkr.core.lease import TRUSTED, Clocks
from ibkr.fleet import nats_store
from ibkr.fleet.election import read_clocks
from ibkr.fleet.nats_server import NatsServer
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import NextTick, StateOf, Stopwatch

from .conftest import LEASE, POLICY, NewMember
from .test_leadership import leads

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


class Ahead:
    """Clocks that can be moved forward."""

    def __init__(self) -> None:
        self.boot = self.wall = 0.0

    def __call__(self) -> Clocks:
        now = read_clocks()
        return Clocks(now.boot + self.boot, now.wall + self.wall)


def with_clocks(connector: IBConnector) -> Ahead:
    clocks = Ahead()
    internals.fleet_member(connector).clocks = clocks
    return clocks


@pytest.mark.parametrize("clock", ["boot", "wall"])
async def test_after_a_sleep_the_lease_is_not_trusted_from_the_first_moment_on(
    new_member: NewMember, state_of: StateOf, server: NatsServer, clock: str
) -> None:
    """One of two clocks advanced while the process was suspended; the event loop does not know it."""
    connector = new_member()
    clocks = with_clocks(connector)
    await connector.connect_async()
    await state_of(connector, leads)
    setattr(clocks, clock, TRUSTED * LEASE + 0.01)
    assert not connector.may_trade
    with pytest.raises(NotReady, match="lease ran out"):
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
    await state_of(connector, leads)  # now the lease has been renewed


@pytest.mark.parametrize("seconds", [60.0, 3600.0])
async def test_servers_away_for_long(
    new_member: NewMember,
    state_of: StateOf,
    server: NatsServer,
    gateway: Gateway,
    next_tick: NextTick,
    caplog: pytest.LogCaptureFixture,
    stopwatch: Stopwatch,
    seconds: float,
) -> None:
    # This function has over 40 lines because it follows one outage from start to end.
    caplog.set_level(logging.INFO, "ibkr")
    connector = new_member()
    clocks = with_clocks(connector)
    await connector.connect_async()
    await state_of(connector, leads)
    ticker = connector.ib.reqMktData(AAPL)
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
    await asyncio.to_thread(server.kill)
    since, began = stopwatch(), time.monotonic()
    assert connector.may_trade, "the lease still holds"
    status = await state_of(connector, lambda status: not status.may_trade)
    # The leader trusts the lease until TRUSTED of its lifetime has passed since the last renewal. When the server was
    # killed, at most a fifth of the lifetime had passed since then.
    assert time.monotonic() - began >= LEASE * (TRUSTED - 0.2) - 0.1
    assert since() <= LEASE * TRUSTED + 0.3
    assert "lease ran out at" in status.may_trade_reason
    assert status.state is ConnectionState.DEGRADED
    assert status.is_connected
    clocks.boot = clocks.wall = seconds
    await next_tick(ticker)
    with pytest.raises(NotReady, match="lease ran out"):
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
    connector.ib.cancelOrder(trade.order)
    async with asyncio.timeout(5):
        while trade.orderStatus.status != "Cancelled":
            await connector.ib.updateEvent
    await asyncio.to_thread(server.start)
    since = stopwatch()
    assert (await state_of(connector, leads)).client_id == 100
    assert since() < 2
    assert connector.stats.attempts == 1, "the session has gone on"
    told = caplog.text
    assert "lease ran out" in told
    assert "fleet's servers are back" in told


async def test_a_leader_that_is_cut_off_and_one_that_is_not(
    new_member: NewMember, state_of: StateOf, server: NatsServer
) -> None:
    """While both are cut off, neither trades with a lease that it cannot trust. Afterwards, one of them trades."""
    first, second = new_member(), new_member()
    for connector in (first, second):
        await connector.connect_async()
    await state_of(first, leads)
    server.kill()
    await state_of(first, lambda status: not status.may_trade)
    server.start()
    either = [asyncio.create_task(state_of(connector, leads, 15)) for connector in (first, second)]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for task in either:
        task.cancel()
    await asyncio.gather(*either, return_exceptions=True)
    assert not (first.may_trade and second.may_trade)


class SilentServer:
    """Accepts connections and never answers, like a server that is frozen."""

    def __init__(self) -> None:
        self.accepted = 0
        self.open = 0
        self._changed = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(accepted=1, opened=1)
        with suppress(ConnectionError):  # a client may also reset its connection
            await reader.read()
        self._count(accepted=0, opened=-1)
        writer.close()

    def _count(self, accepted: int, opened: int) -> None:
        self.accepted += accepted
        self.open += opened
        self._changed.set()

    async def wait(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def silent_server(port: int = 0) -> AsyncIterator[tuple[SilentServer, str]]:
    silent = SilentServer()
    listening = await asyncio.start_server(silent.handle, "127.0.0.1", port)
    yield silent, f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    listening.close()


async def test_each_failed_attempt_closes_its_socket(
    new_member: NewMember, state_of: StateOf, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a night with a frozen server, the program would have no file descriptors left."""
    monkeypatch.setattr(nats_store, "REQUEST_TIMEOUT", 0.1)
    connector = new_member()
    await connector.connect_async()
    await state_of(connector, leads)
    await asyncio.to_thread(server.kill)
    async with silent_server(int(server.url.rpartition(":")[2])) as (silent, _), asyncio.timeout(10):
        await silent.wait(lambda: silent.accepted >= 5)
        assert silent.open <= 2, "the newest, and the one before it, whose end may not be read yet"
        await connector.disconnect_async()
        await silent.wait(lambda: silent.open == 0)


async def test_a_program_that_gives_up_closes_its_socket(gateway: Gateway) -> None:
    async with silent_server() as (silent, url), asyncio.timeout(10):
        connector = IBConnector("127.0.0.1", gateway.port, None, 0.3, fleet=Fleet(url, name="alpha"))
        with pytest.raises(FleetError):
            await connector.connect_async()
        assert silent.accepted
        await silent.wait(lambda: silent.open == 0)


@asynccontextmanager
async def relay_that_loses_one_answer(server: NatsServer, message: bytes) -> AsyncIterator[str]:
    """Relay to the server, and give the relay's URL. The first answer to this message is lost with its connection."""
    lost = asyncio.Event()

    async def serve(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        loses = False

        async def forward_requests() -> None:
            nonlocal loses
            while data := await from_client.read(65536):
                loses = loses or (message in data and not lost.is_set())
                to_server.write(data)

        async def forward_answers() -> None:
            while (data := await from_server.read(65536)) and not loses:
                to_client.write(data)
            if loses:
                lost.set()

        both = {asyncio.ensure_future(forward_requests()), asyncio.ensure_future(forward_answers())}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        to_client.close()
        to_server.close()
        await asyncio.wait(both)

    relay = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"nats://127.0.0.1:{relay.sockets[0].getsockname()[1]}"
    finally:
        relay.close()
    assert lost.is_set()


async def test_a_claim_whose_answer_is_lost_is_claimed_again(
    server: NatsServer, gateway: Gateway, state_of: StateOf
) -> None:
    """The program does not stand by for the rest of the lifetime of a lease that is its own."""
    async with relay_that_loses_one_answer(server, b"PUB $KV.ibkr_leases.") as url:
        fleet = Fleet(url, name="alpha", lease=30.0)
        connector = IBConnector("127.0.0.1", gateway.port, None, policy=POLICY, fleet=fleet)
        try:
            await connector.connect_async()
            assert (await state_of(connector, leads, 10)).client_id == 100
        finally:
            await connector.disconnect_async()
