"""A lost session is restored as fast as its cause allows, and the program's ticker continues."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import pytest
from ib_async import MarketOrder, Stock

from ibkr import ConnectionState, NotReady, SessionState
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Back, Make, NextTick, StateOf, States, Stopwatch, Ticking

READY, SYNCING, DEGRADED = ConnectionState.READY, ConnectionState.SYNCING, ConnectionState.DEGRADED
RECONNECTING = ConnectionState.RECONNECTING


@pytest.mark.parametrize("fault", ["reset", "close"])
async def test_a_lost_session_is_back_at_once(
    fault: str,
    gateway: Gateway,
    states: States,
    state_of: StateOf,
    next_tick: NextTick,
    stopwatch: Stopwatch,
    ticking: Ticking,
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    elapsed = stopwatch()
    await gateway.fault(fault)
    lost = await state_of(connector, lambda status: status.outages == 1)
    assert "Errno" not in lost.reason
    await connector.wait_ready_async(5)
    assert elapsed() < 0.25
    await next_tick(ticker)
    assert seen == [READY, RECONNECTING, SYNCING, READY]
    assert connector.ib.tickers() == [ticker]
    assert list(gateway.seen.live_subscriptions(7).values()) == ["AAPL"]
    assert connector.ib.cancelMktData(ticker.contract) is not False
    await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))


async def test_the_librarys_own_events_report_loss_and_return(gateway: Gateway, make: Make, back: Back) -> None:
    """The library's own events report loss and return, and its listeners always see a true status."""
    connector = make()
    received: list[tuple[str, bool]] = []

    def lost() -> None:
        received.append(("disconnected", connector.is_connected()))

    def returned() -> None:
        received.append(("connected", connector.is_connected()))

    connector.ib.disconnectedEvent.connect(lost)
    connector.ib.connectedEvent.connect(returned)
    await connector.connect_async()
    await gateway.fault("reset")
    await back(connector)
    await connector.disconnect_async()
    assert received == [("connected", True), ("disconnected", False), ("connected", True), ("disconnected", False)]


async def test_back_within_0_3_s_of_the_ports_return(
    gateway: Gateway, states: States, next_tick: NextTick, stopwatch: Stopwatch, ticking: Ticking
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    await gateway.fault("restart", 0.7)
    await gateway.wait_for(lambda gateway: not gateway.is_listening)
    await gateway.wait_for(lambda gateway: gateway.is_listening)
    elapsed = stopwatch()
    await connector.wait_ready_async(5)
    assert elapsed() < 0.3
    await next_tick(ticker)
    assert seen == [READY, RECONNECTING, SYNCING, READY]


async def test_a_forwarder_with_nothing_behind_it(
    gateway: Gateway, make: Make, state_of: StateOf, stopwatch: Stopwatch
) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("close_on_accept")
    await gateway.fault("close")
    await state_of(connector, lambda status: status.attempt == 2)
    await gateway.fault("clear")
    elapsed = stopwatch()
    await connector.wait_ready_async(5)
    assert elapsed() < 0.6


async def test_silent_is_waited_for(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(timeout=0.1, backoff_first=0.05, backoff_cap=0.1)
    await connector.connect_async()
    await gateway.fault("silent")
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: status.attempt == 3)
    assert "sent nothing for 0.1 s" in status.reason
    await gateway.fault("clear")
    await connector.wait_ready_async(5)


async def test_our_own_id_that_is_still_taken_is_waited_for(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(backoff_first=0.05, backoff_cap=0.1)
    await connector.connect_async()
    await gateway.fault("occupy_client_id", 7)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.attempt == 3 and "already in use" in status.reason)
    await gateway.fault("clear")
    await connector.wait_ready_async(5)


async def test_an_id_that_stays_taken_is_an_alert_and_tried_until_it_is_free(
    gateway: Gateway, make: Make, state_of: StateOf, back: Back
) -> None:
    connector = make(backoff_first=0.02, backoff_cap=0.02, client_id_grace=0.1)
    await connector.connect_async()
    await gateway.fault("occupy_client_id", 7, 0.5)
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: bool(status.alert))
    assert status.state is ConnectionState.RECONNECTING
    assert "client id 7 as in use (326)" in status.alert
    assert "client_id_in_use" in status.last_error
    assert (await back(connector)).alert == ""


async def test_half_open_is_suspect_then_dead_then_back(
    gateway: Gateway, states: States, state_of: StateOf, next_tick: NextTick, stopwatch: Stopwatch, ticking: Ticking
) -> None:
    connector, ticker = await ticking(
        probe_after=0.2, suspect_after=0.1, probe_timeout=0.3, timeout=0.2, backoff_first=0.05
    )
    seen = states(connector)
    await gateway.fault("freeze")
    began, elapsed = time.monotonic(), stopwatch()
    suspect = await state_of(connector, lambda status: status.session is SessionState.SUSPECT)
    assert suspect.state is DEGRADED
    assert not suspect.may_trade
    assert suspect.is_connected
    dead = await state_of(connector, lambda status: status.state is RECONNECTING)
    assert "half-open" in dead.reason
    assert time.monotonic() - began > 0.3
    assert elapsed() < 0.8
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)
    await next_tick(ticker)
    assert seen[:3] == [READY, DEGRADED, RECONNECTING]


