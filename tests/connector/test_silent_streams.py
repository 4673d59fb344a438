"""Streams that ticked, and are silent since they were requested again."""

from __future__ import annotations

import pytest

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, MSFT, Back, Make, NextTick, StateOf, Ticking

from .test_refused_streams import QUICK, asked
from .test_streams import ticks_of_gateway

READY = ConnectionState.READY


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


async def test_a_stream_that_stays_silent_is_named_and_requested_until_it_ticks(
    gateway: Gateway, make: Make, state_of: StateOf, next_tick: NextTick
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    alive, dead = connector.ib.reqMktData(MSFT), connector.ib.reqMktData(AAPL)
    enough = gateway.seen.ticks + 40
    await gateway.wait_for(lambda gateway: gateway.seen.ticks >= enough)
    await next_tick(dead)
    await gateway.fault("break_farm")
    await gateway.fault("stall_stream", "AAPL")
    await gateway.fault("mute", "reqMktData")
    await gateway.fault("mend_farm")
    status = await state_of(connector, lambda status: "silent" in status.reason)
    assert (status.state, status.reason.rpartition(": ")[2]) == (READY, "AAPL")
    assert [told.state for told in connector.subscriptions] == ["live", "silent"]
    tries = asked(gateway)
    await gateway.wait_for(lambda gateway: asked(gateway) > tries)
    await next_tick(alive)
    await gateway.fault("clear")
    await next_tick(dead)
    await state_of(connector, lambda status: "silent" not in status.reason)


async def test_a_stream_that_ticked_before_and_is_silent_in_a_new_session_is_reported(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK)
    await ticks_of_gateway(gateway, 40)
    await next_tick(ticker)
    await gateway.fault("mute", "reqMktData")
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.state is READY and "silent" in status.reason)
    await gateway.fault("clear")
    await next_tick(ticker)


@pytest.mark.parametrize("how", ["ended", "refused"])
async def test_a_stream_that_is_silent_after_it_was_ended_or_refused_is_reported(
    how: str, gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK)
    await ticks_of_gateway(gateway, 40)
    await next_tick(ticker)
    if how == "refused":
        await gateway.fault("refuse", "reqMktData", 200, 0.4)
        await gateway.fault("end_stream", "AAPL", 10182)
        await state_of(connector, lambda status: "subscriptions refused" in status.reason)
    await gateway.fault("mute", "reqMktData")
    if how == "ended":
        await gateway.fault("end_stream", "AAPL", 10182)
    await state_of(connector, lambda status: status.state is READY and "silent" in status.reason)
    assert [told.state for told in connector.subscriptions] == ["silent"]
    await gateway.fault("clear")
    await next_tick(ticker)
    await state_of(connector, lambda status: "silent" not in status.reason)


async def test_a_few_ticks_between_two_losses_do_not_hide_a_silent_stream(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick, back: Back
) -> None:
    connector, ticker = await ticking(**QUICK)
    await ticks_of_gateway(gateway, 40)
    await next_tick(ticker)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.is_connected)
    await next_tick(ticker)
    await gateway.fault("mute", "reqMktData")
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 2 and "silent" in status.reason)
    assert [told.state for told in connector.subscriptions] == ["silent"]
