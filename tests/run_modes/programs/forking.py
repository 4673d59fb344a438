"""A program that forks while it is connected: ``forking.py PORT WAY``.

The child prints what it knows and waits for the end of its input; the parent prints how it continues.
"""

import asyncio
import os
import sys
import warnings

from ib_async import Stock

from ibkr import IBConnector

warnings.filterwarnings("ignore", ".*multi-threaded, use of fork.*", DeprecationWarning)
PORT, WAY = int(sys.argv[1]), sys.argv[2]


def say(line: str) -> None:
    """Print in one write: two processes share the pipe."""
    os.write(1, f"{line}\n".encode())


connector = IBConnector("127.0.0.1", PORT, 7)
if WAY == "thread":
    connector.start_in_thread()
else:
    connector.connect()
ticker = connector.call(lambda ib: ib.reqMktData(Stock("AAPL", "SMART", "USD", conId=265598)))
loop = connector.call(lambda ib: asyncio.get_running_loop())

if os.fork() == 0:
    say(f"child: {connector.status.state}: {connector.status.reason}; connected: {connector.is_connected()}")
    connector.disconnect()
    with IBConnector("127.0.0.1", PORT, 8) as own:
        own_loop = own.call(lambda ib: asyncio.get_running_loop())
        say(f"child's own: {own.status.state}, in the parent's loop: {own_loop is loop}")
    if sys.stdin.readline() == "again\n":
        say(f"child again: {connector.connect()}")
    sys.stdin.read()
    sys.exit(0)

while not connector.age(ticker):
    connector.sleep(0.01)
say(f"parent: {connector.status.state}, outages: {connector.status.outages}")
connector.run()
