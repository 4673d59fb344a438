"""The official client with the simulated gateway: all requests for data, and nothing in its log."""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from ibkr.simulator import ThreadedGateway
from tests.clients import official

pytestmark = pytest.mark.ibapi
client_module = pytest.importorskip("ibapi.client")
wrapper_module = pytest.importorskip("ibapi.wrapper")
contract_module = pytest.importorskip("ibapi.contract")
scanner_module = pytest.importorskip("ibapi.scanner")

VERSIONS = official.versions(157, 178, 187, 193, 200, 201, 206, 209, 213, 225, 226)
FARMS = {2104, 2106, 2158}


class App(wrapper_module.EWrapper, client_module.EClient):  # type: ignore[name-defined]
    """Records the arguments of each callback."""

    def __init__(self) -> None:
        client_module.EClient.__init__(self, self)
        self.heard: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.changed = threading.Condition()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in ("heard", "changed") or not hasattr(wrapper_module.EWrapper, name):
            return found

        def call(*args: Any, **_: Any) -> None:
            with self.changed:
                self.heard[name].append(args)
                self.changed.notify_all()

        return call if callable(found) else found

    def run(self) -> None:
        """Do what the library's ``run`` does. That method fails if ``disconnect`` has already cleared the version."""
        try:
            super().run()
        except TypeError:
            if self.isConnected():
                raise

    def wait_for(self, *names: str) -> None:
        with self.changed:
            found = self.changed.wait_for(lambda: all(name in self.heard for name in names), 10)
        assert found, f"never heard {set(names) - set(self.heard)}; errors: {self.heard['error']}"


def contract(symbol: str, kind: str = "STK", exchange: str = "SMART") -> Any:
    made = contract_module.Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, kind, exchange, "USD"
    return made


@pytest.fixture(params=VERSIONS)
def app(request: pytest.FixtureRequest) -> Iterator[App]:
    with ThreadedGateway(server_version=request.param, tick_interval=0.5, speed=50) as gateway:
        made = App()
        made.connect("127.0.0.1", gateway.port, 7)
        thread = threading.Thread(target=made.run)
        thread.start()
        made.wait_for("nextValidId")
        yield made
        made.disconnect()
        thread.join(5)


def test_every_service(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    apple = contract("AAPL")
    ask_for_prices(app, apple)
    ask_for_ticks_and_depth(app, apple)
    ask_for_the_past(app, apple)
    ask_for_news_and_scans(app, apple)
    ask_for_what_there_is(app)
    if app.serverVersion() >= 167:
        app.reqUserInfo(26)
        app.reqWshMetaData(27)
        app.reqHistoricalData(28, apple, "", "3 D", "1 day", "SCHEDULE", 1, 1, False, [])
        app.wait_for("userInfo", "wshMetaData", "historicalSchedule")

    bars = [bar for req_id, bar in app.heard["historicalData"] if req_id == 4]
    assert len(bars) == 5
    assert all(0 < bar.low <= bar.close <= bar.high for bar in bars)
    assert {code for args in app.heard["error"] for code in args if code in FARMS} == FARMS
    assert len(app.heard["error"]) == 4
    assert [record.getMessage() for record in caplog.records if record.name.startswith("ibapi")] == []


def ask_for_prices(app: App, apple: Any) -> None:
    app.reqContractDetails(1, apple)
    app.reqContractDetails(2, contract("ES", "FUT", "CME"))
    app.reqMktData(3, apple, "233,236,258,292,165", False, False, [])
    app.reqHistoricalData(4, apple, "", "5 D", "1 day", "TRADES", 1, 1, False, [])
    app.reqHistoricalData(5, apple, "", "600 S", "5 secs", "TRADES", 0, 1, True, [])
    app.reqMatchingSymbols(6, "AA")
    app.reqSecDefOptParams(7, "AAPL", "", "STK", 265598)
    app.reqMarketRule(26)
    app.reqRealTimeBars(8, apple, 5, "TRADES", False, [])
    app.wait_for(
        "contractDetailsEnd", "tickPrice", "tickSize", "tickString", "tickGeneric", "tickReqParams", "tickNews"
    )
    app.wait_for("marketDataType", "historicalData", "historicalDataEnd", "historicalDataUpdate", "symbolSamples")
    app.wait_for(
        "securityDefinitionOptionParameter", "securityDefinitionOptionParameterEnd", "marketRule", "realtimeBar"
    )


def ask_for_ticks_and_depth(app: App, apple: Any) -> None:
    app.reqTickByTickData(9, apple, "Last", 3, False)
    app.reqTickByTickData(10, apple, "BidAsk", 0, False)
    app.reqTickByTickData(11, apple, "MidPoint", 0, False)
    app.reqMktDepth(12, apple, 5, True, [])
    future = contract_module.Contract()
    future.conId = 495512563
    app.reqMktDepth(13, future, 5, False, [])
    app.wait_for("tickByTickAllLast", "tickByTickBidAsk", "tickByTickMidPoint", "updateMktDepth", "updateMktDepthL2")


def ask_for_the_past(app: App, apple: Any) -> None:
    app.reqHeadTimeStamp(14, apple, "TRADES", 1, 1)
    app.reqHistogramData(15, apple, True, "3 days")
    for req_id, what in enumerate(("TRADES", "BID_ASK", "MIDPOINT"), start=16):
        app.reqHistoricalTicks(req_id, apple, "", "20240628 15:00:00 US/Eastern", 5, what, 1, True, [])
    app.wait_for("headTimestamp", "histogramData", "historicalTicks", "historicalTicksLast", "historicalTicksBidAsk")


def ask_for_news_and_scans(app: App, apple: Any) -> None:
    scan = scanner_module.ScannerSubscription()
    scan.instrument, scan.locationCode, scan.scanCode = "STK", "STK.US.MAJOR", "TOP_PERC_GAIN"
    app.reqScannerSubscription(19, scan, [], [])
    app.reqScannerParameters()
    app.reqNewsProviders()
    app.reqNewsArticle(20, "BRFG", "BRFG$00000001", [])
    app.reqHistoricalNews(21, 265598, "BRFG", "", "", 5, [])
    app.reqNewsBulletins(True)
    app.wait_for("scannerData", "scannerDataEnd", "scannerParameters", "newsProviders", "newsArticle", "historicalNews")
    app.wait_for("historicalNewsEnd", "updateNewsBulletin")
    if hasattr(client_module.EClient, "reqFundamentalData"):  # removed in 10.50
        app.reqFundamentalData(22, apple, "ReportSnapshot", [])
        app.wait_for("fundamentalData")


def ask_for_what_there_is(app: App) -> None:
    app.reqMktDepthExchanges()
    app.reqSmartComponents(23, "9c0001")
    app.reqFamilyCodes()
    app.reqSoftDollarTiers(24)
    app.reqMktData(25, contract("EUR", "CASH", "IDEALPRO"), "", True, False, [])
    app.wait_for("mktDepthExchanges", "smartComponents", "familyCodes", "softDollarTiers", "tickSnapshotEnd")
