"""What a real client has heard of its orders."""

import asyncio

from ib_async import IB, Stock, Trade

APPLE = Stock("AAPL", "SMART", "USD", conId=265598, localSymbol="AAPL", tradingClass="NMS")
TIMEOUT = 3.0


async def reach(trade: Trade, *statuses: str) -> None:
    """Wait until the client has heard that the order is in one of these states."""
    reached = asyncio.get_running_loop().create_future()

    def look(_: object) -> None:
        if trade.orderStatus.status in statuses and not reached.done():
            reached.set_result(None)

    trade.statusEvent += look
    look(None)
    try:
        await asyncio.wait_for(reached, TIMEOUT)
    finally:
        trade.statusEvent -= look


async def charged(trade: Trade, fills: int = 1) -> None:
    """Wait until the client has the commissions of so many fills."""
    while sum(bool(fill.commissionReport.execId) for fill in trade.fills) < fills:
        await asyncio.wait_for(trade.commissionReportEvent, TIMEOUT)


def refusals(ib: IB) -> list[tuple[int, int, str]]:
    """Request id, code and text of every error that comes, the farms aside."""
    found: list[tuple[int, int, str]] = []
    ib.errorEvent += lambda req_id, code, text, _: found.append((req_id, code, text)) if req_id != -1 else None
    return found
