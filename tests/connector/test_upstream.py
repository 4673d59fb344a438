"""The gateway's links: to IB's servers, restored without data loss (1102) or with it (1101), and to its farms."""

from __future__ import annotations

import pytest

from ibkr import ConnectionState, FarmState, UpstreamState
from ibkr.simulator import Gateway
from tests.fixture_types import Make, NextTick, StateOf, States, Stopwatch, Ticking

READY, SYNCING, DEGRADED = ConnectionState.READY, ConnectionState.SYNCING, ConnectionState.DEGRADED


async def test_1100_then_1102_keeps_the_socket(
    gateway: Gateway, states: States, state_of: StateOf, next_tick: NextTick, ticking: Ticking
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    await gateway.fault("1100", repeats=3, interval=0.02)
    status = await state_of(connector, lambda status: status.upstream is UpstreamState.DOWN)
    assert status.is_connected
    assert not status.may_trade
    await gateway.fault("1102")
    await connector.wait_ready_async(5)
    await next_tick(ticker)
    assert seen == [READY, DEGRADED, SYNCING, READY]
    assert connector.status.outages == 1
    assert gateway.seen.connects == 1
    assert len(gateway.seen.received("reqMktData")) == 1


async def test_1100_then_1101_asks_again_on_the_same_socket(
    gateway: Gateway,
    states: States,
    state_of: StateOf,
    next_tick: NextTick,
    caplog: pytest.LogCaptureFixture,
    stopwatch: Stopwatch,
    ticking: Ticking,
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    await gateway.wait_for(lambda gateway: gateway.seen.ticks >= 6)  # by now the rate limit allows all messages again
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is DEGRADED)
    elapsed = stopwatch()
    await gateway.fault("1101")
    await connector.wait_ready_async(5)
    await next_tick(ticker)
    assert elapsed() < 0.2
    assert seen == [READY, DEGRADED, SYNCING, READY]
    assert gateway.seen.connects == 1
    assert len(gateway.seen.received("reqPositions")) == 2
    assert connector.ib.tickers() == [ticker]
    assert connector.ib.cancelMktData(ticker.contract) is not False
    await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))
    assert "300" not in caplog.text


async def test_listeners_of_the_librarys_errors_meet_a_true_status(
    gateway: Gateway, make: Make, state_of: StateOf, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    met: list[tuple[int, bool]] = []

    def on_error(req_id: int, code: int, text: str, contract: object) -> None:
        met.append((code, connector.status.may_trade))

    connector.ib.errorEvent.connect(on_error)
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is DEGRADED)
    await gateway.fault("1102")
    await connector.wait_ready_async(5)
    assert met == [(1100, False), (1102, False)]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_1102_may_list_farms_as_not_connected(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make(required_farms=("ushmds",))
    await connector.connect_async()
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.upstream is UpstreamState.DOWN)
    text = (
        "Connectivity between IB and Trader Workstation has been restored - data maintained. The following farms are"
        " connected: usfarm.nj; secdefil. The following farms are not connected: ushmds."
    )
    (client,) = gateway._state.clients
    client.send_error(-1, 1102, text)
    status = await state_of(connector, lambda status: "required data farm" in status.reason)
    assert (status.state, status.reason) == (DEGRADED, "required data farm broken: ushmds")
    assert status.farms == {"usfarm.nj": FarmState.OK, "secdefil": FarmState.OK, "ushmds": FarmState.BROKEN}
    await gateway.fault("mend_farm", "ushmds")
    await connector.wait_ready_async(5)


async def test_a_farm_is_an_axis_of_its_own(gateway: Gateway, make: Make, states: States, state_of: StateOf) -> None:
    connector, particular = make(), make(client_id=8, required_farms=("usfarm",))
    await connector.connect_async()
    await particular.connect_async()
    seen = states(connector)
    await gateway.fault("break_farm", "usfarm")
    await state_of(connector, lambda status: status.farms["usfarm"] == "broken")
    status = await state_of(particular, lambda status: status.state is DEGRADED)
    assert "required data farm broken: usfarm" in status.reason
    assert status.may_trade
    await gateway.fault("mend_farm", "usfarm")
    await particular.wait_ready_async(5)
    assert seen == [READY]
