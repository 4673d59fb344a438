"""A gateway and a connector with the default settings: no time is shortened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ibkr import IBConnector
from ibkr.simulator import Gateway


@pytest.fixture
async def connector(gateway: Gateway) -> AsyncIterator[IBConnector]:
    """A connector that is connected."""
    async with IBConnector("127.0.0.1", gateway.port, 7) as connector:
        yield connector


@pytest.fixture
async def forwarder(gateway: Gateway) -> AsyncIterator[int]:
    """The port of a TCP forwarder to the gateway, such as socat. It accepts connections even if the gateway is gone."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # this side has ended; the other side is closed below
        finally:
            writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, to_behind = await asyncio.open_connection("127.0.0.1", gateway.port)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(pump(reader, to_behind), pump(behind, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
