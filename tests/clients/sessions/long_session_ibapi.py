"""A long session of a recent official client: ``long_session_ibapi.py PORT``.

The session sends every kind of request and its cancel. It prints one JSON document: what the client received in each
step, and everything that the client logged.
"""

import json
import sys
from typing import Any

from ibapi.common import WshEventData
from ibapi.contract import Contract
from ibapi.scanner import ScannerSubscription
from official_app import App, OrderCancel, connected, disconnected, order, stock
from told import details

AAPL, SPY = 265598, 756733


def session(app: App) -> dict[str, Any]:
    app.reqCurrentTime()
    has_milliseconds = app.serverVersion() >= 197
    if has_milliseconds:
        app.reqCurrentTimeInMillis()
    app.reqIds(1)
    app.reqAccountUpdates(True, "")
    app.reqAccountUpdatesMulti(301, "DU1234567", "", False)
    app.reqPositions()
    app.reqPositionsMulti(302, "DU1234567", "")
    app.reqAccountSummary(303, "All", "NetLiquidation")
    app.reqPnL(304, "DU1234567", "")
    app.reqPnLSingle(305, "DU1234567", "", AAPL)
    app.reqUserInfo(306)
    app.reqFamilyCodes()
    times = [*app.until("currentTime"), *(app.until("currentTimeInMillis") if has_milliseconds else ())]
    app.until("accountDownloadEnd")
    app.until("accountUpdateMultiEnd", 301)
    app.until("positionEnd")
    app.until("positionMultiEnd", 302)
    app.until("accountSummaryEnd", 303)
    app.until("userInfo", 306)
    app.until("familyCodes")
    pnl, single = app.until("pnl", 304), app.until("pnlSingle", 305)
    app.reqAccountUpdates(False, "")
    app.cancelAccountUpdatesMulti(301)
    app.cancelPositions()
    app.cancelPositionsMulti(302)
    app.cancelAccountSummary(303)
    app.cancelPnL(304)
    app.cancelPnLSingle(305)
    held = [[item[0].symbol, float(item[1])] for item in app.heard["updatePortfolio"]]
    return {
        "times": times,
        "held": sorted(held),
        "positions": sorted([args[1].symbol, float(args[2])] for args in app.heard["position"]),
        "pnl": list(map(float, [*pnl[1:], *single[1:]])),
    }


