"""Random sessions: after subscriptions, changes, cancels and faults in any order, connector and gateway agree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from ib_async import ScannerSubscription

from ibkr import ConnectionState, IBConnector, Policy
from ibkr.core.stream_pacing import PACES, Pace
from ibkr.simulator import Gateway
from tests import fixture_types, internals
from tests.fixture_types import InStep

STOCKS = fixture_types.STOCKS[:6]
ACCOUNTS = ("DU1234567", "DU7654321")
STREAMS = {
    "reqMktData": 2,
    "reqTickByTickData": 1,
    "reqMktDepth": 2,
    "reqRealTimeBars": 2,
    "reqHistoricalData": 1,
    "reqScannerSubscription": 1,
    "reqPnL": 1,
    "reqPnLSingle": 1,
    "reqAccountSummary": 2,
}
"""Requests of streams, and where each has its id."""


class Program:
    """Subscribes, changes and cancels at random, and keeps what it holds."""

    def __init__(self, connector: IBConnector, chance: random.Random) -> None:
        self.ib: Any = connector.ib
        self.chance = chance
        self.held: dict[tuple[Any, ...], Callable[[], Any]] = {}

    def step(self) -> None:
        """Add or remove one subscription."""
        if self.held and self.chance.random() < 0.4:
            self.held.pop(self.chance.choice(list(self.held)))()
            return
        self.chance.choice(
            [self.market_data, self.market_data, self.tick_by_tick, self.depth, self.bars, self.profit, self.scan]
        )()

    def market_data(self) -> None:
        stock = self.chance.choice(STOCKS)
        self.ib.reqMktData(stock, self.chance.choice(["", "233"]))
        self.held["market data", stock.conId] = lambda: self.ib.cancelMktData(stock)

    def tick_by_tick(self) -> None:
        stock, kind = self.chance.choice(STOCKS), self.chance.choice(["BidAsk", "MidPoint"])
        self.ib.reqTickByTickData(stock, kind)
        self.held["tick-by-tick", stock.conId, kind] = lambda: self.ib.cancelTickByTickData(stock, kind)

    def depth(self) -> None:
        stock = self.chance.choice(STOCKS)
        self.ib.reqMktDepth(stock, 3, True)
        self.held["depth", stock.conId] = lambda: self.ib.cancelMktDepth(stock, True)

    def bars(self) -> None:
        bars = self.ib.reqRealTimeBars(self.chance.choice(STOCKS), 5, "TRADES", False)
        self.held["bars", id(bars)] = lambda: self.ib.cancelRealTimeBars(bars)

    def profit(self) -> None:
        account = self.chance.choice(ACCOUNTS)
        if ("PnL", account) not in self.held:  # the library refuses a second subscription
            self.ib.reqPnL(account)
            self.held["PnL", account] = lambda: self.ib.cancelPnL(account)

    def scan(self) -> None:
        if sum(key[0] == "scan" for key in self.held) < 5:
            scan = ScannerSubscription(instrument="STK", locationCode="STK.US", scanCode="TOP_PERC_GAIN")
            found = self.ib.reqScannerSubscription(scan)
            self.held["scan", id(found)] = lambda: self.ib.cancelScannerSubscription(found)


async def fault(gateway: Gateway, chance: random.Random) -> None:
    name = chance.choice(["reset", "close", "restart", "1100", "1101", "1102", "end_stream", "break_farm", "freeze"])
    arguments = {"restart": (0.05,), "end_stream": (chance.choice(STOCKS).symbol,)}.get(name, ())
    await gateway.fault(name, *arguments)


async def play(seed: int, in_step: InStep, gateway: Gateway) -> None:
    chance = random.Random(seed)
    policy = Policy(
        send_rate=2000.0,
        send_burst=500,
        probe_after=0.05,
        probe_apart=0.02,
        suspect_after=0.03,
        probe_timeout=0.06,
        refused_every=0.02,
        backoff_first=0.02,
        backoff_cap=0.05,
        stream_pause=0.02,
        flap_limit=1000,
        restore_grace=0.02,
    )
    connector = IBConnector("127.0.0.1", gateway.port, 7, 0.1, account=ACCOUNTS[0], policy=policy)
    program = Program(connector, chance)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    try:
        await asyncio.sleep(0)
        for _ in range(chance.randrange(15, 40)):
            if chance.random() < 0.2:
                await fault(gateway, chance)
            else:
                program.step()
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))
        for name in ("thaw", "1102", "clear"):
            await gateway.fault(name)
        await connecting
        await connector.wait_ready_async(10)
        await in_step(connector)
        check(connector, gateway, program)
    finally:
        connecting.cancel()
        await connector.disconnect_async()
    assert connector.status.state is ConnectionState.DISCONNECTED
    left = connector.ib.wrapper
    maps = (left.tickers, left.reqId2Ticker, left.reqId2Subscriber, left.reqId2PnL, left._futures)
    assert [each for each in maps if each] == []


def check(connector: IBConnector, gateway: Gateway, program: Program) -> None:
    ids = sorted(internals.subscription_ids(connector))
    assert len(ids) == len(program.held), "wanted is what the program holds"
    wrapper = connector.ib.wrapper
    by_type = sorted(key for ids in wrapper.ticker2ReqId.values() for key in ids.values())
    subscribers, profits = sorted(wrapper.reqId2Subscriber), sorted(wrapper.reqId2PnL)
    assert sorted(by_type + subscribers + profits) == ids, "nothing more in the library's maps"
    assert set(by_type) <= set(wrapper.reqId2Ticker)
    assert sorted(wrapper.pnlKey2ReqId.values()) == profits
    assert all(things.reqId == key for key, things in wrapper.reqId2Subscriber.items())
    asked: dict[str, tuple[str, ...]] = {}
    for request in gateway.seen.requests:
        if request.name in STREAMS:
            at = STREAMS[request.name]
            rest = (request.name, *request.fields[:at], *request.fields[at + 1 :])
            assert asked.setdefault(request.fields[at], rest) == rest, "an id always means the same request"


@pytest.mark.thorough
@pytest.mark.parametrize("batch", range(10))
async def test_the_books_agree_in_the_end(
    batch: int, is_thorough: bool, in_step: InStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACES, "tick-by-tick", Pace())  # without the pause of 15 s
    for number in range(100 if is_thorough else 5):
        seed = random.SystemRandom().randrange(2**32) if is_thorough else 1000 * batch + number
        print("seed", seed)
        async with Gateway(accounts=ACCOUNTS, lines=1000, tick_interval=0.02, rate=10**6, id_hold=0) as gateway:
            await play(seed, lambda connector, gateway=gateway: in_step(connector, gateway), gateway)
