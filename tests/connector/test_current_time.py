"""``reqCurrentTime`` is shared: callers and the probe join one request, and two are ``probe_apart`` seconds apart."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from ib_async import IB

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import Make, StateOf


async def test_two_callers_at_once_get_one_answer(gateway: Gateway, make: Make) -> None:
    """In the library, the first of two callers never gets an answer."""
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    async with asyncio.timeout(5):
        one, other = await asyncio.gather(ib.reqCurrentTimeAsync(), ib.reqCurrentTimeAsync())
    assert one == other
    assert len(gateway.seen.received("reqCurrentTime")) == 1


async def test_one_caller_that_gives_up_takes_nothing_from_the_others(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    one = asyncio.ensure_future(connector.ib.reqCurrentTimeAsync())
    other = connector.ib.reqCurrentTimeAsync()
    one.cancel()
    async with asyncio.timeout(5):
        assert await other


async def test_those_that_come_later_wait_their_turn(gateway: Gateway, make: Make) -> None:
    connector = make(probe_apart=0.2)
    await connector.connect_async()
    async with asyncio.timeout(5):
        for _ in range(4):
            await connector.ib.reqCurrentTimeAsync()
    times = [request.time for request in gateway.seen.received("reqCurrentTime")]
    assert len(times) == 4
    assert all(later - one >= 0.1 for one, later in pairwise(times)), "0.2 s where they are sent"


async def test_a_probe_joins_the_callers_request_and_fails_it_not(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    """The gateway is frozen, so the caller's request is still open when the probe is due."""
    connector = make(probe_after=0.2, suspect_after=0.2, probe_timeout=5)
    await connector.connect_async()
    await gateway.fault("freeze")
    asked = connector.ib.reqCurrentTimeAsync()
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    await gateway.fault("thaw")
    async with asyncio.timeout(5):
        assert await asked
    await connector.wait_ready_async(5)
    assert len(gateway.seen.received("reqCurrentTime")) == 1


async def test_a_caller_joins_the_probe(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(probe_after=0.2, suspect_after=0.2, probe_timeout=5)
    await connector.connect_async()
    await gateway.fault("freeze")
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    asked = connector.ib.reqCurrentTimeAsync()
    await gateway.fault("thaw")
    async with asyncio.timeout(5):
        assert await asked
    assert len(gateway.seen.received("reqCurrentTime")) == 1


async def test_the_probe_goes_before_what_is_queued(gateway: Gateway, make: Make) -> None:
    """The library's queue delays the caller's burst by a second. A probe must not wait for the end of this burst."""
    connector = make(probe_after=0.1, probe_timeout=5)
    await connector.connect_async()
    for _ in range(60):
        connector.ib.reqMarketDataType(1)
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
    assert len(gateway.seen.received("reqMarketDataType")) < 60
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 60)


@pytest.mark.parametrize("fault", ["reset", "close"])
async def test_requests_fail_when_the_session_ends(fault: str, gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "reqCurrentTime")
    waiting = [connector.ib.reqCurrentTimeAsync() for _ in range(3)]
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
    await gateway.fault(fault)
    for each in waiting:
        with pytest.raises(ConnectionError):
            await each


async def test_a_queued_request_fails_when_the_session_ends(gateway: Gateway, make: Make) -> None:
    connector = make(probe_apart=60)
    await connector.connect_async()
    await connector.ib.reqCurrentTimeAsync()
    waiting = connector.ib.reqCurrentTimeAsync()
    await gateway.fault("reset")
    with pytest.raises(ConnectionError):
        await waiting
    await connector.wait_ready_async(5)
    await connector.ib.reqCurrentTimeAsync()  # a new session does not wait for the old session's pause


async def test_a_callers_request_behind_a_long_queue_is_no_probe_that_was_sent(gateway: Gateway, make: Make) -> None:
    """The caller's request waits in the queue, and the gateway works: the session must not be ended."""
    connector = make(probe_after=0.3, probe_apart=0.05, suspect_after=0.2, probe_timeout=0.4, send_rate=10)
    await connector.connect_async()
    states = set()
    connector.on_status(lambda status: states.add(status.state))
    for _ in range(15):
        connector.ib.client.reqMarketDataType(1)
    asked = connector.ib.reqCurrentTimeAsync()
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 15)
    assert await asked
    assert (states, gateway.seen.connects) == (set(), 1)


async def test_who_asks_while_the_session_ends_takes_nothing_from_the_others(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    refused: list[ConnectionError] = []

    def ask() -> None:
        try:
            connector.ib.reqCurrentTimeAsync()
        except ConnectionError as error:
            refused.append(error)

    connector.ib.disconnectedEvent += ask
    await gateway.fault("mute", "reqCurrentTime")
    waiting = connector.ib.reqCurrentTimeAsync()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
    connector.reconnect()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(waiting, 5)
    assert len(refused) == 1


async def test_without_a_session_it_raises_the_usual_error(make: Make) -> None:
    connector = make()
    for call in (connector.ib.reqCurrentTimeAsync, connector.ib.client.reqCurrentTime):
        with pytest.raises(ConnectionError, match="Not connected"):
            call()
    await connector.connect_async()
    await connector.disconnect_async()
    with pytest.raises(ConnectionError, match="Not connected"):
        connector.ib.reqCurrentTimeAsync()
    assert connector.ib.wrapper._futures == IB().wrapper._futures == {}


async def test_who_asks_before_the_session_is_open_does_not_hold_up_the_next(make: Make) -> None:
    connector = make(probe_apart=60)
    ib, refused = connector.ib, []

    def ask() -> None:
        try:
            ib.client.reqCurrentTime()
        except ConnectionError as error:
            refused.append(str(error))

    ib.client.apiStart += ask
    await connector.connect_async()
    assert refused == ["Not connected: the session is not open yet"]
    async with asyncio.timeout(5):
        assert await ib.reqCurrentTimeAsync()
