"""A session of a client that can use any version, with an order for each account."""

from __future__ import annotations

from typing import Any

from ibkr.wire import ClientHello, frame, hello_bytes
from ibkr.wire.layout_items import Field, Item
from ibkr.wire.order_request_layouts import PLACE_ORDER
from ibkr.wire.request_layouts import LAYOUTS

_EMPTY: dict[str, object] = {"int": None, "float": None, "size": None, "bool": False}


def _empty(items: tuple[Item, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if isinstance(item, Field):
            found[item.name] = _EMPTY.get(item.kind, "")
        elif hasattr(item, "condition"):
            found |= _empty(item.fields)
        else:
            found[item.name] = []
    return found


def market_order(account: str, reference: str, quantity: float = 10) -> dict[str, Any]:
    """The values of the order, without its id."""
    values = _empty(PLACE_ORDER.fields) | {
        "con_id": 265598,
        "symbol": "AAPL",
        "sec_type": "STK",
        "exchange": "SMART",
        "currency": "USD",
        "action": "BUY",
        "total_quantity": quantity,
        "order_type": "MKT",
        "tif": "DAY",
        "account": account,
        "order_ref": reference,
        "transmit": True,
        "origin": 0,
    }
    del values["order_id"]
    return values


async def raw_session(connect: Any, proxy: Any, version: int, accounts: tuple[str, ...], reference: str) -> bytes:
    """Trade at a simulated gateway through the proxy. Returns what was received when the proxy has processed it."""
    client = await connect(proxy.port)

    async def send(name: str, **values: Any) -> None:
        await client.write(frame(LAYOUTS[name].encode(version, **values)))

    await client.write(hello_bytes(ClientHello(100, version)))
    size = int.from_bytes(await client.read(4), "big")
    await client.read(size)
    await send("startApi", client_id=3, optional_capabilities="")
    for number, account in enumerate(accounts, start=1):
        await send("placeOrder", order_id=number, **market_order(account, reference))
        await send("reqPnL", req_id=90 + number, account=account, model_code="Jane's")
    contract = {field.name: _EMPTY.get(field.kind, "") for field in LAYOUTS["reqContractDetails"].fields[1:]}  # type: ignore[union-attr]
    await send("reqContractDetails", **{**contract, "req_id": 5, "con_id": 265598})
    await send("reqContractDetails", **{**contract, "req_id": 6, "symbol": "NOSUCH", "sec_type": "STK"})
    await send("reqAccountSummary", req_id=7, group="All", tags="NetLiquidation,AccountType")
    for name in ("reqFamilyCodes", "reqPositions", "reqAllOpenOrders"):
        await send(name)
    await send("reqAccountUpdates", subscribe=True, account=accounts[0])
    seen = b""
    while seen.count(b"Filled") < len(accounts):
        seen += await client.reader.read(1 << 16)
    await send("reqCompletedOrders", api_only=False)
    await send("reqUserInfo", req_id=8)
    before = len(seen)
    while len(seen) == before or (b"ompleted" not in seen[before:] and len(seen) - before < 50):
        seen += await client.reader.read(1 << 16)
    client.writer.close()
    await proxy.wait_for(lambda proxy: not proxy.connections)
    return seen
