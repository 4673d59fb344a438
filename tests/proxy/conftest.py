"""A gateway that sends and receives plain bytes, and proxies in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ibkr.proxy import Proxy

TIMEOUT = 5.0


@dataclass
class Stream:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self, count: int) -> bytes:
        """Exactly this many bytes."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readexactly(count)

    async def read_to_end(self) -> bytes:
        """Return all bytes until the end (FIN). Raises ``ConnectionResetError`` on a reset."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()


@dataclass
class PlainGateway:
    """Accepts connections and does nothing else. ``accepted`` lists the connections in order."""

    port: int = 0
    accepted: asyncio.Queue[Stream] = field(default_factory=asyncio.Queue)
    streams: list[Stream] = field(default_factory=list)

    async def next(self) -> Stream:
        async with asyncio.timeout(TIMEOUT):
            return await self.accepted.get()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer)
        self.streams.append(stream)
        await self.accepted.put(stream)


@pytest.fixture
async def plain() -> AsyncIterator[PlainGateway]:
    gateway = PlainGateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    yield gateway
    server.close()
    for stream in gateway.streams:
        stream.writer.transport.abort()
    await server.wait_closed()


@pytest.fixture
async def new_proxy() -> AsyncIterator[Callable[..., Awaitable[Proxy]]]:
    """Makes a proxy in front of a port."""
    made: list[Proxy] = []

    async def make(port: int, **options: Any) -> Proxy:
        proxy = Proxy("127.0.0.1", port, **options)
        await proxy.start()
        made.append(proxy)
        return proxy

    yield make
    for proxy in made:
        await proxy.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[int], Awaitable[Stream]]]:
    """Connects to a port of this machine."""
    streams: list[Stream] = []

    async def make(port: int) -> Stream:
        streams.append(Stream(*await asyncio.open_connection("127.0.0.1", port)))
        return streams[-1]

    yield make
    for stream in streams:
        stream.writer.transport.abort()
