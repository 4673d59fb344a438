"""A program that sends orders and then runs no loop: ``ordering.py PORT WAY NUMBER END``."""

import asyncio
import sys
import time

from ib_async import IB, LimitOrder, MarketOrder, Stock, StopOrder

from ibkr import IBConnector

PORT, WAY, NUMBER, END = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


def order(ib: IB) -> None:
    ib.placeOrder(AAPL, MarketOrder("BUY", 1))
    ib.placeOrder(AAPL, StopOrder("SELL", 1, 1.0))
    trades = [ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0)) for _ in range(NUMBER)]
    ib.cancelOrder(trades[0].order)
    print("ordered", flush=True)


def end() -> None:
    if END == "blocked":
        time.sleep(60)
    if END == "exit":
        sys.exit(3)
    if END == "exception":
        raise ValueError("the program's own")


def script() -> None:
    connector = IBConnector("127.0.0.1", PORT, 7)
    connector.connect()
    order(connector.ib)
    end()


async def task() -> None:
    connector = IBConnector("127.0.0.1", PORT, 7)
    await connector.connect_async()
    order(connector.ib)
    end()


def thread() -> None:
    connector = IBConnector("127.0.0.1", PORT, 7).start_in_thread()
    connector.call(order)
    end()


if WAY == "async":
    asyncio.run(task())
else:
    {"script": script, "thread": thread}[WAY]()
