"""The program that the crash test kills. It trades with a journal: ``trading_program.py PORT JOURNAL SEED``."""

from __future__ import annotations

import asyncio
import random
import sys

from ib_async import LimitOrder, MarketOrder, Stock, Trade

from ibkr import IBConnector, NotReady, Policy

PORT, JOURNAL, SEED = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
STOCKS = [Stock("AAPL", "SMART", "USD", conId=265598), Stock("MSFT", "SMART", "USD", conId=272093)]

BURSTS = (1, 1, 2, 3, 3, 8, 8, 60)
"""The sizes of the bursts. If a burst has more orders than the gateway accepts in a second, the other orders wait."""


class Trader:
    """Places, changes and cancels orders. Each order has its own reference."""

    def __init__(self, connector: IBConnector, dice: random.Random) -> None:
        self._ib, self._dice = connector.ib, dice
        self._trades: list[Trade] = []
        self._number = 0

    def act(self) -> None:
        """Do one action. Most actions are new orders."""
        live = [trade for trade in self._trades if not trade.isDone() and trade.orderStatus.status == "Submitted"]
        way = self._dice.random()
        if live and way < 0.15:
            self._ib.cancelOrder(self._dice.choice(live).order)
        elif live and way < 0.3:
            trade = self._dice.choice(live)
            trade.order.lmtPrice = round(self._dice.uniform(1, 2), 2)
            self._ib.placeOrder(trade.contract, trade.order)
        else:
            self._place()

    def _place(self) -> None:
        self._number += 1
        words = {"orderRef": f"{SEED}-{self._number}", "account": "DU1234567"}
        size = self._dice.randint(1, 9)
        is_market = self._dice.random() < 0.4
        order = MarketOrder("BUY", size, **words) if is_market else LimitOrder("BUY", size, 1.0, **words)
        self._trades.append(self._ib.placeOrder(self._dice.choice(STOCKS), order))


async def main() -> None:
    """Trade in bursts until the process is killed."""
    dice = random.Random(SEED)
    connector = IBConnector("127.0.0.1", PORT, 7, policy=Policy(region="none"), journal=JOURNAL)
    print("begun", flush=True)
    connecting = asyncio.ensure_future(connector.connect_async())
    if not (await asyncio.wait({connecting}, timeout=60))[0]:
        sys.exit(f"not connected after 60 s: {connector}")
    await connecting
    trader = Trader(connector, dice)
    print("connected", flush=True)
    while True:
        try:
            for _ in range(dice.choice(BURSTS)):
                trader.act()
        except NotReady:
            await connector.wait_ready_async()
        await asyncio.sleep(dice.choice((0, 0.001, 0.01, 0.05, 0.2)))


if __name__ == "__main__":
    asyncio.run(main())
