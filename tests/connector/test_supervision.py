"""Other things that are supervised: the clock, the loop, the calendar, the port, and TCP's keepalive."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from types import SimpleNamespace

import pytest

from ibkr import ConfigError, ConnectionState, IBConnector, NotReady, Policy
from ibkr.runtime import loop_monitor
from ibkr.simulator import Gateway, ThreadedGateway
from tests import internals
from tests.fixture_types import AAPL, Back, Make, NextTick, StateOf, States, Stopwatch, Ticking

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED
RECONNECTING = ConnectionState.RECONNECTING


async def test_a_second_of_silence_a_second_of_probing_and_it_is_dead(
    gateway: Gateway, make: Make, state_of: StateOf, stopwatch: Stopwatch
) -> None:
    connector = make(probe_after=1, probe_timeout=1)
    await connector.connect_async()
    await gateway.fault("freeze")
    elapsed = stopwatch()
    await state_of(connector, lambda status: status.state is RECONNECTING)
    assert elapsed() <= 2.1
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)


async def test_a_blocked_loop_loses_no_session_and_is_reported(
    gateway: Gateway, make: Make, states: States, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ibkr")
    connector = make(probe_after=0.1, probe_apart=0.1, suspect_after=0.1, probe_timeout=0.3)
    await connector.connect_async()
    seen = states(connector)
    began = time.monotonic()
    time.sleep(1.4)  # noqa: ASYNC251 - blocks the loop on purpose
    await connector.ib.reqCurrentTimeAsync()
    await connector.ib.reqCurrentTimeAsync()
    longest = time.monotonic() - began + 0.1
    assert (connector.status.state, gateway.seen.connects) == (READY, 1)
    assert RECONNECTING not in seen
    [told] = [record.getMessage() for record in caplog.records if "blocked" in record.getMessage()]
    length = re.match(r"The event loop was blocked, or not run, for (\d+\.\d) s: ", told)
    assert length is not None
    assert 1.2 <= float(length.group(1)) <= longest


async def test_a_blockage_that_the_policy_allows_is_not_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ibkr")
    connector = make(loop_block_warning=5)
    await connector.connect_async()
    time.sleep(1.4)  # noqa: ASYNC251 - blocks the loop on purpose
    await connector.ib.reqCurrentTimeAsync()
    assert "blocked" not in caplog.text


async def test_a_huge_probe_after_is_accepted(make: Make) -> None:
    """TCP's keepalive accepts some hours at most."""
    connector = make(probe_after=1e10)
    assert await connector.connect_async()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_closed_is_not_kept_alive_by_its_pulse(script_loop: asyncio.AbstractEventLoop) -> None:
    """The monitor's timer and its listener would keep the loop alive."""
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector("127.0.0.1", gateway.port, 7)
        connector.connect()
        beat = loop_monitor.monitor_of(script_loop)
        assert beat._timer is not None
        script_loop.close()
        assert "READY" in repr(connector), "it shows the last known status, and ends nothing"
        assert connector.status.state is ConnectionState.FAILED
        assert "FAILED" in repr(connector)
        assert (beat._timer, beat._listeners) == (None, {})


async def test_after_a_suspend_the_socket_is_probed_at_once(
    gateway: Gateway, make: Make, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = make()
    await connector.connect_async()
    seen = states(connector)
    asleep = SimpleNamespace(time=lambda: time.time() + 3600.0)
    monkeypatch.setattr(loop_monitor, "time", asleep)
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"), 4)
    await connector.ib.reqCurrentTimeAsync()
    assert (seen, gateway.seen.connects) == ([READY], 1)


async def test_a_small_jump_of_the_clock_is_nothing(
    gateway: Gateway, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = make()
    await connector.connect_async()
    monkeypatch.setattr(loop_monitor, "time", SimpleNamespace(time=lambda: time.time() + 4.0))
    connector.ib.reqMktData(AAPL)
    await gateway.wait_for(lambda gateway: gateway.seen.ticks >= 10)  # half a second, so three runs of the loop monitor
    assert gateway.seen.received("reqCurrentTime") == []


async def test_the_pulse_of_the_loop_stops_with_the_connection(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    assert internals.is_loop_monitored(connector)
    await connector.disconnect_async()
    assert not internals.is_loop_monitored(connector)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no TCP_USER_TIMEOUT")
async def test_the_system_watches_the_socket_too_and_not_sooner_than_we(make: Make) -> None:
    connector = make(probe_after=7, probe_timeout=4)
    await connector.connect_async()
    transport = connector.ib.client.conn.transport
    assert transport is not None
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 11_000
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 11


async def test_1300_is_followed_to_the_new_port_and_back(
    gateway: Gateway, next_tick: NextTick, stopwatch: Stopwatch, ticking: Ticking, back: Back
) -> None:
    connector, ticker = await ticking(refused_every=0.05)
    configured = gateway.port
    elapsed = stopwatch()
    await gateway.fault("change_port")
    assert gateway.port != configured
    status = await back(connector)
    assert elapsed() < 0.5
    assert status.endpoint == f"127.0.0.1:{gateway.port}"
    await next_tick(ticker)
    await gateway.fault("clear")  # now the configured port listens again
    await gateway.fault("reset")
    status = await back(connector, 2)
    assert status.endpoint == f"127.0.0.1:{configured}"
    await next_tick(ticker)


async def test_a_problem_that_lasts_raises_the_alert_once(
    gateway: Gateway, make: Make, state_of: StateOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ibkr")
    connector = make(region="none", outage_alert_after=0.2)
    await connector.connect_async()
    told: list[str] = []
    connector.on_status(lambda status: told.append(status.alert))
    await gateway.fault("lose_upstream", 20, 0.02)
    status = await state_of(connector, lambda status: bool(status.alert))
    assert status.alert.endswith("outside of any maintenance window")
    await gateway.fault("restore_upstream")
    status = await connector.wait_ready_async(5)
    assert status.alert == ""
    assert len(set(told) - {""}) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, warnings
    assert "has lost its link" in warnings[0]
    assert f"DEGRADED, and {next(filter(None, told))}: " in warnings[1]


async def test_in_a_maintenance_window_nothing_is_raised_and_the_reason_says_so(
    gateway: Gateway, make: Make, state_of: StateOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ibkr")
    connector = make(region="none", outage_alert_after=0.05, maintenance=("always: Mon-Sun 00:00-00:00 UTC",))
    await connector.connect_async()
    assert connector.status.maintenance is not None
    await gateway.fault("lose_upstream")
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert status.reason.endswith("(expected: always until 00:00 UTC)")
    await connector.ib.reqCurrentTimeAsync()
    assert connector.status.alert == ""
    await gateway.fault("restore_upstream")
    await connector.wait_ready_async(5)
    assert [record.levelname for record in caplog.records if record.name == "ibkr.connector"] == ["INFO"] * 4


async def test_windows_that_cannot_be_read_are_refused_when_the_connector_is_made() -> None:
    with pytest.raises(ConfigError, match=r"ibkr\.maintenance = 'nightly'"):
        IBConnector("127.0.0.1", 7497, 1, policy=Policy(maintenance=("nightly",)))


async def test_retry_now_does_not_wait(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(refused_every=30)
    with pytest.raises(NotReady, match=r"retry_now\(\) needs a connection"):
        connector.retry_now()
    await connector.connect_async()
    connector.retry_now()
    assert connector.status.state is READY
    await gateway.fault("restart", 0.1)
    await state_of(connector, lambda status: status.next_retry_at is not None)
    await gateway.wait_for(lambda gateway: gateway.is_listening)
    connector.retry_now()
    await connector.wait_ready_async(5)
