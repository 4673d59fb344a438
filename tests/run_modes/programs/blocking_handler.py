"""A handler of ``connectedEvent`` that makes blocking calls: ``blocking_handler.py PORT WAY PATCHED BACKEND``.

It ends when the handler has run for two sessions. In a loop that cannot nest, such a call is refused.
"""

import asyncio
import sys

from ib_async import Contract, Stock, util

from ibkr import IBConnector, Policy

PORT, WAY, IS_PATCHED = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "patched"
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
connector = IBConnector("127.0.0.1", PORT, 7, backend=sys.argv[4], policy=Policy(closed_every=0.05, region="none"))
ib = connector.ib
sessions = 0


def on_connected() -> None:
    global sessions
    number = sessions + 1
    try:
        [details] = ib.reqContractDetails(Contract(conId=265598))
        ticker = ib.reqMktData(AAPL)
        ib.sleep(0.05)
        ready = connector.wait_ready(5)
        assert ticker.contract == AAPL
        print(number, details.contract.symbol, ready.state.name, flush=True)
    except RuntimeError as error:
        print(number, "refused", "would block the running event loop" in str(error), flush=True)
    sessions = number


ib.connectedEvent += on_connected
if IS_PATCHED:
    util.startLoop()


async def cells() -> None:
    """As in a notebook, whose loop runs while its cells do."""
    if IS_PATCHED:
        connector.connect()
    else:
        await connector.connect_async()
    while sessions < 2 or not connector.may_trade:  # noqa: ASYNC110 - as a cell of a notebook would
        await asyncio.sleep(0.01)
    connector.ib.disconnect()


if WAY == "notebook":
    loop = util.getLoop() if IS_PATCHED else asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(cells())
else:
    connector.connect()
    while sessions < 2 or not connector.may_trade:
        connector.sleep(0.01)
    connector.disconnect()
