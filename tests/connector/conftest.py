"""A simulated gateway on a real socket, and connectors that come to an end with their test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from ib_async import Stock, Ticker

from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import Gateway

# Of ib_async's own code, which is read for it alone; with another library it is not collected.
collect_ignore = [] if os.environ.get("TESTED_BACKEND", "ib_async") == "ib_async" else ["test_ticks.py"]

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
async def make(gateway: Gateway) -> AsyncIterator[Callable[..., IBConnector]]:
    """Makes connectors to the gateway: ``make(client_id=7, timeout=1, probe_after=1)``; policy fields by their name."""
    made: list[IBConnector] = []

    def make(
        client_id: int = 7, timeout: float = 5, port: int = 0, readonly: bool = False, **policy: Any
    ) -> IBConnector:
        connector = IBConnector(
            "127.0.0.1", port or gateway.port, client_id, timeout, readonly=readonly, policy=Policy(**policy)
        )
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.disconnect_async()


@pytest.fixture
def states() -> Callable[[IBConnector], list[ConnectionState]]:
    """Records a connector's states from now on, each change once."""

    def record(connector: IBConnector) -> list[ConnectionState]:
        seen = [connector.status.state]

        def note(status: Status) -> None:
            if status.state is not seen[-1]:
                seen.append(status.state)

        connector.on_status(note)
        return seen

    return record


@pytest.fixture
def state_of() -> Callable[[IBConnector, Callable[[Status], bool]], Awaitable[Status]]:
    """Waits until a status is such: ``await state_of(connector, lambda status: ...)``."""

    async def wait(connector: IBConnector, holds: Callable[[Status], bool]) -> Status:
        async with asyncio.timeout(10):
            async for status in connector.changes():
                if holds(status):
                    return status
        raise AssertionError("changes() ended")

    return wait


@pytest.fixture
def subscribe() -> Callable[[IBConnector], Ticker]:
    """Asks for AAPL's market data by the library's own call."""
    return lambda connector: connector.ib.reqMktData(AAPL)


@pytest.fixture
def next_tick() -> Callable[[Ticker], Awaitable[None]]:
    """Waits for the ticker's next update; not with ``await ticker.updateEvent``, which a library would have ended."""

    async def wait(ticker: Ticker) -> None:
        ticked = asyncio.Event()

        def note(_: Ticker) -> None:
            ticked.set()

        ticker.updateEvent.connect(note)
        try:
            async with asyncio.timeout(10):
                await ticked.wait()
        finally:
            ticker.updateEvent.disconnect(note)

    return wait
