"""A program with a journal: it sends more orders than the rate limit allows, and then fails: ``... PORT JOURNAL``."""

import asyncio
import sys

from ib_async import LimitOrder, Stock

from ibkr import IBConnector


async def main() -> None:
    connector = IBConnector("127.0.0.1", int(sys.argv[1]), 7, journal=sys.argv[2])
    await connector.connect_async()
    for _ in range(60):
        connector.ib.placeOrder(Stock("AAPL", "SMART", "USD", conId=265598), LimitOrder("BUY", 1, 1.0))
    raise ValueError("the program's own")


asyncio.run(main())
