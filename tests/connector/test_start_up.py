"""Start-up of a session: requests in the library's order, and every answer checked."""

from __future__ import annotations

import asyncio
import logging

import pytest
from ib_async import IB, Ticker

from ibkr import ConnectionState, FarmState, Status, UpstreamState
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf


async def test_the_gateway_sees_what_the_bare_library_sends(gateway: Gateway, make: Make) -> None:
    bare = IB()
    await bare.connectAsync("127.0.0.1", gateway.port, 3)
    bare.disconnect()
    await gateway.wait_for(lambda gateway: not gateway.client_ids)
    await make(client_id=4).connect_async()

    def asked(client_id: int) -> list[tuple[str, ...]]:
        return [request.fields for request in gateway.seen.requests if request.client_id == client_id]

    assert asked(4) == asked(3)
    assert len(asked(4)) == 6


async def test_the_library_is_filled_when_connect_returns(make: Make) -> None:
    connector = make()
    announced: list[bool] = []

    def note() -> None:
        announced.append(connector.is_connected())

    connector.ib.connectedEvent.connect(note)
    assert await connector.connect_async() is True
    assert announced == [True]
    assert connector.ib.positions()
    assert connector.ib.accountValues()
    assert connector.ib.portfolio()
    assert connector.status.may_trade
    assert connector.status.upstream is UpstreamState.UP
    assert set(connector.status.farms) >= {"usfarm", "ushmds"}


async def test_farm_notices_of_one_packet_cause_one_status(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make()
    await connector.connect_async()
    statuses: list[Status] = []
    connector.on_status(statuses.append)
    for farm in ("usfarm", "ushmds"):
        await gateway.fault("break_farm", farm)
    await state_of(connector, lambda status: status.farms["ushmds"] is FarmState.BROKEN)
    assert [dict(status.farms)["usfarm"] for status in statuses] == [FarmState.BROKEN]


async def test_read_only_is_an_answer(gateway: Gateway, make: Make) -> None:
    await gateway.fault("read_only")
    connector = make()
    assert await asyncio.wait_for(connector.connect_async(), 10) is True
    status = connector.status
    assert status.state is ConnectionState.READY
    assert status.read_only
    assert not status.may_trade
    assert "Read-Only API" in status.may_trade_reason


async def test_read_only_ends_when_it_is_switched_off(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    await gateway.fault("read_only")
    connector = make()
    await connector.connect_async()
    await gateway.fault("end_read_only")
    connector.retry_now()
    await state_of(connector, lambda status: status.may_trade)
    assert not connector.status.read_only
    for fault in ("read_only", "end_read_only"):  # it is switched on and off again, and a 1102 follows each time
        await gateway.fault(fault)
        await gateway.fault("1100")
        await state_of(connector, lambda status: status.upstream == "down")
        await gateway.fault("1102")
        await connector.wait_ready_async(5)
        is_on = fault == "read_only"
        assert (connector.status.read_only, connector.status.may_trade) == (is_on, not is_on)


async def test_readonly_asks_for_no_orders(gateway: Gateway, make: Make) -> None:
    connector = make(readonly=True)
    await connector.connect_async()
    assert not gateway.seen.received("reqOpenOrders")
    assert not gateway.seen.received("reqCompletedOrders")
    assert gateway.seen.received("reqExecutions")
    assert "readonly = true" in connector.status.may_trade_reason


@pytest.mark.parametrize(
    ("request_name", "named", "asked", "may_trade"),
    [
        ("reqPositions", "positions", 1, False),
        ("reqOpenOrders", "open orders", 1, False),
        ("reqCompletedOrders", "completed orders", 1, True),
        ("reqAccountUpdates", "account updates", 1, True),
        ("reqAccountUpdatesMulti", "account values of", 2, True),
        ("reqExecutions", "executions", 2, False),
    ],
)
async def test_a_missing_answer_is_named(
    request_name: str, named: str, asked: int, may_trade: bool, gateway: Gateway, make: Make
) -> None:
    """A request with its own id is sent again. A request with a key that the library shares is not."""
    await gateway.fault("mute", request_name)
    connector = make(request_timeout=0.1)
    assert await connector.connect_async() is True
    status = connector.status
    assert status.state is ConnectionState.DEGRADED
    assert f"start-up requests without an answer: {named}" in status.reason
    assert status.may_trade is may_trade
    assert len(gateway.seen.received(request_name)) == asked


async def test_a_late_answer_serves(
    gateway: Gateway,
    make: Make,
    state_of: StateOf,
) -> None:
    connector = make(request_timeout=0.05)
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.fault("delay", 0.4)
    await state_of(connector, lambda status: "start-up requests without an answer" in status.reason)
    assert await connecting is True
    await gateway.fault("delay", 0)
    await state_of(connector, lambda status: status.state is ConnectionState.READY)
    assert connector.status.may_trade


@pytest.mark.parametrize("request_name", ["reqAccountUpdatesMulti", "reqExecutions"])
async def test_the_late_answer_to_the_first_asking_serves(request_name: str, gateway: Gateway, make: Make) -> None:
    """The second request has another id, and the gateway answers only the first request."""
    gateway.on_received(request_name, lambda gateway: gateway.faults.call("delay", 0.3))
    gateway.on_received(request_name, lambda gateway: gateway.faults.call("mute", request_name))
    connector = make(request_timeout=0.1)
    assert await connector.connect_async() is True
    await connector.wait_ready_async(5)
    assert len(gateway.seen.received(request_name)) == 2


async def test_1102_asks_for_no_account_summary(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("1100")
    await gateway.fault("1102")
    await connector.wait_ready_async(5)
    await connector.ib.reqCurrentTimeAsync()
    assert not gateway.seen.received("reqAccountSummary")


async def test_upstream_down_at_connect(
    gateway: Gateway,
    make: Make,
) -> None:
    await gateway.fault("2110")
    connector = make()
    assert await connector.connect_async() is True
    assert connector.status.state is ConnectionState.DEGRADED
    assert not connector.status.may_trade
    await gateway.fault("1102")
    await connector.wait_ready_async(5)


async def test_before_the_session_is_open_requests_raise_and_subscriptions_wait(
    gateway: Gateway,
    make: Make,
) -> None:
    """A request sent earlier would be lost: the library clears its maps when the session opens."""
    connector = make()
    await gateway.fault("delay_message", "nextValidId", 0.1)
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.wait_for(lambda gateway: gateway.seen.received("startApi"))
    asked: list[Ticker] = []

    def ask() -> None:
        """Make a request when the last answer of the handshake is read and the connector has not processed it yet."""
        ticker = connector.ib.reqMktData(AAPL)
        with pytest.raises(ConnectionError, match="not open yet"):
            connector.ib.reqContractDetailsAsync(ticker.contract)
        asked.append(ticker)

    connector.ib.client.apiStart.connect(ask)
    assert await connecting is True
    assert connector.ib.tickers() == asked
    assert list(gateway.seen.live_subscriptions(7).values()) == ["AAPL"]


async def test_a_program_that_disconnects_at_syncing_gets_no_further_news(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway's notices follow in the same packet."""
    connector = make()
    told: list[ConnectionState] = []

    def leave(status: Status) -> None:
        told.append(status.state)
        if status.state is ConnectionState.SYNCING:
            connector.disconnect()

    connector.on_status(leave)
    codes: list[int] = []
    connector.ib.errorEvent.connect(lambda _, code, *rest: codes.append(code), keep_ref=True)
    assert not await connector.connect_async()
    assert told == [ConnectionState.CONNECTING, ConnectionState.SYNCING, ConnectionState.DISCONNECTED]
    assert not codes
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