def contracts(app: App) -> dict[str, Any]:
    future, option = Contract(), stock("AAPL")
    future.symbol, future.secType, future.exchange, future.currency = "ES", "FUT", "CME", "USD"
    app.reqContractDetails(311, stock("AAPL"))
    app.reqContractDetails(312, future)
    app.reqSecDefOptParams(313, "AAPL", "", "STK", AAPL)
    app.reqMatchingSymbols(314, "AA")
    app.reqMarketRule(26)
    app.reqMktDepthExchanges()
    app.reqSmartComponents(315, "9c0001")
    app.reqSoftDollarTiers(316)
    _, _, _, trading_class, multiplier, expirations, strikes = app.until("securityDefinitionOptionParameter", 313)
    option.secType, option.right, option.tradingClass, option.multiplier = "OPT", "C", trading_class, multiplier
    option.lastTradeDateOrContractMonth, option.strike = min(expirations), sorted(strikes)[len(strikes) // 2]
    app.reqContractDetails(317, option)
    for req_id in (311, 312, 317):
        app.until("contractDetailsEnd", req_id)
    app.until("securityDefinitionOptionParameterEnd", 313)
    [found] = [args[1] for args in app.heard["contractDetails"] if args[0] == 317]
    [es] = [args[1] for args in app.heard["contractDetails"] if args[0] == 312][:1]
    return {
        "details": details(app.until("contractDetails", 311)[1]),
        "future": [es.contract.symbol, es.contract.multiplier, es.minTick, es.contract.secType],
        "option": [found.contract.secType, found.contract.right, found.contract.strike == option.strike],
        "symbols": sorted({item.contract.symbol for item in app.until("symbolSamples", 314)[1]}),
        "rule": [step.increment for step in app.until("marketRule", 26)[1]],
        "others": [len(app.until("mktDepthExchanges")[0]) > 0, app.until("smartComponents", 315)[0]],
        "tiers": app.until("softDollarTiers", 316)[0],
    }


def market_data(app: App) -> dict[str, Any]:
    apple = stock("AAPL")
    app.reqMarketDataType(1)
    app.reqMktData(321, apple, "233", False, False, [])
    app.reqMktData(322, apple, "", True, False, [])
    app.reqTickByTickData(323, apple, "Last", 0, False)
    app.reqTickByTickData(324, apple, "BidAsk", 0, False)
    app.reqTickByTickData(325, apple, "MidPoint", 0, False)
    app.reqMktDepth(326, apple, 5, True, [])
    app.reqRealTimeBars(327, apple, 5, "TRADES", False, [])
    bid, ask, last = (app.until("tickPrice", 321, kind)[2] for kind in (1, 2, 4))
    app.until("tickSnapshotEnd", 322)
    *_, traded = app.until("tickByTickAllLast", 323)[:5]
    quoted, middle = app.until("tickByTickBidAsk", 324), app.until("tickByTickMidPoint", 325)
    depth, bar = app.until("updateMktDepthL2", 326), app.until("realtimeBar", 327)
    app.cancelMktData(321)
    for req_id in (323, 324, 325):
        app.cancelTickByTickData(req_id)
    app.cancelMktDepth(326, True)
    app.cancelRealTimeBars(327)
    return {
        "quotes": [bid, last, ask],
        "ticks": [quoted[2], middle[2], quoted[3]],
        "traded": float(traded),
        "depth": float(depth[5]),
        "bar": [bar[4], bar[2], bar[5], bar[3]],
    }


def history(app: App) -> dict[str, Any]:
    apple = stock("AAPL")
    app.reqHistoricalData(331, apple, "", "5 D", "1 day", "TRADES", 1, 1, False, [])
    app.reqHistoricalData(332, apple, "", "600 S", "5 secs", "TRADES", 0, 1, True, [])
    app.reqHistoricalData(333, apple, "", "3 D", "1 day", "SCHEDULE", 1, 1, False, [])
    app.reqHeadTimeStamp(334, apple, "TRADES", 1, 1)
    app.reqHistogramData(335, apple, True, "3 days")
    app.reqHistoricalTicks(336, apple, "", "20240628 15:00:00 US/Eastern", 5, "TRADES", 1, True, [])
    app.until("historicalDataEnd", 331)
    app.until("historicalDataEnd", 332)
    update = app.until("historicalDataUpdate", 332)[1]
    app.cancelHistoricalData(332)
    return {
        "bars": [[b.low, b.open, b.high, float(b.volume)] for r, b in app.heard["historicalData"] if r == 331],
        "update": [update.low, update.close, update.high],
        "sessions": len(app.until("historicalSchedule", 333)[4]),
        "head": app.until("headTimestamp", 334)[1],
        "histogram": len(app.until("histogramData", 335)[1]),
        "past_ticks": len(app.until("historicalTicksLast", 336)[1]),
    }


def news(app: App) -> dict[str, Any]:
    scan = ScannerSubscription()
    scan.instrument, scan.locationCode, scan.scanCode = "STK", "STK.US.MAJOR", "TOP_PERC_GAIN"
    app.reqScannerSubscription(341, scan, [], [])
    app.reqScannerParameters()
    app.reqNewsProviders()
    app.reqNewsArticle(342, "BRFG", "BRFG$00000001", [])
    app.reqHistoricalNews(343, AAPL, "BRFG", "", "", 5, [])
    app.reqNewsBulletins(True)
    app.until("scannerDataEnd", 341)
    app.cancelScannerSubscription(341)
    app.until("historicalNewsEnd", 343)
    app.until("scannerParameters")
    app.cancelNewsBulletins()
    calendar = WshEventData()
    calendar.conId = SPY
    app.reqWshEventData(344, calendar)
    refusal = app.until("error", 344)
    return {
        "scan": [args[2].contract.symbol for args in app.heard["scannerData"]],
        "providers": len(app.until("newsProviders")[0]),
        "article": app.until("newsArticle", 342)[2],
        "refusal": list(refusal[1:]),
    }


def opened(app: App, order_id: int) -> list[float]:
    """Price and quantity of an order, as the gateway reports them."""
    app.heard["openOrder"].clear()
    app.heard["openOrderEnd"].clear()
    app.reqOpenOrders()
    app.until("openOrderEnd")
    found = [args[2] for args in app.heard["openOrder"] if args[0] == order_id][-1]
    return [found.lmtPrice, float(found.totalQuantity)]


def changes(app: App) -> dict[str, Any]:
    [first] = app.until("nextValidId")
    app.placeOrder(first, stock("AAPL"), order("LMT", 100, 100.0))
    app.until("orderStatus", first, "Submitted")
    found = [opened(app, first)]
    for quantity, price in ((100, 101.5), (60, 101.5)):
        app.placeOrder(first, stock("AAPL"), order("LMT", quantity, price))
        found.append(opened(app, first))
    app.cancelOrder(first, OrderCancel())
    app.until("orderStatus", first, "Cancelled")
    return {"changes": found}


def bracket(app: App) -> dict[str, Any]:
    [first] = app.until("nextValidId")
    parent, target, stop = range(first + 1, first + 4)
    app.placeOrder(parent, stock("AAPL"), order("LMT", 10, 100.0, transmit=False))
    app.placeOrder(target, stock("AAPL"), order("LMT", 10, 500.0, action="SELL", parentId=parent, transmit=False))
    app.placeOrder(stop, stock("AAPL"), order("STP", 10, action="SELL", auxPrice=50.0, parentId=parent))
    app.until("orderStatus", parent, "Submitted")
    held = [app.until("orderStatus", order_id, "PreSubmitted")[1] for order_id in (target, stop)]
    app.cancelOrder(parent, OrderCancel())
    for order_id in (parent, target, stop):
        app.until("orderStatus", order_id, "Cancelled")
    return {"bracket": held}


def fill(app: App) -> dict[str, Any]:
    [first] = app.until("nextValidId")
    what_if, bought = first + 4, first + 5
    app.placeOrder(what_if, stock("AAPL"), order("MKT", 10, whatIf=True))
    state = app.until("openOrder", what_if)[3]
    app.placeOrder(bought, stock("AAPL"), order("MKT", 10))
    app.until("orderStatus", bought, "Filled")
    run = app.until("execDetails", -1)[2]
    [report] = app.until("commissionAndFeesReport")
    app.reqCompletedOrders(False)
    app.until("completedOrdersEnd")
    done = [[args[1].orderType, args[2].status] for args in app.heard["completedOrder"]]
    return {
        "what_if": float(state.initMarginAfter) > 0,
        "fill": [run.side, float(run.shares), report.execId == run.execId, report.commissionAndFees > 0],
        "completed": sorted(done),
    }


def main() -> None:
    app, thread, kept = connected(int(sys.argv[1]))
    got: dict[str, Any] = {"server_version": app.serverVersion()}
    try:
        for step in (session, contracts, market_data, history, news, changes, bracket, fill):
            got |= step(app)
    finally:
        disconnected(app, thread)
    print(json.dumps({**got, "errors": app.heard["error"], "log": kept.records}))


main()
