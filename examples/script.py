"""A plain script, without an event loop of its own: python script.py [PORT]."""

import sys

from ib_async import Stock

from ibkr import IBConnector

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 7497

with IBConnector("127.0.0.1", PORT, client_id=2) as connector:
    print(connector.status)
    [apple] = connector.ib.qualifyContracts(Stock("AAPL", "SMART", "USD"))
    bars = connector.ib.reqHistoricalData(apple, "", "5 D", "1 day", "TRADES", useRTH=True)
    for bar in bars:
        print(bar.date, bar.close)
    ticker = connector.ib.reqMktData(apple)
    connector.sleep(1)  # like ib.sleep(): the connection is supervised during this time
    print("last", ticker.last, "received", round(connector.age(ticker) or 0, 1), "s ago")
