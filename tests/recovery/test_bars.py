"""Historical bars that are kept up to date, across a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from ib_async import BarData, BarDataList

from ibkr import IBConnector
from ibkr.session.subscriptions.bar_backfill import extended_duration, merge_bars
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Counter, Make, Outage, StateOf


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A bar of five seconds every tenth of a second, on a Wednesday in trading hours."""
    async with Gateway(tick_interval=1.0, speed=50, id_hold=0) as gateway:
        gateway._state.market.started = datetime(2026, 11, 18, 16, 0, tzinfo=UTC).timestamp()
        yield gateway


async def ask(connector: IBConnector) -> BarDataList:
    bars: BarDataList = await connector.ib.reqHistoricalDataAsync(
        AAPL, "", "1800 S", "5 secs", "TRADES", useRTH=False, keepUpToDate=True
    )
    return bars


@pytest.mark.parametrize("name", ["reset", "restart", "1101"])
async def test_the_gap_is_filled_and_nothing_is_doubled(
    name: str, make: Make, counter: Counter, outage: Outage
) -> None:
    connector = make()
    await connector.connect_async()
    bars = await ask(connector)
    news = counter(bars.updateEvent)
    await news.beyond(1)
    before: list[BarData] = []  # the bars at the start of the outage: on a busy machine, live bars also have holes
    connector.on_status(lambda status: before.extend(bars if not before else ()))
    filled: list[BarData] = []  # the bars when the gap is filled: their first update after its start
    bars.updateEvent.connect(lambda *_: filled.extend(bars if before and not filled else ()), keep_ref=True)
    await outage(connector, name)
    await news.beyond(news.times + 2)
    dates = [bar.date for bar in bars]
    assert [bar for bar, old in zip(bars, before[:-1], strict=False) if bar is not old] == [], "those there were stay"
    assert len(bars) > len(before)
    assert filled, "the gap was filled"
    new = [bar.date for bar in filled[len(before) - 1 :]]
    assert new, "with the last bar again, at least"
    assert {(later - one).total_seconds() for one, later in pairwise(new)} <= {5}, "it begins where the old ones end"
    assert all(earlier < later for earlier, later in pairwise(dates))
    assert connector.ib.realtimeBars() == [bars]
    assert not connector.ib.wrapper._results


async def test_the_gap_is_filled_if_live_bars_come_first(
    gateway: Gateway, make: Make, counter: Counter, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    bars = await ask(connector)
    news = counter(bars.updateEvent)
    await news.beyond(1)
    await gateway.fault("delay_message", "historicalData", 1.0, 1)
    await gateway.fault("restart", 0.5)
    await state_of(connector, lambda status: not status.is_connected)
    last = bars[-1].date
    await connector.wait_ready_async(10)
    filled = counter(bars.updateEvent, lambda *_: any(5 <= seconds_since(last, bar.date) <= 15 for bar in bars))
    assert not any(5 <= seconds_since(last, bar.date) <= 15 for bar in bars)
    await filled.beyond(0)
    dates = [bar.date for bar in bars]
    assert all(earlier < later for earlier, later in pairwise(dates))
    assert {seconds_since(one, later) for one, later in pairwise(dates[dates.index(last) :][:6])} == {5}
    assert not connector.ib.wrapper._results


def seconds_since(earlier: Any, later: Any) -> float:
    seconds: float = (later - earlier).total_seconds()
    return seconds


async def test_they_are_watched_over_the_historical_farm(gateway: Gateway, make: Make, counter: Counter) -> None:
    """After a fault, the farm of the bars works again, but the bars stay silent. They continue in the same list."""
    connector = make(stream_silence=0.2, stream_silence_factor=1, stream_ticks=3)
    await connector.connect_async()
    bars = await ask(connector)
    news = counter(bars.updateEvent)
    await news.beyond(5)
    await gateway.fault("break_farm", "ushmds")
    await gateway.fault("stall_stream", "AAPL")
    await gateway.fault("mend_farm", "ushmds")
    await news.beyond(news.times + 2)
    assert len(gateway.seen.received("reqHistoricalData")) == 2
    assert [kind for kind, _ in gateway.seen.live_streams(7).values()] == ["reqHistoricalData"]


async def test_a_gap_longer_than_what_was_requested_is_filled_too(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    await connector.ib.reqHistoricalDataAsync(AAPL, "", "10 S", "5 secs", "TRADES", useRTH=False, keepUpToDate=True)
    await outage(connector, "reset")
    assert [request.fields[-6] for request in gateway.seen.received("reqHistoricalData")] == ["10 S", "61 S"]


async def test_who_waits_for_the_first_bars_at_1101_may_give_up(gateway: Gateway, make: Make, outage: Outage) -> None:
    """The library cancels the id of its first request. The connector has requested the bars again with another id."""
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "reqHistoricalData")
    waiting = asyncio.ensure_future(
        connector.ib.reqHistoricalDataAsync(
            AAPL, "", "1800 S", "5 secs", "TRADES", useRTH=False, keepUpToDate=True, timeout=0.6
        )
    )
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqHistoricalData"))
    await outage(connector, "1101")
    assert len(connector.subscriptions) == 1
    assert not waiting.done()
    assert not await waiting
    assert connector.subscriptions == ()
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("cancelHistoricalData")) == 2)
    asked, cancelled = (gateway.seen.received(name) for name in ("reqHistoricalData", "cancelHistoricalData"))
    assert [request.fields[1] for request in asked] == [request.fields[2] for request in cancelled]


