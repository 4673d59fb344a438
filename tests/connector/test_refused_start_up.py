"""Start-up requests that are refused or never answered delay neither market data nor orders."""

from __future__ import annotations

import asyncio

import pytest

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, NextTick, StateOf, Stopwatch, Ticking

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED
OTHERS = "Unable to subscribe to account as the following clients are subscribed to a different account"
HINDERED = ["reqAccountUpdates", "reqCompletedOrders", "reqAccountUpdatesMulti"]


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


async def hinder(gateway: Gateway, how: str) -> None:
    for name in HINDERED:
        if how == "mute":
            await gateway.fault("mute", name)
        else:
            await gateway.fault("refuse", name, 2101 if name == "reqAccountUpdates" else 322)


@pytest.mark.parametrize("how", ["mute", "refused"])
async def test_prices_and_orders_do_not_wait_for_the_rest_of_start_up(
    how: str, gateway: Gateway, ticking: Ticking, next_tick: NextTick, stopwatch: Stopwatch
) -> None:
    connector, ticker = await ticking()
    await hinder(gateway, how)
    elapsed = stopwatch()
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: gateway.seen.connects == 2)
    await next_tick(ticker)
    assert elapsed() < 0.5
    async with asyncio.timeout(1):
        async for status in connector.changes():
            if status.may_trade and status.outages == 1:
                break


async def test_account_updates_refused_at_once_are_named_at_once_and_requested_until_they_come(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(stream_retry=0.2)
    await gateway.fault("refuse", "reqAccountUpdates", 2101, 0.5, OTHERS)
    async with asyncio.timeout(2):
        await connector.connect_async()
    status = connector.status
    assert (status.state, status.may_trade, status.codes) == (DEGRADED, True, (2101,))
    assert status.reason == f"start-up refused: account updates (2101: {OTHERS})"
    await connector.wait_ready_async(5)
    assert connector.ib.portfolio() is not None


async def test_executions_refused_with_an_id_in_use_are_requested_again_soon(gateway: Gateway, make: Make) -> None:
    connector = make(stream_retry=0.1)
    await gateway.fault("refuse", "reqExecutions", 322, 0.2)
    async with asyncio.timeout(2):
        await connector.connect_async()
    assert connector.status.reason.startswith("start-up refused: executions (322: ")
    await connector.wait_ready_async(5)
    assert connector.may_trade


@pytest.mark.parametrize("code", [2100, 2101])
async def test_account_updates_that_end_later_are_a_loss_and_come_back(
    code: int, gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(stream_retry=0.1)
    await connector.connect_async()
    asked = len(gateway.seen.received("reqAccountUpdates"))
    (client,) = gateway._state.clients
    client.send_error(-1, code, "API client has been unsubscribed from account data.")
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert status.reason.startswith(f"start-up refused: account updates ({code}: ")
    await connector.wait_ready_async(5)
    assert len(gateway.seen.received("reqAccountUpdates")) == asked + 1


@pytest.mark.parametrize("code", [2100, 2101])
async def test_those_that_the_program_requested_itself_come_back_too(code: int, make: Make) -> None:
    async with Gateway(accounts=("DU1234567", "DU7654321"), id_hold=0) as gateway:
        connector = make(port=gateway.port, stream_retry=0.05, stream_pause=0.05, probe_apart=0.2)
        await connector.connect_async()
        await gateway.fault("refuse", "reqAccountUpdates", 2101, 0.2 if code == 2101 else 0)
        connector.ib.client.reqAccountUpdates(True, "DU7654321")

        async def is_live() -> None:
            while [each.state for each in connector.subscriptions] != ["live"]:
                await connector.ib.reqCurrentTimeAsync()

        if code == 2100:
            await asyncio.wait_for(is_live(), 5)
            (client,) = gateway._state.clients
            client.send_error(-1, code, "API client has been unsubscribed from account data.")
        await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqAccountUpdates")) >= 2)
        await asyncio.wait_for(is_live(), 5)
        await connector.disconnect_async()


async def test_a_subscription_is_requested_before_start_up_has_ended(gateway: Gateway, ticking: Ticking) -> None:
    connector, _ = await ticking()
    await gateway.fault("mute", "reqPositions")
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == 2)
    assert connector.status.state is ConnectionState.SYNCING
    first = gateway.seen.received("reqMktData")[-1].time
    assert gateway.seen.received("reqOpenOrders")[-1].time <= first, "behind orders"
    assert connector.ib.ticker(AAPL) is not None
