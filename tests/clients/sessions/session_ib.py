"""A complete session of ib_async or ib_insync, as in a user's script: ``session_ib.py MODULE PORT``.

Prints one JSON document: what the client received in each step, and everything that it logged.
"""

import importlib
import json
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from told import Kept, details

library: Any = importlib.import_module(sys.argv[1])
TIMEOUT = 10.0


def until(ib: Any, holds: Callable[[], bool]) -> None:
    """Run the client until this holds."""
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, f"still waiting; {ib.trades()}"
        ib.waitOnUpdate(0.05)  # the timeout is short, because an update between two calls wakes neither call


def account(ib: Any) -> dict[str, Any]:
    return {
        "server_version": ib.client.serverVersion(),
        "time": ib.reqCurrentTime().timestamp(),
        "accounts": ib.managedAccounts(),
        "positions": [
            [held.account, held.contract.symbol, held.contract.secType, held.position, held.avgCost]
            for held in ib.positions()
        ],
        "summary": {value.tag: [value.value, value.currency] for value in ib.accountSummary()},
    }


def data(ib: Any) -> dict[str, Any]:
    [found] = ib.reqContractDetails(library.Stock("AAPL", "SMART", "USD"))
    unknown = ib.reqContractDetails(library.Stock("NOSUCH", "SMART", "USD"))
    ticker = ib.reqMktData(found.contract)
    until(ib, lambda: not math.isnan(ticker.bid + ticker.ask + ticker.last))
    ib.cancelMktData(found.contract)
    bars = ib.reqHistoricalData(found.contract, "", "5 D", "1 day", "TRADES", True)
    return {
        "details": details(found),
        "unknown": unknown,
        "ticks": [ticker.bid, ticker.ask, ticker.last],
        "bars": [[str(bar.date), bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in bars],
    }


def trade(ib: Any) -> dict[str, Any]:
    apple = library.Stock("AAPL", "SMART", "USD", conId=265598)
    resting = ib.placeOrder(apple, library.LimitOrder("BUY", 100, 100.0))
    until(ib, lambda: resting.orderStatus.status == "Submitted")
    opened = [
        [
            item.contract.symbol,
            item.order.action,
            item.order.totalQuantity,
            item.order.lmtPrice,
            item.orderStatus.status,
        ]
        for item in ib.reqOpenOrders()
    ]
    ib.cancelOrder(resting.order)
    until(ib, resting.isDone)
    bought = ib.placeOrder(apple, library.MarketOrder("BUY", 10))
    until(ib, lambda: bool(bought.isDone() and bought.fills and bought.fills[0].commissionReport.execId))
    [fill] = bought.fills
    run = fill.execution
    return {
        "open_orders": opened,
        "cancelled": [resting.orderStatus.status, resting.orderStatus.filled],
        "filled": [bought.orderStatus.status, bought.orderStatus.filled, bought.orderStatus.avgFillPrice],
        "execution": [run.execId, run.acctNumber, run.side, run.shares, run.price],
        "commission": [fill.commissionReport.execId, fill.commissionReport.commission, fill.commissionReport.currency],
        "order_ids": [resting.order.orderId, bought.order.orderId],
    }


def main() -> None:
    kept, errors = Kept(), list[list[Any]]()
    logging.basicConfig(level=logging.INFO, handlers=[kept])
    logging.captureWarnings(True)
    ib = library.IB()
    ib.errorEvent += lambda *args: errors.append(list(args[:3]))
    ib.connect("127.0.0.1", int(sys.argv[2]), clientId=7, timeout=TIMEOUT)
    got = {**account(ib), **data(ib), **trade(ib)}
    ib.disconnect()
    print(json.dumps({**got, "errors": errors, "log": kept.records}))


main()