@pytest.mark.parametrize("code", [10182, 10225])
async def test_ended_by_the_gateway_they_are_requested_once(
    code: int, gateway: Gateway, make: Make, counter: Counter
) -> None:
    """After 10225, the library itself would also request the bars, with an id that is in use."""
    connector = make(stream_pause=0.05)
    await connector.connect_async()
    bars = await ask(connector)
    real_time = connector.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    news, more = counter(bars.updateEvent), counter(real_time.updateEvent)
    await news.beyond(1)
    await more.beyond(1)
    codes: list[int] = []
    connector.ib.errorEvent.connect(lambda _, code, *__: codes.append(code), keep_ref=True)
    await gateway.fault("end_stream", "AAPL", code)
    await news.beyond(news.times)
    await more.beyond(more.times)
    assert codes == [code, code]
    assert [len(gateway.seen.received(name)) for name in ("reqHistoricalData", "reqRealTimeBars")] == [2, 2]
    assert set(gateway.seen.live_streams(7)) == {bars.reqId, real_time.reqId}


async def test_restored_into_an_outage_they_run_again_when_it_is_over(
    gateway: Gateway, make: Make, counter: Counter, state_of: StateOf
) -> None:
    """While its own connection is down, the historical service refuses the request and does not remember it."""
    connector = make(stream_pause=0.05)
    await connector.connect_async()
    bars = await ask(connector)
    news = counter(bars.updateEvent)
    await news.beyond(1)
    codes: list[int] = []
    connector.ib.errorEvent.connect(lambda _, code, *__: codes.append(code), keep_ref=True)
    await gateway.fault("lose_upstream")
    await gateway.fault("close")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqHistoricalData")) == 2)
    await state_of(connector, lambda status: 162 in codes)
    await gateway.fault("restore_upstream")
    await connector.wait_ready_async(10)
    await news.beyond(news.times + 2)
    assert connector.ib.realtimeBars() == [bars]


def bar(second: int, close: float = 1.0) -> BarData:
    return BarData(date=second, close=close)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("had", "live", "came", "joined", "new"),
    [
        ([], [], [5, 10], [5, 10], 2),
        ([5, 10], [], [10], [5, 10], 0),
        ([5, 10], [], [0, 5, 10, 15, 20], [5, 10, 15, 20], 2),
        ([5, 10], [], [20, 25], [5, 10, 20, 25], 2),
        ([5, 10], [], [0, 5], [5, 10], 0),
        ([5, 10], [25, 30], [0, 5, 10, 15, 20, 25], [5, 10, 15, 20, 25, 30], 2),
    ],
)
def test_joined(had: list[int], live: list[int], came: list[int], joined: list[int], new: int) -> None:
    bars = [bar(second) for second in had + live]
    old = list(bars)[: len(had)]
    since = had[-1] if had else None
    assert merge_bars(bars, [bar(second, 2.0) for second in came], since) == new
    assert [each.date for each in bars] == joined
    assert all(mine is theirs for mine, theirs in zip(bars, old[:-1], strict=False))
    if had and had[-1] in came:
        assert bars[len(had) - 1].close == 2.0, "the last one was not whole"


@pytest.mark.parametrize(
    ("duration", "gap", "asked"),
    [
        ("1800 S", 10, "1800 S"),
        ("60 S", 10, "70 S"),
        ("1800 S", 7200.2, "7261 S"),
        ("1800 S", 86400 * 2.5, "4 D"),
        ("1 D", 60, "1 D"),
        ("1 D", 20 * 3600, "2 D"),
        ("2 D", 20 * 3600, "2 D"),
        ("1 W", 3 * 86400, "1 W"),
        ("2 D", 3 * 86400, "4 D"),
        ("1 D", 400 * 86400, "1 D"),
        ("a while", 7200, "a while"),
    ],
)
def test_the_duration_reaches_over_the_gap(duration: str, gap: float, asked: str) -> None:
    assert extended_duration(duration, gap) == asked
