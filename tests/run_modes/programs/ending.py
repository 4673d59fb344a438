"""A program that ends while it is connected: ``ending.py PORT WAY END``."""

import asyncio
import signal
import sys
import time

from ib_async import IB, LimitOrder, Stock

from ibkr import IBConnector

PORT, WAY, END = int(sys.argv[1]), sys.argv[2], sys.argv[3]
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


def end(*, tells: bool = True) -> None:
    if END == "handle":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
    if tells:
        tell()
    if END == "exception":
        raise ValueError("the program's own")
    if END == "exit":
        sys.exit(3)


def order(ib: IB) -> None:
    """Send many orders, so that most of them wait for the rate limit when the program ends."""
    for _ in range(40):
        ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))


def tell(*_: object) -> None:
    print("connected", flush=True)


def script() -> None:
    connector = IBConnector("127.0.0.1", PORT, 7)
    connector.connect()
    ticker = connector.ib.reqMktData(AAPL)
    connector.sleep(0.1)
    if END == "orders":
        order(connector.ib)
    runs = END in ("run", "handle")
    end(tells=not runs)
    if runs:  # printed outside the loop, so that the signal does not arrive inside Python's own code
        ticker.updateEvent += tell
        connector.run()
    if END == "compute":
        # In pieces: a signal just before a sleep starts does not shorten it.
        for _ in range(600):
            time.sleep(0.1)


def thread() -> None:
    connector = IBConnector("localhost", PORT, 7).start_in_thread()  # resolving a name starts one more thread
    connector.call(lambda ib: ib.reqMktData(AAPL))
    if END == "orders":
        connector.call(order)
    end()
    if END in ("run", "handle"):
        connector.run()
    if END == "compute":
        connector.call(lambda ib: asyncio.sleep(60))


async def task() -> None:
    connector = IBConnector("127.0.0.1", PORT, 7)
    await connector.connect_async()
    connector.ib.reqMktData(AAPL)
    await asyncio.sleep(0.1)
    end()
    if END in ("run", "handle"):
        await asyncio.sleep(60)


if WAY == "async":
    asyncio.run(task())
else:
    {"script": script, "thread": thread}[WAY]()
