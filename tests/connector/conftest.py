"""A simulated gateway on a real socket, and connectors that are disconnected after their test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ib_async import Ticker

from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import Gateway
from ibkr.simulator.connection.client_connection import ClientConnection
from tests.fixture_types import AAPL, Back, Make, NextTick, Spoil, StateOf, States, Ticking

# These tests compare with ib_async's own code. With another library, pytest does not collect them.
_OF_IB_ASYNC = ["test_tick_decoder.py", "test_account_decoder.py", "test_trade_rows.py", "test_unreadable_status.py"]
collect_ignore = [] if os.environ.get("TESTED_BACKEND", "ib_async") == "ib_async" else _OF_IB_ASYNC

READY = ConnectionState.READY
ROWS = {"open orders": b"5", "statuses": b"3", "executions": b"11", "positions": b"61", "completed orders": b"101"}
"""The messages in which a gateway sends the rows of an answer."""


@pytest.fixture
async def make(gateway: Gateway) -> AsyncIterator[Make]:
    """Makes connectors to the gateway: ``make(client_id=7, timeout=1, probe_after=1)``; fields of the policy by name.

    The connectors have no maintenance window, so the tests also pass at night.
    """
    made: list[IBConnector] = []

    def make(
        client_id: int = 7,
        timeout: float = 5,
        port: int = 0,
        readonly: bool = False,
        host: str = "127.0.0.1",
        **policy: Any,
    ) -> IBConnector:
        connector = IBConnector(
            host,
            port or gateway.port,
            client_id,
            timeout,
            readonly=readonly,
            policy=Policy(**{"region": "none"} | policy),
        )
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.disconnect_async()


@pytest.fixture
def states() -> States:
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
def back(state_of: StateOf) -> Back:
    """Waits until the connector is READY again, after its first outage or after the outage with this number."""

    async def wait(connector: IBConnector, outage: int = 1) -> Status:
        return await state_of(connector, lambda status: status.outages == outage and status.state is READY)

    return wait


@pytest.fixture
def ticking(make: Make, next_tick: NextTick) -> Ticking:
    """Connects, and waits for AAPL's first tick: ``connector, ticker = await ticking(probe_after=1)``."""

    async def begin(**policy: Any) -> tuple[IBConnector, Ticker]:
        connector = make(**policy)
        await connector.connect_async()
        ticker = connector.ib.reqMktData(AAPL)
        await next_tick(ticker)
        return connector, ticker

    return begin


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Makes the gateway send rows of this answer with numbers that cannot be parsed. ``spoil('')`` ends this fault."""
    spoilt: list[str] = []
    send = ClientConnection.send

    def changed(body: bytes) -> bytes:
        kind, *fields = body.split(b"\0")
        if not spoilt or kind != ROWS.get(spoilt[-1]):
            return body
        return b"\0".join([kind, *(b"12x" if field.isdigit() else field for field in fields)])

    monkeypatch.setattr(ClientConnection, "send", lambda self, *bodies: send(self, *map(changed, bodies)))
    return spoilt.append
