"""``connector.stats``, compared with the counts of a gateway."""

from __future__ import annotations

import time

import pytest

from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, MSFT, Back, Make, NextTick, StateOf, Ticking


async def test_before_a_connection_nothing_is_counted(make: Make) -> None:
    stats = make().stats
    assert (stats.attempts, stats.bytes_in, stats.bytes_out, stats.messages_in, stats.messages_out) == (0, 0, 0, 0, 0)
    assert (stats.probes, stats.round_trips, stats.loop_stalls) == (0, (), 0)


async def test_messages_and_bytes_are_added_up_over_sessions(
    gateway: Gateway, next_tick: NextTick, ticking: Ticking, back: Back
) -> None:
    connector, ticker = await ticking()
    library = connector.ib.client.connectionStats()
    stats = connector.stats
    assert (stats.bytes_in, stats.bytes_out) == (library.numBytesRecv, library.numBytesSent)
    assert (stats.messages_in, stats.messages_out) == (library.numMsgRecv, library.numMsgSent)
    assert min(stats.bytes_in, stats.bytes_out, stats.messages_in, stats.messages_out) > 0

    def all_received(gateway: Gateway) -> bool:
        return connector.stats.messages_out == len(gateway.seen.requests) + gateway.seen.connects

    await gateway.wait_for(all_received)
    for number, ended in enumerate(("reset", "close"), 1):
        before = connector.stats
        await gateway.fault(ended)
        await back(connector, number)
        await next_tick(ticker)
        await gateway.wait_for(all_received)
        library, now = connector.ib.client.connectionStats(), connector.stats
        assert now.bytes_in >= before.bytes_in + library.numBytesRecv
        assert now.messages_in >= before.messages_in + library.numMsgRecv
    assert connector.stats.attempts == gateway.seen.connects == 3
    await connector.disconnect_async()
    assert (
        connector.stats.messages_out == len(gateway.seen.requests) + gateway.seen.connects
    )  # the gateway does not list handshakes as requests, so its connects are added
    assert connector.stats.bytes_in >= now.bytes_in


async def test_where_subscriptions_stand(gateway: Gateway, make: Make, state_of: StateOf, next_tick: NextTick) -> None:
    connector = make(refused_every=0.05)
    await connector.connect_async()
    for contract in (AAPL, MSFT):
        await next_tick(connector.ib.reqMktData(contract))
    assert (connector.stats.subscriptions.live, connector.stats.subscriptions.wanted) == (2, 0)
    await gateway.fault("restart", 0.5)
    await state_of(connector, lambda status: not status.is_connected)
    assert (connector.stats.subscriptions.live, connector.stats.subscriptions.wanted) == (0, 2)


async def test_a_probe_has_its_round_trip_from_leaving_to_answer(gateway: Gateway, make: Make) -> None:
    connector = make(send_burst=1, send_rate=10, probe_after=60)
    await connector.connect_async()
    await gateway.fault("delay", 0.1)
    for _ in range(8):
        connector.ib.client.reqMarketDataType(1)  # the limiter delays the rest; this wait is not part of the round trip
    await connector.ib.reqCurrentTimeAsync()
    stats = connector.stats
    assert stats.probes == len(stats.round_trips) == 1
    assert stats.round_trip is not None
    assert stats.round_trip >= 0.09


async def test_a_probe_that_is_never_answered_has_no_round_trip(gateway: Gateway, make: Make) -> None:
    connector = make(probe_after=60)
    await connector.connect_async()
    await gateway.fault("mute", "reqCurrentTime")
    asked = connector.ib.reqCurrentTimeAsync()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
    await gateway.fault("reset")
    with pytest.raises(ConnectionError):
        await asked
    await connector.wait_ready_async(5)
    assert connector.stats.probes == 0
    await gateway.fault("clear")
    await connector.ib.reqCurrentTimeAsync()
    assert connector.stats.probes == 1


async def test_a_blocked_loop_is_counted(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    before = connector.stats
    time.sleep(0.7)  # noqa: ASYNC251 - blocks the loop on purpose
    await connector.ib.reqCurrentTimeAsync()  # after this answer, the loop has run again
    assert connector.stats.loop_stalls > before.loop_stalls
    assert connector.stats.loop_stall_seconds - before.loop_stall_seconds >= 0.4
