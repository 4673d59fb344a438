"""One-shot requests end with an answer, or with a TimeoutError that names the request and the cure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ib_async import IB, LimitOrder, Option, Stock

from ibkr import Deadlines, IBConnector
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make

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
}
"""By the request of the gateway that stays unanswered."""


def left(connector: IBConnector) -> list[Any]:
    """What is left in the library's maps of requests."""
    wrapper = connector.ib.wrapper
    shared = {"openOrders", "currentTime"}  # start-up and probes use these, too
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
    assert [record.getMessage() for record in caplog.records] == []
    assert left(connector) == before
    assert internals.request_timers(connector) == {}


@pytest.mark.parametrize("request_name", REQUESTS)
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
