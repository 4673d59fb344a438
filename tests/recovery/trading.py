"""Orders that rest until somebody fills them, and what a program hears of them and of gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ib_async import Contract, LimitOrder, Trade

from ibkr import GapReport, IBConnector
from ibkr.simulator import Gateway

ACCOUNT = "DU1234567"


def limit(quantity: float = 100, **fields: Any) -> LimitOrder:
    """Far from the market."""
    return LimitOrder("BUY", quantity, 1.0, account=ACCOUNT, **fields)


async def heard(connector: IBConnector, holds: Callable[[], object]) -> None:
    """Wait until the library knows it: ``await heard(connector, lambda: trade.fills)``."""
    async with asyncio.timeout(5):
        while not holds():
            await connector.ib.updateEvent


async def resting(connector: IBConnector, *contracts: Contract) -> list[Trade]:
    """Orders that the gateway has acknowledged."""
    trades = [connector.ib.placeOrder(contract, limit()) for contract in contracts]
    await heard(connector, lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))
    return trades


async def knows_the_others_orders(gateway: Gateway, connector: IBConnector) -> None:
    """Wait until the orders of other clients, which are asked for after start-up, were told."""
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqAllOpenOrders"))
    await connector.ib.reqCurrentTimeAsync()


class Reports:
    """The gap reports of a connector, from now on."""

    def __init__(self, connector: IBConnector) -> None:
        self._told: asyncio.Queue[GapReport] = asyncio.Queue()
        connector.on_gap(self._told.put_nowait)

    async def next(self) -> GapReport:
        async with asyncio.timeout(10):
            return await self._told.get()

    @property
    def are_none(self) -> bool:
        """Whether there is none that was not taken."""
        return self._told.empty()
