"""Order helpers: wait for the messages that a real client receives, and read a raw client's messages field by field."""

import asyncio
import json
from typing import Any

from ib_async import IB, Stock, Trade

from ibkr.simulator import Gateway
from ibkr.wire import encode_fields, frame
from ibkr.wire.layout import Layout, Repeat, flatten
from ibkr.wire.order_request_layouts import PLACE_ORDER

APPLE = Stock("AAPL", "SMART", "USD", conId=265598, localSymbol="AAPL", tradingClass="NMS")
TIMEOUT = 3.0


async def reach(trade: Trade, *statuses: str) -> None:
    """Wait until the client knows that the order is in one of these states."""
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
    """Wait until the client has the commissions of this many fills."""
    while sum(bool(fill.commissionReport.execId) for fill in trade.fills) < fills:
        await asyncio.wait_for(trade.commissionReportEvent, TIMEOUT)


def refusals(ib: IB) -> list[tuple[int, int, str]]:
    """Request id, code and text of every error that comes, without farm notices."""
    found: list[tuple[int, int, str]] = []
    ib.errorEvent += lambda req_id, code, text, _: found.append((req_id, code, text)) if req_id != -1 else None
    return found


def order_request(order_id: int, version: int = 178, **terms: object) -> bytes:
    """Return a placeOrder frame for Apple at this version: buy 100 shares. Fields that are not given are unset."""
    items = flatten(PLACE_ORDER.fields)
    unset: dict[str, object] = {item.name: () if isinstance(item, Repeat) else None for item in items}
    apple = {"con_id": 265598, "symbol": "AAPL", "sec_type": "STK", "exchange": "SMART", "currency": "USD"}
    order = {"order_id": order_id, "action": "BUY", "total_quantity": 100.0, "order_type": "LMT", "transmit": True}
    return frame(PLACE_ORDER.encode(version, **{**unset, **apple, **order, **terms}))


def read(layout: Layout, line: list[str], version: int = 178) -> dict[str, Any]:
    """The values of a message that a raw client has received."""
    return layout.decode(version, encode_fields(*line))


async def post(gateway: Gateway, fault: str, **args: object) -> None:
    """Carry out a fault through the gateway's control port."""
    body = json.dumps({"args": args}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.control_port)
    head = f"POST /faults/{fault} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.control_port}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    assert b'"ok": true' in answer
