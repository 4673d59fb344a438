"""A program of a fleet that trades whenever it may: ``soak.fleet_program SERVERS GATEWAY_HOST GATEWAY_PORT LEASE``.

The reference of an order has the process id, how often this process has become the leader, and the order's number.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
from contextlib import suppress

from ib_async import LimitOrder, Stock

from ibkr import Fleet, IBConnector, NotReady, Policy, Status

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
EVERY = 0.05
POLICY = Policy(
    region="none",
    restore_grace=0.05,
    upstream_grace=0.05,
    probe_after=1.0,
    suspect_after=0.5,
    probe_timeout=1.0,
    probe_apart=0.2,
)


async def trade(servers: str, host: str, port: int, lease: float) -> None:
    """Trade until the process is killed."""
    fleet = Fleet(servers, name="soak", gateway="soak", lease=lease, replicas=3)
    connector = IBConnector(host, port, None, policy=POLICY, fleet=fleet)
    reign = 0

    def lead(status: Status) -> None:
        nonlocal reign
        reign += 1
        print("leads", flush=True)

    connector.on_lead(lead)
    connector.on_standby(lambda status: print("stands by", flush=True))
    await connector.connect_async(wait=True)
    order: LimitOrder | None = None
    of_reign = 0
    for number in itertools.count():
        if connector.may_trade:
            if order is None or of_reign != reign:  # changing one order keeps start-up short
                with suppress(NotReady):
                    connector.ib.reqGlobalCancel()
                order, of_reign = LimitOrder("BUY", 1, 1.0), reign
            order.orderRef = f"ref:{os.getpid()}:{reign}:{number}"
            order.lmtPrice = 1.0 + number % 50 / 100
            try:
                if connector.ib.placeOrder(AAPL, order).isDone():
                    order = None
            except NotReady:
                continue
            finally:
                await asyncio.sleep(EVERY)
        else:
            await asyncio.sleep(EVERY)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s: %(message)s")
    for library in ("ib_async", "nats"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    asyncio.run(trade(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
