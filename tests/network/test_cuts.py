"""A network that is cut for a while: READY within 1.5 s after its return, and no order arrives late."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import MarketOrder

from ibkr import ConnectionState
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import AAPL, StateOf, Stopwatch

from .conftest import READY, Watch
from .lab import CLIENT, GATEWAY, Lab

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]

WITHIN = 1.5
long = (pytest.mark.long, pytest.mark.timeout(700))


@pytest.mark.parametrize("seconds", [15, 60, pytest.param(600, marks=long)])
async def test_a_cable_cut(
    seconds: int, lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch
) -> None:
    watched = watch()
    await watched.connect()
    lab.drop()
    await asyncio.sleep(seconds)
    assert watched.connector.status.state is ConnectionState.RECONNECTING
    assert lab.sessions() == 1, "the gateway's kernel knows nothing of it"
    lab.mend()
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < WITHIN
    assert lab.sessions() == 1, "the old session has made way for the new one"
    assert gateway.client_ids == [7]


@pytest.mark.parametrize("dead", [("-s", CLIENT), ("-s", GATEWAY)], ids=["to the gateway", "from the gateway"])
async def test_one_direction_cut(
    dead: tuple[str, str], lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch
) -> None:
    watched = watch()
    await watched.connect()
    lab.drop(*dead)
    await asyncio.sleep(20)
    assert watched.connector.status.state is not READY
    lab.mend()
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < WITHIN


async def test_a_short_cut_is_bridged_by_tcp(lab: Lab, gateway: ThreadedGateway, watch: Watch) -> None:
    watched = watch()
    await watched.connect()
    lab.drop()
    await asyncio.sleep(4)
    lab.mend()
    await watched.back()
    assert ConnectionState.RECONNECTING not in watched.states()


@pytest.mark.parametrize("placed_after", [0.0, 4.0])
async def test_an_order_placed_into_a_cut_never_arrives_late(
    placed_after: float, lab: Lab, gateway: ThreadedGateway, watch: Watch
) -> None:
    watched = watch()
    await watched.connect()
    lab.drop()
    await asyncio.sleep(placed_after)
    trade = watched.connector.ib.placeOrder(AAPL, MarketOrder("BUY", 100))
    await asyncio.sleep(15 - placed_after)
    lab.mend()
    await watched.back()
    await asyncio.sleep(3)  # no order must arrive in this time
    assert gateway.seen.received("placeOrder") == []
    unconfirmed = watched.connector.status.unconfirmed
    assert [order.order_id for order in unconfirmed] == [trade.order.orderId]


async def test_an_order_that_arrived_before_its_acknowledgement_was_cut_is_found(
    lab: Lab, gateway: ThreadedGateway, watch: Watch
) -> None:
    watched = watch()
    await watched.connect()
    lab.drop("-s", GATEWAY)
    trade = watched.connector.ib.placeOrder(AAPL, MarketOrder("BUY", 100))
    await asyncio.sleep(15)
    assert len(gateway.seen.received("placeOrder")) == 1
    lab.mend()
    await watched.back()
    assert trade.isDone()
    assert watched.connector.status.unconfirmed == ()
    assert len(gateway.seen.received("placeOrder")) == 1


async def test_loss_of_15_percent_is_no_outage(lab: Lab, gateway: ThreadedGateway, watch: Watch) -> None:
    watched = watch()
    await watched.connect()
    # Every sixth packet. Random losses sometimes hit one packet five times in a row, and that is an outage.
    lab.drop("-m", "statistic", "--mode", "nth", "--every", "6", "--packet", "0")
    await asyncio.sleep(40)
    assert watched.connector.status.outages == 0
    lab.mend()
    await watched.back()


async def test_a_black_hole_for_large_packets_is_never_called_ready(
    lab: Lab, gateway: ThreadedGateway, watch: Watch, state_of: StateOf
) -> None:
    """Small messages pass and start-up's answers do not, as with an undiscovered MTU of a VPN."""
    watched = watch()
    await watched.connect()
    lab.drop("-m", "length", "--length", "300:65535")
    gateway.fault("reset")
    await state_of(watched.connector, lambda status: status.outages == 1)
    began = len(watched.said)
    await asyncio.sleep(15)
    assert READY not in {status.state for status in watched.said[began:]}
    lab.mend()
    await watched.back(20)