async def test_a_thaw_in_time_is_no_outage_of_the_session(
    gateway: Gateway, make: Make, states: States, state_of: StateOf
) -> None:
    connector = make(probe_after=0.1, suspect_after=0.1, probe_timeout=5)
    await connector.connect_async()
    seen = states(connector)
    await gateway.fault("freeze")
    await state_of(connector, lambda status: status.session is SessionState.SUSPECT)
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)
    assert seen == [READY, DEGRADED, READY]
    assert gateway.seen.connects == 1


async def test_a_quiet_market_is_probed_and_kept(gateway: Gateway, make: Make, states: States) -> None:
    connector = make(probe_after=0.05, probe_apart=0.05, suspect_after=0.5, probe_timeout=1)
    await connector.connect_async()
    seen = states(connector)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqCurrentTime")) >= 5)
    assert seen == [READY]


async def test_reconnect_drops_and_comes_back(
    gateway: Gateway, states: States, next_tick: NextTick, ticking: Ticking
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    connector.reconnect()
    await connector.wait_ready_async(5)
    await next_tick(ticker)
    assert seen == [READY, RECONNECTING, SYNCING, READY]
    assert gateway.seen.connects == 2


async def test_no_id_is_handed_out_twice(gateway: Gateway, make: Make, back: Back) -> None:
    """The gateway starts each session with the same nextValidId. The connector continues after its own last id."""
    connector = make()
    await connector.connect_async()
    handed_out = [connector.ib.client.getReqId() for _ in range(5)]
    await gateway.fault("reset")
    await back(connector)
    assert connector.ib.client.getReqId() > max(handed_out)


async def test_a_subscription_cancelled_in_the_outage_is_not_restored(
    gateway: Gateway, make: Make, state_of: StateOf, next_tick: NextTick
) -> None:
    connector = make()
    await connector.connect_async()
    await next_tick(connector.ib.reqMktData(AAPL))
    await gateway.fault("restart", 0.3)
    await state_of(connector, lambda status: status.state is RECONNECTING)
    [ticker] = connector.ib.tickers()
    assert connector.ib.cancelMktData(ticker.contract) is not False
    await connector.wait_ready_async(5)
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("reqMktData")) == 1


async def test_what_is_refused_when_first_requested_is_dropped(gateway: Gateway, make: Make, back: Back) -> None:
    connector = make()
    await connector.connect_async()
    refused = asyncio.Event()
    connector.ib.errorEvent.connect(lambda req_id, code, *_: code == 200 and refused.set(), keep_ref=True)
    connector.ib.reqMktData(Stock("NOSUCH", "SMART", "USD", conId=1))
    await asyncio.wait_for(refused.wait(), 5)
    await gateway.fault("reset")
    await back(connector)
    assert len(gateway.seen.received("reqMktData")) == 1


async def test_the_market_data_type_is_requested_again_first(
    gateway: Gateway, make: Make, next_tick: NextTick, back: Back
) -> None:
    connector = make()
    await connector.connect_async()
    connector.ib.reqMarketDataType(3)
    await next_tick(connector.ib.reqMktData(AAPL))
    await gateway.fault("reset")
    await back(connector)
    names = [request.name for request in gateway.seen.requests if request.name in ("reqMarketDataType", "reqMktData")]
    assert names == ["reqMarketDataType", "reqMktData"] * 2


async def test_streams_end_with_the_callers_own_disconnect(gateway: Gateway, ticking: Ticking, back: Back) -> None:
    connector, ticker = await ticking()
    await gateway.fault("reset")
    await back(connector)
    assert not ticker.updateEvent.done()
    await connector.disconnect_async()
    assert ticker.updateEvent.done()


async def test_the_old_socket_has_ended_before_the_next_attempt(gateway: Gateway, make: Make) -> None:
    """The gateway stops reading while bytes wait: the socket is aborted instead of closed."""
    connector = make()
    await connector.connect_async()
    await gateway.fault("freeze")
    transport = connector.ib.client.conn.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    transport.write((2**24).to_bytes(4) + b"\0" * 2**24)
    assert transport.get_write_buffer_size() > 0
    connector.reconnect()
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)
    assert gateway.seen.connects == 2


async def test_a_busy_gateway_has_half_a_second_to_read_what_was_sent_last(
    gateway: Gateway, make: Make, stopwatch: Stopwatch
) -> None:
    """If the socket is aborted earlier, a reset may discard an order that the gateway has not read."""
    connector = make()
    await connector.connect_async()
    await gateway.fault("freeze")
    began, elapsed = time.monotonic(), stopwatch()
    assert await connector.disconnect_async()
    assert time.monotonic() - began > 0.4
    assert elapsed() < 2


async def test_a_gateway_that_comes_back_with_another_login_takes_no_order(
    make: Make, state_of: StateOf, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.stop()
    async with Gateway(port=gateway.port, accounts=("U7654321",)) as other:
        await state_of(connector, lambda status: status.state is DEGRADED and status.is_connected)
        with pytest.raises(NotReady, match="logged in with other accounts than before: log in as before, or call disc"):
            connector.ib.placeOrder(AAPL, MarketOrder("BUY", 1))
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert any("DEGRADED: the gateway is logged in with other accounts" in line for line in warned)
        await connector.disconnect_async()
        await connector.connect_async()
        connector.ib.placeOrder(AAPL, MarketOrder("BUY", 1))
        await other.wait_for(lambda gateway: gateway.orders)
