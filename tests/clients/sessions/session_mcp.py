"""Orders through ib-gateway-mcp: ``session_mcp.py PORT STEP``. Starts its server and uses its tools.

Prints one JSON document: the answers of the tools.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

APPLE = {"symbol": "AAPL", "sec_type": "STK", "exchange": "SMART", "currency": "USD"}


class Tools:
    """The tools of the server. A refusal raises an error."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def use(self, name: str, **arguments: Any) -> dict[str, Any]:
        result = await self._session.call_tool(name, arguments)
        text = "".join(getattr(item, "text", "") for item in result.content)
        if getattr(result, "is_error", False) or getattr(result, "isError", False):
            raise RuntimeError(f"{name}: {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def submit(self, preview: str, **arguments: Any) -> dict[str, Any]:
        """Preview, then submit with the token of the preview."""
        shown = await self.use(preview, **arguments)
        return await self.use("submit_order", token=shown["token"])


def told(answer: dict[str, Any]) -> list[Any]:
    """Status, price and quantity of the first order of an answer."""
    first = answer["orders"][0]
    return [first["status"], first["limit_price"], first["quantity"]]


async def changes(tools: Tools) -> dict[str, Any]:
    order = {"contract": APPLE, "action": "BUY", "quantity": 10, "order_type": "LMT", "limit_price": 100}
    placed = await tools.submit("preview_order", order=order)
    order_id = placed["order_id"]
    dearer = await tools.submit("preview_modify_order", order_id=order_id, changes={"limit_price": 101.5})
    smaller = await tools.submit("preview_modify_order", order_id=order_id, changes={"quantity": 6})
    opened = await tools.use("get_open_orders")
    cancelled = await tools.use("cancel_order", order_id=order_id)
    return {
        "told": [told(answer) for answer in (placed, dearer, smaller, opened)],
        "cancelled": cancelled["status"],
    }


async def bracket(tools: Tools) -> dict[str, Any]:
    terms = {"action": "BUY", "quantity": 10, "entry_type": "LMT", "entry_price": 100}
    exits = {"take_profit_price": 300, "stop_loss_price": 50}
    placed = await tools.submit("preview_bracket_order", contract=APPLE, **terms, **exits)
    opened = await tools.use("get_open_orders")
    return {"status": placed["status"], "opened": sorted(row["order_type"] for row in opened["orders"])}


async def combo(tools: Tools) -> dict[str, Any]:
    legs = [
        {"contract": APPLE, "ratio": 1, "action": "BUY"},
        {"contract": {**APPLE, "symbol": "MSFT"}, "ratio": 1, "action": "SELL"},
    ]
    placed = await tools.submit("preview_combo_order", legs=legs, action="BUY", quantity=1, limit_price=-1000)
    cancelled = await tools.use("cancel_order", order_id=placed["order_id"])
    return {"placed": placed["status"], "cancelled": cancelled["status"]}


async def main(log: TextIO) -> None:
    environment = {**os.environ, "IB_HOST": "127.0.0.1", "IB_PORT": sys.argv[1], "IBKR_MCP_PROFILE": "trading"}
    command = str(Path(sys.executable).parent / "ib-gateway-mcp")
    server = StdioServerParameters(command=command, args=[], env=environment)
    play = {"changes": changes, "bracket": bracket, "combo": combo}[sys.argv[2]]
    async with stdio_client(server, errlog=log) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        print(json.dumps(await play(Tools(session))))


with Path(os.devnull).open("w", encoding="utf-8") as nothing:
    asyncio.run(main(nothing))
