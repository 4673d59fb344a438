"""A random program of a user with ib_async, from a seed."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random

from ib_async import LimitOrder, MarketOrder, Stock

from tests.fixture_types import STOCKS

ACCOUNTS = ("DU7654321", "DU7654322")
TICKED = ("bid", "ask", "last", "bidSize", "askSize", "lastSize", "volume", "high", "low", "open", "close")


async def until(ib, holds):
    """Wait for an update after which this holds."""
    async with asyncio.timeout(10):
        while not holds():
            try:
                await asyncio.wait_for(ib.updateEvent, 0.05)
            except TimeoutError:
                continue


def has_prices(ticker):
    return not math.isnan(ticker.bid + ticker.ask + ticker.last)


class Program:
    """A random program. The same seed gives the same program each time."""

    def __init__(self, seed, steps, ticks=0):
        self.chance, self.steps, self.ticks = random.Random(seed), steps, ticks
        self.errors = []
        self.tickers = {}
        self.trades = []
        self.got = []

    async def run(self, ib, port, client_id=7, account_of=None):
        ib.errorEvent += lambda *error: self.errors.append(error[:3])
        await ib.connectAsync("127.0.0.1", port, clientId=client_id)
        self.accounts = ib.managedAccounts()
        for step in self.plan():
            await step(ib)
        await until(ib, lambda: ib.client._numMsgRecv >= self.ticks)
        for ticker in self.tickers.values():
            ib.cancelMktData(ticker.contract)
        await ib.reqCurrentTimeAsync()
        positions = await ib.reqPositionsAsync()
        outcome = self.outcome(ib, positions)
        ib.disconnect()
        return outcome

    def plan(self):
        every = [self.watch, self.buy, self.rest, self.look_up, self.miss, self.summary]
        return self.chance.choices(every, k=self.steps) if self.steps else every

    async def watch(self, ib):
        stock = self.chance.choice(STOCKS)
        if stock.conId not in self.tickers:
            self.tickers[stock.conId] = ticker = ib.reqMktData(stock)
            await until(ib, lambda: has_prices(ticker))

    async def buy(self, ib):
        order = MarketOrder(
            self.chance.choice(["BUY", "SELL"]), self.chance.randrange(1, 50), account=self.chance.choice(self.accounts)
        )
        order.orderRef = f"strategy {self.chance.randrange(5)} of Jane"
        trade = ib.placeOrder(self.chance.choice(STOCKS), order)
        self.trades.append(trade)
        await until(ib, lambda: trade.isDone() and all(fill.commissionReport.execId for fill in trade.fills))

    async def rest(self, ib):
        order = LimitOrder("BUY", self.chance.randrange(1, 50), 1.0, account=self.chance.choice(self.accounts))
        order.orderRef = "resting of Jane"
        trade = ib.placeOrder(self.chance.choice(STOCKS), order)
        self.trades.append(trade)
        await until(ib, lambda: trade.orderStatus.status == "Submitted")
        if self.chance.random() < 0.7:
            ib.cancelOrder(trade.order)
            await until(ib, trade.isDone)

    async def look_up(self, ib):
        stock = self.chance.choice(STOCKS)
        self.got += await ib.reqContractDetailsAsync(Stock(stock.symbol, "SMART", "USD"))

    async def miss(self, ib):
        self.got += await ib.reqContractDetailsAsync(Stock(f"NONE{self.chance.randrange(3)}", "SMART", "USD"))

    async def summary(self, ib):
        self.got.append([(value.account, value.tag) for value in await ib.accountSummaryAsync()])

    def outcome(self, ib, positions):
        return {
            "tickers": {con_id: [getattr(ticker, name) for name in TICKED] for con_id, ticker in self.tickers.items()},
            "positions": sorted((held.account, held.contract.conId, held.position, held.avgCost) for held in positions),
            "trades": [
                (
                    trade.order.orderId,
                    [dataclasses.astuple(trade.orderStatus)[1:8]],
                    [(fill.execution.execId, fill.execution.acctNumber, fill.execution.price) for fill in trade.fills],
                    [fill.commissionReport.commission for fill in trade.fills],
                    [entry.status for entry in trade.log],
                )
                for trade in self.trades
            ],
            "errors": self.errors,
            "got": self.got,
        }
