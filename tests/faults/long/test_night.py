"""Typical events of a night: a restart of 65 s, direct and behind a forwarder, and 60 s without upstream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from ib_async import Ticker

from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, NextTick, StateOf, Stopwatch

READY, SYNCING, DEGRADED = ConnectionState.READY, ConnectionState.SYNCING, ConnectionState.DEGRADED


@pytest.fixture
async def other_gateway() -> AsyncIterator[Gateway]:
    async with Gateway(id_hold=0) as gateway:
        yield gateway


async def restart(
    gateway: Gateway, connector: IBConnector, behind: IBConnector, state_of: StateOf, stopwatch: Stopwatch
) -> None:
    """The port is closed for 65 s. When it opens, both connectors are immediately ready again."""
    elapsed = stopwatch()
    back: dict[IBConnector, float] = {}
    attempts = {connector: [0], behind: [0]}
    for each, seen in attempts.items():
        each.on_status(lambda status, seen=seen: seen.append(status.attempt))
    await gateway.fault("restart", 65)

    async def come_back(each: IBConnector) -> None:
        await state_of(each, lambda status: status.outages == 1 and status.state is READY, within=80)
        back[each] = elapsed()

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(come_back(each)) for each in (connector, behind)]
        await gateway.wait_for(lambda gateway: gateway.is_listening, 70)
        opened = elapsed()
        await asyncio.wait(waiting, timeout=5)
    assert back[connector] - opened <= 0.3
    assert back[behind] - opened <= 0.6
    assert 65 < max(attempts[behind]) < max(attempts[connector]) <= 5 * 65


async def upstream(
    gateway: Gateway,
    connector: IBConnector,
    ticker: Ticker,
    state_of: StateOf,
    next_tick: NextTick,
    stopwatch: Stopwatch,
) -> None:
    """1100 every 2 s for a minute, then 1102: one outage, the same socket, the same request."""
    published: list[Status] = []
    remove = connector.on_status(published.append)
    await gateway.fault("lose_upstream", 30, 2)
    await state_of(connector, lambda status: status.state is DEGRADED)
    await gateway.wait_for(lambda gateway: connector.status.upstream_notices == 30, 65)
    await gateway.fault("restore_upstream")
    elapsed = stopwatch()
    await state_of(connector, lambda status: status.state is READY)
    await next_tick(ticker)
    assert elapsed() < 0.2
    remove()
    assert [status.state for status in published] == [DEGRADED, SYNCING, READY]
    assert (connector.status.outages, gateway.seen.connects) == (1, 1)
    assert len(gateway.seen.received("reqMktData")) == 1


@pytest.mark.rest
@pytest.mark.timeout(150)
async def test_a_minute_of_each(
    gateway: Gateway,
    other_gateway: Gateway,
    connector: IBConnector,
    forwarder: int,
    state_of: StateOf,
    next_tick: NextTick,
    stopwatch: Stopwatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ibkr.connector")
    async with (
        IBConnector("127.0.0.1", forwarder, 8) as behind,
        IBConnector("127.0.0.1", other_gateway.port, 7) as other,
    ):
        ticker = other.ib.reqMktData(AAPL)
        await other_gateway.wait_for(lambda gateway: gateway.seen.ticks)
        async with asyncio.TaskGroup() as group:
            group.create_task(restart(gateway, connector, behind, state_of, stopwatch))
            group.create_task(upstream(other_gateway, other, ticker, state_of, next_tick, stopwatch))
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    lines = {each: [text for text in told if f":{each.port} " in text] for each in (connector, behind, other)}
    assert any("the gateway said 30 times that its link to IB was lost" in text for text in lines[other])
    # The expected lines say: connecting, the outage, a new cause with its cure, still out after a minute, connected
    # again, and disconnected.
    assert all(len(each) <= 7 for each in lines.values()), lines
