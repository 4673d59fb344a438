"""Requests, cancels and pending answers while there is no session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ib_async import ScannerSubscription

from ibkr import ConnectionState, IBConnector, NotReady, Policy
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Ask, Counter, InStep, Make, StateOf

Lose = Callable[[IBConnector], Awaitable[None]]
SHORT = {"timeout": 0.2, "backoff_first": 0.05, "backoff_cap": 0.1}


@pytest.fixture
def lose(gateway: Gateway, state_of: StateOf) -> Lose:
    """The gateway is away, and the connector knows it."""

    async def lose(connector: IBConnector) -> None:
        await gateway.fault("silent")
        await gateway.fault("reset")
        await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)

    return lose


async def come_back(gateway: Gateway, connector: IBConnector) -> None:
    await gateway.fault("clear")
    await connector.wait_ready_async(5)


async def test_a_subscription_without_a_session_is_recorded_and_sent_at_restore(
    case: Any, gateway: Gateway, make: Make, ask: Ask, counter: Counter, in_step: InStep, lose: Lose
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    await lose(connector)
    async with asyncio.timeout(1):  # the call does not wait for the first answer
        thing = await ask(case, connector)
    news = counter(case.event(connector.ib, thing), case.fits)
    assert connector.age(thing) is None
    await come_back(gateway, connector)
    await news.beyond(0)
    await in_step(connector)
    case.cancel(connector.ib, thing)
    if case.cancels:
        assert connector.subscriptions == ()
        assert await in_step(connector) == set()


async def test_a_subscription_before_the_first_session_is_recorded(
    case: Any, gateway: Gateway, make: Make, ask: Ask, counter: Counter, in_step: InStep
) -> None:
    await gateway.fault("silent")
    connector = make(**SHORT)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await gateway.wait_for(lambda gateway: gateway.seen.connects)
    thing = await ask(case, connector)
    news = counter(case.event(connector.ib, thing), case.fits)
    await gateway.fault("clear")
    await connecting
    await connector.wait_ready_async(5)
    await news.beyond(0)
    await in_step(connector)


async def test_ids_given_before_the_first_session_are_exchanged_for_free_ones() -> None:
    """An open order of yesterday may have the same id. Then, an error about one order would change the other order."""
    async with Gateway(next_order_id=500, id_hold=0) as gateway:
        await gateway.fault("silent")
        connector = IBConnector("127.0.0.1", gateway.port, 7, 0.2, policy=Policy(backoff_first=0.05))
        connecting = asyncio.create_task(connector.connect_async(wait=True))
        await gateway.wait_for(lambda gateway: gateway.seen.connects)
        bars = connector.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
        assert 0 < bars.reqId < 500
        await gateway.fault("clear")
        await connecting
        await connector.wait_ready_async(5)
        assert bars.reqId >= 500
        assert set(gateway.seen.live_streams(7)) == {bars.reqId}
        await connector.disconnect_async()


MAPS = [
    "tickers",
    "reqId2Ticker",
    "reqId2Subscriber",
    "reqId2PnL",
    "reqId2PnlSingle",
    "pnlKey2ReqId",
    "pnlSingleKey2ReqId",
    "_reqId2Contract",
    "_results",
    "wshMetaReqId",
    "wshEventReqId",
]


def left_in(connector: IBConnector) -> dict[Any, Any]:
    """Return the keys that are left in the library's maps of subscriptions."""
    wrapper = connector.ib.wrapper
    found: dict[Any, Any] = {name: getattr(wrapper, name) for name in MAPS if getattr(wrapper, name)}
    return found | {of_type: ids for of_type, ids in wrapper.ticker2ReqId.items() if ids}


async def test_a_cancel_sends_nothing_and_leaves_nothing(
    case_with_cancel: Any, gateway: Gateway, make: Make, ask: Ask, lose: Lose
) -> None:
    case = case_with_cancel
    connector = make(**SHORT)
    await connector.connect_async()
    thing = await ask(case, connector)
    await lose(connector)
    case.cancel(connector.ib, thing)
    assert connector.subscriptions == ()
    assert left_in(connector) == {}
    asked = len(gateway.seen.received(case.request))
    await come_back(gateway, connector)
    await connector.ib.reqCurrentTimeAsync()
    by_start_up = len(connector.ib.managedAccounts()) if case.request == "reqAccountUpdatesMulti" else 0
    by_start_up += case.request == "reqAccountUpdates"
    assert len(gateway.seen.received(case.request)) == asked + by_start_up


