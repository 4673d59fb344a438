"""A real client, as the tests of a user have one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from ib_async import IB


@pytest.fixture
async def ib() -> AsyncIterator[IB]:
    """Its socket is gone when the test ends."""
    client = IB()
    yield client
    connection = client.client.conn
    if connection.isConnected():
        ended = asyncio.get_running_loop().create_future()
        connection.disconnected.connect(lambda _: ended.set_result(None))
        client.disconnect()
        await asyncio.wait_for(ended, 2)
