"""One-shot requests end with an answer, or with a TimeoutError that names the request and the cure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ib_async import IB, LimitOrder, Option, ScannerSubscription, Stock, WshEventData

from ibkr import Deadlines, IBConnector
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf

OPTION = Option("AAPL", "20270115", 200, "C", "SMART")
SHORT = Deadlines(0.1, 0.1, 0.1, 0.1, 0.1)
REQUESTS: dict[str, Callable[[IB], Awaitable[Any]]] = {
    "reqContractDetails": lambda ib: ib.reqContractDetailsAsync(AAPL),
    "reqHistoricalData": lambda ib: ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True),
    "reqHeadTimeStamp": lambda ib: ib.reqHeadTimeStampAsync(AAPL, "TRADES", True, 1),
    "reqHistogramData": lambda ib: ib.reqHistogramDataAsync(AAPL, True, "1 day"),
    "reqHistoricalTicks": lambda ib: ib.reqHistoricalTicksAsync(AAPL, "", "20260302 16:00:00", 10, "TRADES", True),
    "reqSecDefOptParams": lambda ib: ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598),
    "reqMatchingSymbols": lambda ib: ib.reqMatchingSymbolsAsync("AAPL"),
    "reqMktDepthExchanges": lambda ib: ib.reqMktDepthExchangesAsync(),
    "reqMarketRule": lambda ib: ib.reqMarketRuleAsync(26),
    "reqNewsProviders": lambda ib: ib.reqNewsProvidersAsync(),
    "reqScannerParameters": lambda ib: ib.reqScannerParametersAsync(),
    "reqPositions": lambda ib: ib.reqPositionsAsync(),
    "reqExecutions": lambda ib: ib.reqExecutionsAsync(),
    "reqCompletedOrders": lambda ib: ib.reqCompletedOrdersAsync(False),
    "reqAllOpenOrders": lambda ib: ib.reqAllOpenOrdersAsync(),
    "reqAccountSummary": lambda ib: ib.accountSummaryAsync(),
    "reqMktData": lambda ib: ib.reqTickersAsync(AAPL),
    "placeOrder": lambda ib: ib.whatIfOrderAsync(AAPL, LimitOrder("BUY", 1, 1.0)),
    "reqScannerSubscription": lambda ib: ib.reqScannerDataAsync(
        ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN")
    ),
    "reqHistoricalNews": lambda ib: ib.reqHistoricalNewsAsync(265598, "BRFG", datetime(2026, 3, 2, tzinfo=UTC), "", 5),
    "calculateImpliedVolatility": lambda ib: ib.calculateImpliedVolatilityAsync(OPTION, 10.0, 200.0),
    "calculateOptionPrice": lambda ib: ib.calculateOptionPriceAsync(OPTION, 0.2, 200.0),
    "requestFA": lambda ib: ib.requestFAAsync(1),
    "reqWshMetaData": lambda ib: ib.getWshMetaDataAsync(),
    "reqWshEventData": lambda ib: ib.getWshEventDataAsync(WshEventData(filter="{}")),
}
"""Calls of the library, by the name of the request that they send."""


def left(connector: IBConnector) -> list[Any]:
    """Return the keys that are left in the library's maps of requests."""
    wrapper = connector.ib.wrapper
    shared = {"openOrders", "currentTime"}  # start-up and probes also use these
    maps = wrapper._futures, wrapper._results, wrapper._reqId2Contract, wrapper.reqId2Ticker, wrapper.tickers
    return [key for each in (*maps, *wrapper.ticker2ReqId.values()) for key in each if key not in shared]


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_an_unanswered_request_raises_an_error_with_its_name_and_a_late_answer_is_dropped(
    request_name: str, gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(deadlines=SHORT, probe_apart=0.01)
    await connector.connect_async()
    ib: Any = connector.ib
    before = left(connector)
    await gateway.fault("delay", 0.25)
    with pytest.raises(TimeoutError, match=r"was not answered within 0.1 s: .*\[ibkr.deadlines\]"):
        await REQUESTS[request_name](ib)
    assert gateway.seen.received(request_name)
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        await gateway.fault("delay", 0)
        for _ in range(3):
            await ib.reqCurrentTimeAsync()
    messages = [record.getMessage() for record in caplog.records]
    assert [message for message in messages if "non FA customers" not in message] == []
    assert left(connector) == before
    assert internals.kept_timeouts(connector) == {}
    assert internals.request_timers(connector) == {}


WITHOUT_ID = {
    "reqAccountUpdates": lambda ib: ib.reqAccountUpdatesAsync("DU1234567"),
    "reqOpenOrders": lambda ib: ib.reqOpenOrdersAsync(),
    "reqPositions": REQUESTS["reqPositions"],
    "reqAllOpenOrders": REQUESTS["reqAllOpenOrders"],
    "reqCompletedOrders": REQUESTS["reqCompletedOrders"],
    "reqMktDepthExchanges": REQUESTS["reqMktDepthExchanges"],
    "reqNewsProviders": REQUESTS["reqNewsProviders"],
    "reqMarketRule": REQUESTS["reqMarketRule"],
    "reqScannerParameters": REQUESTS["reqScannerParameters"],
}


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "unanswered"])
@pytest.mark.parametrize("request_name", WITHOUT_ID)
async def test_requests_without_an_id_that_are_made_at_the_same_time_all_end(
    request_name: str, is_answered: bool, gateway: Gateway, make: Make
) -> None:
    connector = make(deadlines=None if is_answered else SHORT, probe_apart=0.01)
    await connector.connect_async()
    ib: Any = connector.ib
    if not is_answered:
        await gateway.fault("mute", request_name)
    tasks = [asyncio.ensure_future(WITHOUT_ID[request_name](ib)) for _ in range(3)]
    given_up = asyncio.ensure_future(asyncio.wait_for(WITHOUT_ID[request_name](ib), 0.001))
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, TimeoutError) for answer in answers] == [not is_answered] * 3
    assert answers[0] == answers[1] == answers[2] or not is_answered
    assert isinstance(await asyncio.gather(given_up, return_exceptions=True), list)


