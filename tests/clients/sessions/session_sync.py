"""IB's own synchronous wrapper, as in a user's script: ``session_sync.py PORT``. Prints one JSON document."""

import json
import logging
import sys

from ibapi.contract import Contract
from ibapi.sync_wrapper import TWSSyncWrapper


def main() -> None:
    logging.basicConfig(level=logging.CRITICAL)  # the wrapper logs notices as errors
    apple = Contract()
    apple.symbol, apple.secType, apple.exchange, apple.currency = "AAPL", "STK", "SMART", "USD"
    app = TWSSyncWrapper(timeout=10)
    assert app.connect_and_start("127.0.0.1", int(sys.argv[1]), 7)
    times = [app.get_current_time() for _ in range(10)]
    details = [app.get_contract_details(apple)[0].contract.conId for _ in range(10)]
    positions = app.get_positions()
    bars = app.get_historical_data(apple, "", "5 D", "1 day", "TRADES", 1, 1)
    app.disconnect_and_stop()
    held = sorted(item["contract"].symbol for rows in positions.values() for item in rows)
    print(json.dumps({"times": times, "details": details, "held": held, "bars": len(bars)}))


main()
