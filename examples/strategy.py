"""A strategy that continues after outages of its gateway: python strategy.py [PORT].

It keeps one limit order one per cent below the bid. After an outage the same ticker continues. Orders wait
for `may_trade`, and are sent only after the gateway has answered within two seconds.
"""

import asyncio
import sys
from contextlib import suppress

from ib_async import LimitOrder, Stock

from ibkr import IBConnector, NotReady

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 7497


async def trade(connector: IBConnector) -> None:
    """Keep one order below the bid, and place a new one when it is done."""
    [apple] = await connector.ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    ticker = connector.ib.reqMktData(apple)
    trade = None
    while True:
        await asyncio.sleep(0.5)
        if trade is not None and not trade.isDone():
            continue
        try:
            await connector.wait_ready_async(timeout=600)
            await connector.ensure_fresh_async(max_age=2)
            if ticker.bid > 0:
                trade = connector.ib.placeOrder(apple, LimitOrder("BUY", 1, round(ticker.bid * 0.99, 2)))
                print("placed", trade.order.orderId, "at", trade.order.lmtPrice)
        except NotReady as error:
            print("no order:", error.status.may_trade_reason)


async def main() -> None:
    connector = IBConnector("127.0.0.1", PORT, client_id=1)
    connector.on_status(lambda status: print(status))
    await connector.connect_async(wait=True)
    try:
        await trade(connector)
    finally:
        await connector.disconnect_async()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # Ctrl-C ends it
        asyncio.run(main())