async def test_requests_without_an_id_all_end_with_the_session(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=None)
    await connector.connect_async()
    await gateway.fault("mute", "reqPositions")
    ib: Any = connector.ib
    tasks = [asyncio.ensure_future(ib.reqPositionsAsync()) for _ in range(3)]
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqPositions")) == 4)
    await connector.disconnect_async()
    async with asyncio.timeout(1):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError] * 3


@pytest.mark.parametrize("request_name", sorted(REQUESTS.keys() - {"requestFA"}))  # its refusal has no id
async def test_an_answered_request_leaves_no_timer(request_name: str, make: Make, gateway: Gateway) -> None:
    connector = make(deadlines=Deadlines(*[5.0] * 5))
    await connector.connect_async()
    ib: Any = connector.ib
    await REQUESTS[request_name](ib)
    assert internals.request_timers(connector) == {}


async def test_the_error_names_the_contract(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=SHORT, probe_apart=0.01)
    await connector.connect_async()
    await gateway.fault("mute", "reqContractDetails")
    with pytest.raises(TimeoutError, match=r"^reqContractDetails for XYZ OPT SMART was not answered within 0\.1 s: "):
        await connector.ib.reqContractDetailsAsync(Option("XYZ", "20260320", 100, "C", "SMART"))


async def test_bars_that_are_kept_up_to_date_and_never_come_are_forgotten(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=SHORT, probe_apart=0.01)
    await connector.connect_async()
    await gateway.fault("mute", "reqHistoricalData")
    with pytest.raises(TimeoutError, match="reqHistoricalData for AAPL"):
        await connector.ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True, keepUpToDate=True)
    assert connector.subscriptions == ()
    assert connector.ib.wrapper.reqId2Subscriber == {}


async def test_a_timeout_that_the_caller_passes_goes_first(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=SHORT, probe_apart=0.01)
    await connector.connect_async()
    await gateway.fault("mute", "reqHistoricalData")
    bars = await connector.ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True, timeout=0.2)
    assert list(bars) == [], "as the library's documentation has it"
    assert left(connector) == []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connector.ib.reqContractDetailsAsync(Stock("NONE")), 0)


@pytest.mark.parametrize("deadlines", [None, Deadlines(reference=None)])
async def test_without_a_deadline_it_waits(deadlines: Any, gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=deadlines)
    await connector.connect_async()
    await gateway.fault("mute", "reqContractDetails")
    task = asyncio.ensure_future(connector.ib.reqContractDetailsAsync(AAPL))
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqContractDetails"))
    assert internals.request_timers(connector) == {}
    await connector.disconnect_async()
    with pytest.raises(ConnectionError):
        await task


async def test_a_request_that_waits_to_be_sent_is_not_overdue(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=Deadlines(reference=0.2), send_rate=10.0, send_burst=1)
    await connector.connect_async()
    requests = [connector.ib.reqMatchingSymbolsAsync("AAPL") for _ in range(4)]
    assert all(await asyncio.gather(*requests))


