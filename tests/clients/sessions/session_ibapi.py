"""One whole session of the official client, 9.81 or 10.46 as nautilus-ibapi: `session_ibapi.py PORT`.

Prints one JSON document: what the client has got, step by step, and all that it has logged.
"""

import json
import logging
import sys
import threading
from collections import defaultdict
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper
from told import Kept, details

try:
    from ibapi.order_cancel import OrderCancel
except ImportError:  # 9.81
    OrderCancel = None

TIMEOUT = 10.0
TAGS = "NetLiquidation,TotalCashValue,BuyingPower"


class App(EWrapper, EClient):
    """Keeps what each callback is given, and goes on to the client's own."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.heard: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.changed = threading.Condition()

    def keep(self, name: str, args: tuple[Any, ...]) -> None:
        with self.changed:
            self.heard[name].append(args)
            self.changed.notify_all()

    def error(self, *args: Any) -> None:
        super().error(*args)
        # (id, code, text), and from 10.33 on (id, time, code, text, json).
        self.keep("error", args if len(args) == 3 else (args[0], *args[2:4]))

    def until(self, name: str, *start: Any) -> tuple[Any, ...]:
        """What the first callback of this name was given, whose first arguments are these."""

        def found() -> "tuple[Any, ...] | None":
            return next((args for args in self.heard[name] if args[: len(start)] == start), None)

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, TIMEOUT), f"no {name} {start}: {self.heard}"
            return found() or ()


def keeper(name: str) -> Any:
    def callback(self: App, *args: Any) -> None:
        getattr(EWrapper, name)(self, *args)
        self.keep(name, args)

    return callback


CALLBACKS = (
    *("nextValidId", "managedAccounts", "currentTime", "position", "positionEnd", "accountSummary"),
    *("accountSummaryEnd", "contractDetails", "contractDetailsEnd", "tickPrice", "historicalData"),
    *("historicalDataEnd", "openOrder", "openOrderEnd", "orderStatus", "execDetails"),
    *("commissionReport", "commissionAndFeesReport"),
)
for name in CALLBACKS:
    if hasattr(EWrapper, name):
        setattr(App, name, keeper(name))


def stock(symbol: str) -> Contract:
    made = Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, "STK", "SMART", "USD"
    return made


def order(kind: str, quantity: int, price: float = 0.0) -> Order:
    made = Order()
    made.action, made.orderType, made.totalQuantity = "BUY", kind, quantity
    if price:
        made.lmtPrice = price
    # 9.81 has them on, which TWS refuses (10268, 10269).
    made.eTradeOnly = made.firmQuoteOnly = False
    return made


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
    kept = Kept()
    # At INFO it logs each message of either side.
    logging.basicConfig(level=logging.WARNING, handlers=[kept])
    logging.captureWarnings(True)
    app = App()
    app.connect("127.0.0.1", int(sys.argv[1]), 7)
    thread = threading.Thread(target=app.run, daemon=True)
    thread.start()
    app.until("nextValidId")
    got = {**account(app), **data(app), **trade(app)}
    app.disconnect()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "its reader did not end"
    print(json.dumps({**got, "errors": app.heard["error"], "log": kept.records}))


main()
