"""A FastAPI service with one connection for its whole life.

``pip install fastapi uvicorn``, then ``uvicorn fastapi_app:app``; IBKR_PORT names the gateway.
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
    """The service starts before its gateway: connecting goes on in a task, and never gives up."""
    app.state.connector = IBConnector.from_config(load_config())
    connecting = asyncio.create_task(app.state.connector.connect_async(wait=True))
    yield
    connecting.cancel()
    await app.state.connector.disconnect_async()


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def readyz() -> dict[str, Any]:
    """For the load balancer: 503 and the reason, or the status."""
    status = app.state.connector.status
    if not status.may_trade:
        raise HTTPException(503, status.may_trade_reason)
    return status.to_dict()


@app.get("/contract/{symbol}")
async def contract(symbol: str) -> dict[str, Any]:
    """A request of ib_async's, in the loop that the connection lives in."""
    try:
        await app.state.connector.wait_ready_async(2)
        [found] = await app.state.connector.ib.qualifyContractsAsync(Stock(symbol, "SMART", "USD"))
    except NotReady as error:
        raise HTTPException(503, str(error)) from error
    return {"conId": found.conId, "exchange": found.primaryExchange}


@app.get("/positions")
def positions() -> list[str]:
    """A plain function: FastAPI runs it in another thread, and ``call`` goes from there to the connection's."""
    return [row.contract.localSymbol for row in app.state.connector.call(lambda ib: ib.positions(), timeout=2)]