async def test_start_up_has_limits_of_its_own(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=Deadlines(*[0.01] * 5))
    await gateway.fault("delay", 0.05)
    await connector.connect_async()
    assert connector.status.state == "READY"


FIRST_ANSWERS: dict[str, Callable[[IB], Awaitable[Any]]] = {
    "reqAccountSummary": lambda ib: ib.reqAccountSummaryAsync(),
    "reqAccountUpdatesMulti": lambda ib: ib.reqAccountUpdatesMultiAsync("DU1234567", "model"),
    "reqHistoricalData": lambda ib: ib.reqHistoricalDataAsync(
        AAPL, "", "1 D", "1 hour", "TRADES", True, keepUpToDate=True
    ),
}


@pytest.mark.parametrize("request_name", FIRST_ANSWERS)
async def test_after_1101_the_first_answer_of_a_stream_still_has_a_deadline(
    request_name: str, gateway: Gateway, make: Make
) -> None:
    connector = make(deadlines=Deadlines(*[0.5] * 5))
    await connector.connect_async()
    await gateway.fault("mute", request_name)
    task = asyncio.ensure_future(FIRST_ANSWERS[request_name](connector.ib))
    before = len(gateway.seen.received(request_name))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received(request_name)) > before)
    await gateway.fault("1100")
    await gateway.fault("1101")
    with pytest.raises(TimeoutError, match=f"{request_name}.* was not answered within 0.5 s"):
        async with asyncio.timeout(5):
            await task
    assert internals.request_timers(connector) == {}


async def test_a_timeout_of_the_caller_still_goes_first_after_1101(gateway: Gateway, make: Make) -> None:
    connector = make(deadlines=SHORT)
    await connector.connect_async()
    await gateway.fault("mute", "reqHistoricalData")
    bars = asyncio.ensure_future(
        connector.ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", True, keepUpToDate=True, timeout=0.6)
    )
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqHistoricalData"))
    await gateway.fault("1100")
    await gateway.fault("1101")
    assert list(await bars) == []


@pytest.mark.parametrize("request_name", ["reqAccountSummary", "reqAccountUpdatesMulti"])
async def test_a_stream_whose_first_answer_is_late_goes_on(
    request_name: str, gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(deadlines=SHORT, probe_apart=0.01)
    await connector.connect_async()
    await gateway.fault("delay", 0.25)
    with pytest.raises(TimeoutError):
        await FIRST_ANSWERS[request_name](connector.ib)
    await gateway.fault("delay", 0)
    (told,) = connector.subscriptions
    if told.state != "live":
        await subscription_live(connector)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.state == "READY")
    (told,) = connector.subscriptions
    if told.state != "live":
        await subscription_live(connector)


async def subscription_live(connector: IBConnector) -> None:
    """Wait until a subscription is live."""
    is_live = asyncio.Event()
    stop = connector.on_subscription(lambda told: is_live.set() if told.state == "live" else None)
    async with asyncio.timeout(5):
        await is_live.wait()
    stop()


async def test_a_late_answer_to_a_request_without_an_id_is_not_the_answer_to_the_next(
    gateway: Gateway, make: Make
) -> None:
    connector = make(deadlines=Deadlines(*[0.6] * 5), probe_apart=0.01)
    await connector.connect_async()
    ib: Any = connector.ib
    await gateway.fault("delay", 0.8)
    with pytest.raises(TimeoutError):
        await ib.reqAllOpenOrdersAsync()
    gateway.place_order("AAPL", "BUY", 10, limit_price=1.0, client_id=99)
    requested = asyncio.ensure_future(ib.reqAllOpenOrdersAsync())
    await gateway.fault("delay", 0.3)
    assert [trade.contract.symbol for trade in await requested] == ["AAPL"]


async def test_a_request_without_an_id_that_is_never_answered_costs_one_more(gateway: Gateway, make: Make) -> None:
    """Nothing distinguishes the next answer from a late one."""
    connector = make(deadlines=Deadlines(*[0.3] * 5), probe_apart=0.01)
    await connector.connect_async()
    ib: Any = connector.ib
    await gateway.fault("mute", "reqAllOpenOrders")
    with pytest.raises(TimeoutError):
        await ib.reqAllOpenOrdersAsync()
    await gateway.fault("clear")
    gateway.place_order("AAPL", "BUY", 10, limit_price=1.0, client_id=99)
    with pytest.raises(TimeoutError):
        await ib.reqAllOpenOrdersAsync()
    assert [trade.contract.symbol for trade in await ib.reqAllOpenOrdersAsync()] == ["AAPL"]
