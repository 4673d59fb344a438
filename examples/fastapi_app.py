"""A FastAPI service with one connection.

``pip install fastapi uvicorn``, then ``uvicorn fastapi_app:app``. IBKR_PORT is the port of the gateway.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from ib_async import Stock

from ibkr import IBConnector, NotReady, load_config


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect in a task that never stops trying: the service can start before its gateway."""
    app.state.connector = IBConnector.from_config(load_config())
    connecting = asyncio.create_task(app.state.connector.connect_async(wait=True))
    yield
    connecting.cancel()
    await app.state.connector.disconnect_async()


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def readyz() -> dict[str, Any]:
    """Return the status, or 503 with the reason, for a load balancer."""
    status = app.state.connector.status
    if not status.may_trade:
        raise HTTPException(503, status.may_trade_reason)
    return status.to_dict()


@app.get("/contract/{symbol}")
async def contract(symbol: str) -> dict[str, Any]:
    """Send a request of ib_async in the event loop of the connection."""
    try:
        await app.state.connector.wait_ready_async(2)
        [found] = await app.state.connector.ib.qualifyContractsAsync(Stock(symbol, "SMART", "USD"))
    except NotReady as error:
        raise HTTPException(503, str(error)) from error
    return {"conId": found.conId, "exchange": found.primaryExchange}


@app.get("/positions")
def positions() -> list[str]:
    """FastAPI runs a plain function in another thread. ``call`` runs the request in the thread of the connection."""
    return [row.contract.localSymbol for row in app.state.connector.call(lambda ib: ib.positions(), timeout=2)]