ONE_SHOTS = {
    "contract details": ("reqContractDetails", lambda ib: ib.reqContractDetailsAsync(AAPL)),
    "snapshot": ("reqMktData", lambda ib: ib.reqTickersAsync(AAPL)),
    "bars": ("reqHistoricalData", lambda ib: ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True)),
    "first fill": (
        "reqHistoricalData",
        lambda ib: ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True, keepUpToDate=True),
    ),
    "scan": ("reqScannerSubscription", lambda ib: ib.reqScannerDataAsync(_scan())),
    "summary": ("reqAccountSummary", lambda ib: ib.reqAccountSummaryAsync()),
    "open orders": ("reqAllOpenOrders", lambda ib: ib.reqAllOpenOrdersAsync()),
}


def _scan() -> Any:
    return ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN")


@pytest.mark.parametrize("end", ["reset", "disconnect", "disconnect_async"])
@pytest.mark.parametrize("name", ONE_SHOTS)
async def test_what_pends_when_the_session_ends_gets_an_error_at_once(
    name: str, end: str, gateway: Gateway, make: Make
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    request, call = ONE_SHOTS[name]
    await gateway.fault("mute", request)
    pending = asyncio.ensure_future(call(connector.ib))
    await gateway.wait_for(lambda gateway: gateway.seen.received(request))
    if end == "reset":
        await gateway.fault("reset")
    elif end == "disconnect":
        connector.disconnect()
    else:
        await connector.disconnect_async()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pending, 10)
    if end == "reset":
        await gateway.fault("clear")
        await connector.wait_ready_async(5)
    assert connector.subscriptions == ()


@pytest.mark.parametrize("name", ["contract details", "snapshot", "bars", "open orders"])
async def test_a_one_shot_without_a_session_raises_and_leaves_nothing(
    name: str, gateway: Gateway, make: Make, in_step: InStep, lose: Lose
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    await lose(connector)
    with pytest.raises(NotReady, match="the request was not sent"):
        await asyncio.wait_for(asyncio.ensure_future(_called(ONE_SHOTS[name][1], connector)), 10)
    assert not connector.ib.wrapper.tickers
    assert not connector.ib.wrapper.reqId2Ticker
    await come_back(gateway, connector)
    assert not connector.ib.wrapper._futures
    assert await in_step(connector) == set()


async def _called(call: Callable[[Any], Any], connector: IBConnector) -> Any:
    return await call(connector.ib)


async def test_what_waits_for_the_first_session_is_told_of_a_disconnect(gateway: Gateway, make: Make) -> None:
    await gateway.fault("silent")
    connector = make(**SHORT)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await gateway.wait_for(lambda gateway: gateway.seen.connects)
    scan = asyncio.ensure_future(ONE_SHOTS["scan"][1](connector.ib))
    await asyncio.sleep(0)
    connector.disconnect()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(scan, 10)
    assert await connecting is False


async def test_nothing_is_recorded_where_no_session_is_wanted(make: Make) -> None:
    connector = make(**SHORT)
    with pytest.raises(ConnectionError):
        connector.ib.reqMktData(AAPL)
    await connector.connect_async()
    connector.ib.reqMktData(AAPL)
    await connector.disconnect_async()
    with pytest.raises(ConnectionError):
        connector.ib.reqMktData(AAPL)
    await connector.connect_async()
    assert connector.subscriptions == ()
    assert connector.ib.tickers() == []


async def test_the_market_data_type_set_without_a_session_is_sent_first(
    gateway: Gateway, make: Make, lose: Lose
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    await lose(connector)
    connector.ib.reqMarketDataType(3)
    connector.ib.reqMktData(AAPL)
    await come_back(gateway, connector)
    names = [request.name for request in gateway.seen.requests if request.name in ("reqMarketDataType", "reqMktData")]
    assert names == ["reqMarketDataType", "reqMktData"]


async def test_a_subscription_that_can_never_be_sent_is_dropped(
    gateway: Gateway, make: Make, state_of: StateOf, lose: Lose
) -> None:
    class Unsendable:
        def __str__(self) -> str:
            raise ValueError("no text")

    connector = make(**SHORT)
    await connector.connect_async()
    await lose(connector)
    connector.ib.reqMktData(AAPL, Unsendable())  # type: ignore[arg-type]
    await come_back(gateway, connector)
    assert connector.subscriptions == ()
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is not ConnectionState.READY)
    await gateway.fault("1101")
    await connector.wait_ready_async(5)
    assert gateway.seen.connects == 2
