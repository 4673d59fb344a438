"""A program that has a journal and forks: ``forking.py PORT JOURNAL``. The child process exits as any program does."""

import os
import sys

from ib_async import LimitOrder, Stock

from ibkr import IBConnector, NotReady

connector = IBConnector("127.0.0.1", int(sys.argv[1]), 7, journal=sys.argv[2])
connector.connect()
aapl = Stock("AAPL", "SMART", "USD", conId=265598)
connector.ib.placeOrder(aapl, LimitOrder("BUY", 1, 1.0))
child = os.fork()
if not child:
    try:
        connector.ib.placeOrder(aapl, LimitOrder("BUY", 1, 1.0))
    except NotReady:
        sys.exit(0)
    sys.exit(1)
print("child", os.waitpid(child, 0)[1])
connector.ib.placeOrder(aapl, LimitOrder("BUY", 1, 1.0))
connector.disconnect()
print("trouble", connector.status.journal_trouble)
