"""The callbacks of a program: state changes, outages, single subscriptions; each is called once per change."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ibkr import ConnectionState, Outage, Status, SubscriptionStatus
from ibkr.core.outage import Outcome
from ibkr.runtime.listeners import SETTLE_SECONDS, StateChangeFilter
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Back, Make, NextTick, StateOf, Ticking

READY, SYNCING, RECONNECTING = ConnectionState.READY, ConnectionState.SYNCING, ConnectionState.RECONNECTING


async def test_a_restart_is_three_changes_at_most_and_five_lines(
    gateway: Gateway, ticking: Ticking, back: Back, caplog: pytest.LogCaptureFixture
) -> None:
    connector, _ = await ticking(refused_every=0.01)
    changes: list[tuple[str, bool]] = []
    statuses: list[Status] = []
    connector.on_status(statuses.append)
    connector.on_state_change(lambda status: changes.append((str(status.state), status.may_trade)))
    caplog.clear()
    with caplog.at_level(logging.INFO, "ibkr"):
        await gateway.fault("restart", 0.5)
        await back(connector)
    assert changes[0] == ("RECONNECTING", False)
    assert changes[-1] == ("READY", True)
    assert len(changes) <= 3 < len(statuses)
    lines = [record for record in caplog.records if record.name.startswith("ibkr") and "simulator" not in record.name]
    assert len(lines) <= 5, [record.getMessage() for record in lines]


async def test_an_unsubscribed_callback_is_not_called(gateway: Gateway, make: Make) -> None:
    connector = make()
    changes: list[Status] = []
    end = connector.on_state_change(changes.append)
    await connector.connect_async()
    seen = len(changes)
    end()
    await connector.disconnect_async()
    assert (len(changes), changes[-1].state) == (seen, READY)


async def test_a_callback_that_comes_later_hears_of_changes_only(
    gateway: Gateway, make: Make, state_of: StateOf, back: Back
) -> None:
    connector = make()
    await connector.connect_async()
    changes: list[ConnectionState] = []
    connector.on_state_change(lambda status: changes.append(status.state))
    await gateway.fault("break_farm")
    await state_of(connector, lambda status: "usfarm" in status.reason)
    assert changes == []
    await gateway.fault("reset")
    await back(connector)
    assert changes[0] is RECONNECTING


def status(state: ConnectionState, *, may_trade: bool = False, reason: str = "") -> Status:
    from datetime import UTC, datetime

    now = datetime(2026, 3, 2, tzinfo=UTC)
    return Status(state, reason, now, now, may_trade, "", True, "127.0.0.1:7497", 7)


async def test_a_start_up_that_lasts_is_reported_and_a_short_one_is_not() -> None:
    told: list[Status] = []
    tell = StateChangeFilter(told.append)
    tell(status(READY, may_trade=True))
    for number in range(100):
        tell(status(RECONNECTING, reason=f"attempt {number}"))
        tell(status(SYNCING, reason=f"attempt {number}"))
    assert [each.state for each in told] == [READY, RECONNECTING]
    tell(status(SYNCING, reason="a slow one"))
    await asyncio.sleep(SETTLE_SECONDS + 0.1)
    assert [each.state for each in told] == [READY, RECONNECTING, SYNCING]
    tell(status(SYNCING, may_trade=True))
    tell(status(READY, may_trade=True))
    assert [each.may_trade for each in told] == [True, False, False, True, True]


async def test_losing_the_permission_to_trade_is_reported_at_once() -> None:
    told: list[Status] = []
    tell = StateChangeFilter(told.append)
    tell(status(READY, may_trade=True))
    tell(status(SYNCING))
    assert [each.state for each in told] == [READY, SYNCING]


def test_outside_of_a_loop_all_is_reported_at_once() -> None:
    told: list[Status] = []
    tell = StateChangeFilter(told.append)
    tell(status(SYNCING))
    assert [each.state for each in told] == [SYNCING]


async def test_an_outage_is_reported_when_it_begins_and_when_it_ends(
    gateway: Gateway, ticking: Ticking, back: Back
) -> None:
    connector, _ = await ticking(refused_every=0.01)
    told: list[Outage] = []
    connector.on_outage(told.append)
    for number in (1, 2):
        await gateway.fault("restart", 0.05)
        await back(connector, number)
    assert [(each.number, each.is_over, each.outcome) for each in told] == [
        (1, False, None),
        (1, True, Outcome.RECOVERED),
        (2, False, None),
        (2, True, Outcome.RECOVERED),
    ]


async def test_a_subscription_is_reported_when_its_state_or_its_error_changes(
    gateway: Gateway, make: Make, state_of: StateOf, next_tick: NextTick, back: Back
) -> None:
    connector = make(stream_retry=0.05)
    told: list[SubscriptionStatus] = []
    connector.on_subscription(told.append)
    await connector.connect_async()
    ticker = connector.ib.reqMktData(AAPL)
    await next_tick(ticker)
    assert [str(each.state) for each in told] == ["sent", "live"]
    told.clear()
    await gateway.fault("refuse", "reqMktData", 200, 0.2, "No security definition has been found")
    await gateway.fault("reset")
    await back(connector)
    await next_tick(ticker)
    states = [str(each.state) for each in told]
    assert (states[0], states[-1]) == ("wanted", "live")
    refused = told[states.index("refused")]
    assert refused.last_error == "200: No security definition has been found"
    assert refused.label == "AAPL"
    (now,) = connector.subscriptions
    assert now.age is not None
    assert 0 <= now.age < 5
