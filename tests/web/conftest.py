"""The web server on a real port, with a connector and a simulated gateway; clients write every byte themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from ibkr import IBConnector, Policy
from ibkr.journal.halt_file import HaltFile
from ibkr.observe.history import History
from ibkr.simulator import Gateway
from ibkr.web.connector_view import ConnectorView
from ibkr.web.http_server import listen, serve
from ibkr.web.view_registry import ViewRegistry
from ibkr.web.web_settings import WebSettings

TOKEN = "a-token-of-good-length"


@dataclass(frozen=True)
class Answer:
    """The bytes of the answer, to the end of the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """Sends requests to the server on one port."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def raw(self, request: bytes) -> bytes:
        """Send these bytes, and return all that the server answers."""
        async with self.connection() as (reader, writer):
            writer.write(request)
            async with asyncio.timeout(15):
                try:
                    return await reader.read()
                except ConnectionError:
                    return b""

    async def ask(self, path: str, method: str = "GET", body: bytes = b"", host: str = "", **headers: str) -> Answer:
        """One request; ``headers`` with underscores for dashes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        answer = await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        head, _, content = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ")[::2] for line in rest)
        return Answer(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, content)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @asynccontextmanager
    async def events(self, **headers: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The event stream, as dicts of id, event and data."""
        async with self.connection() as (reader, writer):
            more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
            writer.write(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{more}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head, head
            yield self._parsed(reader)

    async def _parsed(self, reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
        event: dict[str, Any] = {}
        while True:
            async with asyncio.timeout(10):
                size = int(await reader.readuntil(b"\r\n"), 16)
                chunk = (await reader.readexactly(size + 2))[:-2].decode()
            if not size:
                return
            for line in chunk.split("\n"):
                name, _, value = line.partition(": ")
                if name:
                    event[name] = json.loads(value) if name == "data" else value
                elif "event" in event:
                    yield event
                    event = {}
                else:
                    event = {}


@dataclass(frozen=True)
class Served:
    """A web server that runs."""

    view: ConnectorView
    connector: IBConnector
    visitor: Visitor


@pytest.fixture
async def served(gateway: Gateway) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Starts a server: ``await served(token=..., request_time=...)``. Its connector is READY, unless ``ready=False``.

    With ``held=False``, the connector belongs to a program, and not to the server.
    """
    ends = []

    async def start(
        *,
        ready: bool = True,
        held: bool = True,
        history: History | None = None,
        halt_file: HaltFile | None = None,
        **settings: Any,
    ) -> Served:
        policy = Policy(region="none", refused_every=0.05, backoff_first=0.05, client_id_grace=0.1)
        connector = IBConnector("127.0.0.1", gateway.port, 7, policy=policy)
        web = WebSettings(port=0, **{"stats_every": 0.05, **settings})
        view = ConnectorView(connector, web, history=history, halt_file=halt_file, is_held=held)
        listening = listen(web)
        view.open()
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(ViewRegistry(web, view), listening, stop))
        connecting = asyncio.create_task(connector.connect_async(wait=True))
        ends.append((stop, serving, connecting, connector, view))
        if ready:
            await connector.connect_async()
            await connector.wait_ready_async(10)
        return Served(view, connector, Visitor(listening.getsockname()[1]))

    yield start
    for stop, serving, connecting, connector, view in ends:
        stop.set()
        await serving
        connecting.cancel()
        await connector.disconnect_async()
        await view.close()
