"""Fixtures: a gateway on a free port, and sessions of raw clients and of real ib_async clients."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from ib_async import IB

from ibkr.simulator import Gateway
from ibkr.wire import (
    ClientHello,
    FrameReader,
    data_messages,
    decode_fields,
    encode_fields,
    frame,
    hello_bytes,
    messages,
    order_messages,
    protobuf_schema,
)
from ibkr.wire.frame import BINARY_IDS, PROTOBUF_IDS, binary_id, split_id

ANSWERS = {
    layout.message_id: layout.protobuf[1]
    for module in (messages, data_messages, order_messages)
    for layout in module.LAYOUTS.values()
    if layout.protobuf
}
TIMEOUT = 3.0
SILENCE = 0.15  # thirty tick intervals of the fixture gateway


@dataclass
class RawClient:
    """A client that knows only the protocol. It returns exactly what the gateway sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    version: int = 0
    connection_time: str = ""
    _frames: FrameReader = field(default_factory=FrameReader)
    _received: list[list[str]] = field(default_factory=list)

    async def hello(self, lowest: int = 100, highest: int = 178) -> None:
        self.writer.write(hello_bytes(ClientHello(lowest, highest)))
        version, self.connection_time = await self.receive()
        self.version = int(version)

    async def start_api(self, client_id: int) -> None:
        self.send(71, 2, client_id, "")

    def send(self, *values: object) -> None:
        """Send a request in text. The id of the message comes first, as the version requires."""
        message_id, *fields = values
        is_binary = self.version >= BINARY_IDS
        head = binary_id(int(str(message_id))) if is_binary else encode_fields(message_id)
        self.writer.write(frame(head + (encode_fields(*fields) if fields else b"")))

    def send_protobuf(self, message_id: int, name: str, **values: object) -> None:
        """Send a request in protobuf: message ``name`` of ``tws.proto``."""
        data = protobuf_schema.message_class(name)(**values).SerializeToString()
        self.writer.write(frame(binary_id(PROTOBUF_IDS + message_id) + data))

    def _fields(self, body: bytes) -> list[str]:
        """The id of a message, and its values as texts, in the order of their encoding."""
        if self.version < BINARY_IDS:
            return decode_fields(body)
        number, is_protobuf, rest = split_id(body, self.version)
        values = (
            protobuf_schema.texts(protobuf_schema.parse(ANSWERS[number], rest)) if is_protobuf else decode_fields(rest)
        )
        return [str(number), *values]

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self) -> bytes:
        """Return the next bytes, or b"" at the end (FIN). Raises ConnectionResetError on RST."""
        return await asyncio.wait_for(self.reader.read(65536), TIMEOUT)

    async def receive(self) -> list[str]:
        """Return the fields of the next message. Raises EOFError at the end."""
        while not self._received:
            data = await self.read()
            if not data:
                raise EOFError("the gateway has closed the connection")
            self._received += [self._fields(body) for body in self._frames.feed(data)]
        return self._received.pop(0)

    async def packet(self) -> list[list[str]]:
        """The messages of the next read, which came in one packet."""
        assert not self._received
        return [self._fields(body) for body in self._frames.feed(await self.read())]

    async def until(self, message_id: int, *fields: str) -> list[list[str]]:
        """The messages up to the first message with this id and these fields."""
        messages = []
        while True:
            messages.append(await self.receive())
            if messages[-1][0] == str(message_id) and set(fields) <= set(messages[-1]):
                return messages

    async def error(self) -> tuple[int, int, str]:
        """Request id, code and text of the next error message."""
        message = (await self.until(4))[-1]
        if self.version >= BINARY_IDS:
            return int(message[1]), int(message[3]), message[4]
        return int(message[2]), int(message[3]), message[4]

    async def hears_nothing(self) -> bool:
        """Whether no byte comes for many tick intervals."""
        assert not self._received
        try:
            data = await asyncio.wait_for(self.reader.read(65536), SILENCE)
        except TimeoutError:
            return True
        self._received += [self._fields(body) for body in self._frames.feed(data)]
        return False

    async def caught_up(self) -> None:
        """Wait until the gateway has processed all that was sent."""
        self.send(49, 1)
        await self.until(49)

    async def drain(self) -> None:
        """Discard messages that are under way."""
        self._received.clear()
        while not await self.hears_nothing():
            self._received.clear()

    async def ended(self) -> str:
        """Return how the connection ends: closed or reset. Discards all bytes before the end."""
        try:
            while await self.read():
                pass
        except ConnectionResetError:
            return "reset"
        return "closed"

    def subscribe(self, req_id: int, con_id: int = 265598, symbol: str = "AAPL", kind: str = "STK") -> None:
        contract = (con_id, symbol, kind, "", 0.0, "", "", "SMART", "", "USD", "", "")
        self.send(1, 11, req_id, *contract, 0, "", 0, 0, "")

    def ask_details(self, req_id: int, symbol: str, kind: str = "STK", **more: str) -> None:
        exchange = more.get("exchange", "SMART")
        contract = (0, symbol, kind, "", 0.0, "", "", exchange, "", more.get("currency", "USD"), "", "")
        self.send(9, 8, req_id, *contract, 0, "", "", "")

    def shrink_receive_buffer(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

    def reset(self) -> None:
        """End the connection with a reset (RST)."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        # ConnectionError: in many of these tests, the gateway has reset the connection.
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Connect = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway(tick_interval=0.005, id_hold=0) as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects raw clients: ``connect(port)`` gives a socket, ``connect(port, client_id)`` gives a session.

    With ``welcomed=False``, the client does not read the messages after startApi.
    """
    clients: list[RawClient] = []

    async def connect(
        port: int, client_id: int | None = None, *, highest: int = 178, welcomed: bool = True
    ) -> RawClient:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
        clients.append(client)
        if client_id is not None:
            await client.hello(highest=highest)
            await client.start_api(client_id)
            if welcomed:
                await client.until(4, "2158")
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def session(gateway: Gateway, connect: Connect) -> RawClient:
    """A raw client's session, with client id 7."""
    return await connect(gateway.port, 7)


@pytest.fixture
async def connected(gateway: Gateway, ib: IB) -> IB:
    """The library's session, with client id 8."""
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=8, timeout=10)
    return ib


PlainOrder = Callable[..., list[object]]


@pytest.fixture
def plain_order() -> PlainOrder:
    """``plain_order(kind, limit)``: placeOrder at version 178 after its order id, as ib_async writes it."""
    return _plain_order


def _plain_order(kind: str, limit: object, action: str = "BUY", account: str = "") -> list[object]:
    contract = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "", "", "")
    order = (action, 100, kind, limit, "", "", "", account, "", 0, "", 1, 0, 0, 0, 0, 0, 0, 0)
    more = ("", 0.0, "", "", "", "", "", "", 0, "", -1, 0, "", "", 0, "", "", 0, 0, "", 0, "", "", "", "", "", 0)
    volatility = ("", "", "", "", 0, "", "", "", "", "", "", "", "", "", "", 0, "", "", 0, 0, "")
    end = ("", 0, "", 0, 0, 0, 0, "", "", "", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0, 0, "", "", 0)
    return [*contract, *order, *more, *volatility, *end, "", ""]
