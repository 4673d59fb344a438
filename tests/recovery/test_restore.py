"""Restore: rate, refusals, a closed market, order books, ages, and its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from ib_async import Contract, DOMLevel, LimitOrder, Stock

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, STOCKS, Ask, Counter, InStep, Make, Outage, StateOf, Stopwatch

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED


@pytest.mark.slow
async def test_300_subscriptions_are_back_at_the_pace_that_a_gateway_allows(
    stopwatch: Stopwatch, state_of: StateOf
) -> None:
    async with Gateway(lines=300, tick_interval=1.0, id_hold=0) as gateway:
        options = [item for item in gateway._state.instruments if item.sec_type == "OPT" and item.market_data == "live"]
        connector = IBConnector("127.0.0.1", gateway.port, 7)
        await connector.connect_async()
        for item in options[:300]:
            connector.ib.reqMktData(Contract(secType="OPT", conId=item.con_id, symbol=item.symbol, exchange="SMART"))
        await gateway.wait_for(lambda gateway: len(gateway.seen.live_subscriptions(7)) == 300, 15)
        old = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
        await gateway.wait_for(lambda gateway: gateway.orders)
        elapsed = stopwatch()
        await gateway.fault("reset")
        await state_of(connector, lambda status: status.outages == 1 and status.may_trade)
        urgent_since = time.monotonic()
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 2.0))
        connector.ib.cancelOrder(old.order)
        await gateway.wait_for(lambda gateway: gateway.seen.received("cancelOrder"))
        urgent = [*gateway.seen.received("placeOrder")[1:], *gateway.seen.received("cancelOrder")]
        assert len(urgent) == 2
        arrived = max(request.time for request in urgent)
        before_them = [each for each in gateway.seen.received("reqMktData") if urgent_since < each.time < arrived]
        assert len(before_them) <= 0.1 * 40 + 8, "within 0.1 s, by the pace: a loaded machine slows down both"
        assert len(gateway.seen.live_subscriptions(7)) < 300, "the restore is under way"
        await gateway.wait_for(lambda gateway: len(gateway.seen.live_subscriptions(7)) == 300, 15)
        await connector.wait_ready_async(5)
        assert elapsed() < 300 / 40 + 0.5
        times = [request.time for request in gateway.seen.requests if request.time >= gateway.seen.attempts[-1]]
        most = max(sum(start <= at < start + 1 for at in times) for start in times)
        assert most <= 50
        assert set(gateway.seen.live_subscriptions(7)) == set(internals.subscription_ids(connector))
        await connector.disconnect_async()


async def test_in_a_closed_market_it_is_ready_all_the_same(
    cases: dict[str, Any], gateway: Gateway, make: Make, ask: Ask, outage: Outage, in_step: InStep
) -> None:
    gateway.market_is_open = False
    await gateway.fault("break_farm")  # so even the first message of a subscription does not come
    connector = make()
    await connector.connect_async()
    for name in ("market data", "tick-by-tick", "depth", "real-time bars", "PnL"):
        await ask(cases[name], connector)
    await outage(connector, "reset")
    assert connector.status.state is READY
    assert len(await in_step(connector)) == 5


async def test_one_of_ten_refused_after_a_restart_is_named_and_the_others_go_on(
    gateway: Gateway, make: Make, in_step: InStep, counter: Counter, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    tickers = [connector.ib.reqMktData(stock) for stock in STOCKS[:10]]
    news = [counter(ticker.updateEvent) for ticker in tickers]
    for each in news:
        await each.beyond(0)
    gateway._state.settings = _with_lines(gateway, 9)
    await gateway.fault("restart", 0.3)
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert status.reason.startswith(f"subscriptions refused: {STOCKS[9].symbol} (101: ")
    assert status.codes == (101,)
    assert status.may_trade
    for each in news[:9]:
        await each.beyond(each.times)
    assert len(await in_step(connector)) == 9
    assert connector.ib.cancelMktData(STOCKS[9]) is not False
    await connector.wait_ready_async(5)


async def test_a_refused_subscription_may_be_only_reported(
    gateway: Gateway, make: Make, counter: Counter, state_of: StateOf
) -> None:
    connector = make(missing_subscriptions="report")
    await connector.connect_async()
    tickers = [connector.ib.reqMktData(stock) for stock in STOCKS[:2]]
    for each in [counter(ticker.updateEvent) for ticker in tickers]:
        await each.beyond(0)
    gateway._state.settings = _with_lines(gateway, 1)
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: "subscriptions refused" in status.reason)
    assert status.state is READY


def _with_lines(gateway: Gateway, lines: int) -> Any:
    return replace(gateway._state.settings, lines=lines)


async def test_rows_that_come_after_the_cancel_are_in_no_book(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    ticker = ib.reqMktDepth(AAPL)
    [old] = ib.wrapper.ticker2ReqId["mktDepth"].values()
    ib.cancelMktDepth(AAPL)
    ib.wrapper.updateMktDepthL2(old, 0, "", 0, 1, 1.0, 1)  # the gateway had sent this row before the cancel
    assert ticker.domBids == []


async def test_auto_open_orders_stay_as_the_program_has_set_them(gateway: Gateway, make: Make, outage: Outage) -> None:
    """Start-up of client 0 switches them on."""
    connector = make(client_id=0)
    await connector.connect_async()
    connector.ib.reqAutoOpenOrders(False)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqAutoOpenOrders")) == 2)
    await outage(connector, "reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqAutoOpenOrders")) == 4)
    asked = [request.fields[-1] for request in gateway.seen.received("reqAutoOpenOrders")]
    assert asked == ["1", "0", "1", "0"]
    assert internals.is_restore_complete(connector)


def plant(ticker: Any, side: str) -> DOMLevel:
    """Add a row that the next book does not have. ib_async makes the list from the rows that it keeps by position."""
    row = DOMLevel(1.0, 1, "planted")
    getattr(ticker, side).append(row)
    getattr(ticker, f"{side}Dict", {})[77] = row
    return row


async def test_the_book_begins_again(gateway: Gateway, make: Make, outage: Outage, counter: Counter) -> None:
    """Rows from before the loss are removed if the gateway does not send them again."""
    connector = make()
    await connector.connect_async()
    ticker = connector.ib.reqMktDepth(AAPL, 5, True)
    news = counter(ticker.updateEvent)
    await news.beyond(0)
    for name in ("reset", "1101"):
        row = plant(ticker, "domBids")
        await outage(connector, name)
        while row in ticker.domBids or not ticker.domBids:
            await news.beyond(news.times)
        assert len(ticker.domBids) <= 5
    for code in (316, 317):
        row = plant(ticker, "domAsks")
        await gateway.fault("end_stream", "AAPL", code)
        while row in ticker.domAsks or not ticker.domAsks:
            await news.beyond(news.times)
        assert len(ticker.domAsks) <= 5
    connector.ib.cancelMktDepth(AAPL, True)
    await gateway.wait_for(lambda gateway: not gateway.seen.live_streams(7))


async def test_age_is_of_this_session(
    case: Any, gateway: Gateway, make: Make, ask: Ask, counter: Counter, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    assert connector.age(object()) is None
    thing = await ask(case, connector)
    has_none = thing is None or case.name == "display group"  # the library has no object for these kinds
    if has_none or (isinstance(thing, list) and not hasattr(thing, "reqId")):
        assert connector.age(thing) is None
        return
    news = counter(case.event(connector.ib, thing))
    await news.beyond(0 if case.name != "scanner" or not thing else -1)
    age = connector.age(thing)
    assert age is not None
    assert 0 <= age < 1
    await gateway.fault("silent")
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
    assert connector.age(thing) is None
    await connector.disconnect_async()
    assert connector.age(thing) is None


async def test_await_and_async_for_go_on(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    bars = connector.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    ticker = connector.ib.reqMktData(AAPL)
    seen: list[int] = []

    async def follow() -> None:
        async for updated, _ in bars.updateEvent:
            seen.append(len(updated))

    following = asyncio.create_task(follow())
    for name in ("reset", "1101"):
        await outage(connector, name)
        assert await asyncio.wait_for(ticker.updateEvent, 5) is ticker
        so_far = len(seen)
        await gateway.wait_for(lambda gateway, so_far=so_far: len(seen) > so_far + 1)
        assert not following.done()
    connector.disconnect()
    await asyncio.wait_for(following, 10)


@pytest.mark.parametrize("end", ["disconnect", "disconnect in an outage", "failed"])
async def test_events_are_done_with_the_callers_own_end_and_no_sooner(
    end: str, gateway: Gateway, make: Make, cases: dict[str, Any], ask: Ask, outage: Outage, state_of: StateOf
) -> None:
    connector = make()
    await connector.connect_async()
    names = ("market data", "real-time bars", "historical bars", "scanner")
    things = [await ask(cases[name], connector) for name in names]
    await outage(connector, "reset")
    assert [thing.updateEvent.done() for thing in things] == [False] * 4
    if end == "failed":
        internals.break_gap_reports(connector)  # this causes an error in our own code
        await gateway.fault("1101")
        await state_of(connector, lambda status: status.state is ConnectionState.FAILED)
    elif end == "disconnect in an outage":
        await gateway.fault("silent")
        await gateway.fault("reset")
        await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
        assert not things[0].updateEvent.done()
        await connector.disconnect_async()
    else:
        await connector.disconnect_async()
    assert [thing.updateEvent.done() for thing in things] == [True] * 4
    assert connector.ib.tickers() == []
    assert connector.ib.realtimeBars() == []


@pytest.mark.parametrize("fault", ["reset", "1101"])
async def test_each_is_requested_again_with_its_own_type_of_market_data(
    gateway: Gateway, make: Make, outage: Outage, counter: Counter, fault: str
) -> None:
    """One ticker has only delayed data. It was requested with this type before the program changed to live data."""
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    live = ib.reqMktData(AAPL)
    ib.reqMarketDataType(3)
    delayed = ib.reqMktData(Stock("BMW", "SMART", "EUR", conId=14094))
    ib.reqMarketDataType(1)
    tickers = [counter(ticker.updateEvent) for ticker in (live, delayed)]
    for ticker in tickers:
        await ticker.beyond(3)
    await outage(connector, fault)
    assert connector.status.state is READY
    for ticker in tickers:
        await ticker.beyond(ticker.times + 3)
    assert [int(request.fields[2]) for request in gateway.seen.received("reqMarketDataType")][-1] == 1


@pytest.mark.parametrize("burst", [2, 12], ids=["in start-up", "in restore"])
@pytest.mark.parametrize("reaction", ["cancel", "request"])
async def test_a_listener_of_the_throttle_may_change_subscriptions_while_they_are_restored(
    reaction: str, burst: int, gateway: Gateway, make: Make, in_step: InStep, outage: Outage
) -> None:
    connector = make(send_rate=20.0, send_burst=burst)
    await connector.connect_async()
    ib = connector.ib
    for stock in STOCKS[:20]:
        ib.reqMktData(stock)
    await in_step(connector)
    reacted: list[str] = []

    def react() -> None:
        if connector.status.outages and not reacted:
            reacted.append(reaction)
            ib.cancelMktData(STOCKS[19]) if reaction == "cancel" else ib.reqMktData(STOCKS[20])

    ib.client.throttleStart += react
    await outage(connector, "reset")
    await in_step(connector)
    assert (reacted, gateway.seen.connects) == ([reaction], 2)
    assert len(connector.subscriptions) == (19 if reaction == "cancel" else 21)
