"""A complete session of the official client, 9.81 or 10.46 as nautilus-ibapi: ``session_ibapi.py PORT``.

Prints one JSON document: what the client received in each step, and everything that it logged.
"""

import json
import sys
from typing import Any

from official_app import App, OrderCancel, connected, disconnected, order, stock
from told import details

TAGS = "NetLiquidation,TotalCashValue,BuyingPower"


def account(app: App) -> dict[str, Any]:
    app.reqCurrentTime()
    app.reqPositions()
    app.reqAccountSummary(101, "All", TAGS)
    [now] = app.until("currentTime")
    app.until("positionEnd")
    app.until("accountSummaryEnd", 101)
    app.cancelAccountSummary(101)
    app.cancelPositions()
    return {
        "server_version": app.serverVersion(),
        "time": now,
        "accounts": app.until("managedAccounts")[0].split(","),
        "positions": [
            [held, contract.symbol, contract.secType, float(quantity), cost]
            for held, contract, quantity, cost in app.heard["position"]
        ],
        "summary": {tag: [value, currency] for _, _, tag, value, currency in app.heard["accountSummary"]},
    }


def data(app: App) -> dict[str, Any]:
    app.reqContractDetails(201, stock("AAPL"))
    app.reqContractDetails(202, stock("NOSUCH"))
    app.reqMktData(203, stock("AAPL"), "", False, False, [])
    app.reqHistoricalData(204, stock("AAPL"), "", "5 D", "1 day", "TRADES", 1, 1, False, [])
    _, found = app.until("contractDetails", 201)
    app.until("contractDetailsEnd", 201)
    app.until("error", 202, 200)
    ticks = [app.until("tickPrice", 203, kind)[2] for kind in (1, 2, 4)]
    app.cancelMktData(203)
    app.until("historicalDataEnd", 204)
    return {
        "details": details(found),
        "unknown": [args for args in app.heard["contractDetails"] if args[0] == 202],
        "ticks": ticks,
        "bars": [
            [bar.date, bar.open, bar.high, bar.low, bar.close, float(bar.volume)]
            for _, bar in app.heard["historicalData"]
        ],
    }


def trade(app: App) -> dict[str, Any]:
    [first] = app.until("nextValidId")
    app.placeOrder(first, stock("AAPL"), order("LMT", 100, 100.0))
    app.until("orderStatus", first, "Submitted")
    app.heard["openOrder"].clear()
    app.reqOpenOrders()
    app.until("openOrderEnd")
    opened = [
        [contract.symbol, held.action, float(held.totalQuantity), held.lmtPrice, state.status]
        for _, contract, held, state in app.heard["openOrder"]
    ]
    app.cancelOrder(first, OrderCancel()) if OrderCancel else app.cancelOrder(first)
    cancelled = app.until("orderStatus", first, "Cancelled")
    app.until("error", first, 202)
    app.placeOrder(first + 1, stock("AAPL"), order("MKT", 10))
    filled = app.until("orderStatus", first + 1, "Filled")
    _, _, run = app.until("execDetails")
    reports = "commissionAndFeesReport" if OrderCancel else "commissionReport"
    [report] = app.until(reports)
    return {
        "open_orders": opened,
        "cancelled": [cancelled[1], float(cancelled[2])],
        "filled": [filled[1], float(filled[2]), filled[4]],
        "execution": [run.execId, run.acctNumber, run.side, float(run.shares), run.price],
        "commission": [
            report.execId,
            report.commissionAndFees if OrderCancel else report.commission,
            report.currency,
        ],
        "order_ids": [first, first + 1],
    }


def main() -> None:
    app, thread, kept = connected(int(sys.argv[1]))
    got = {**account(app), **data(app), **trade(app)}
    disconnected(app, thread)
    print(json.dumps({**got, "errors": app.heard["error"], "log": kept.records}))


main()
