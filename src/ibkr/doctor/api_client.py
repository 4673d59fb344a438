"""A minimal client of the TWS API for the checks: connect, handshake, and one session of requests and answers.

The checks do not use the client library, because it cannot report what the peer is if the peer is not a gateway. This
client is also faster.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ibkr.core.errors import Failure
from ibkr.core.peer_type import non_gateway_failure
from ibkr.wire import (
    MAX_FRAME,
    MAX_FRAME_BEFORE_HANDSHAKE,
    ClientHello,
    FrameReader,
    FrameTooLong,
    Opening,
    classify_opening,
    decode_fields,
    encode_fields,
    frame,
    hello_bytes,
    messages,
)

START_API = 71
_CLOSE_TIMEOUT = 0.5
_READ_SIZE = 65536
_CLIENT_ID_IN_USE = 326

Message = list[str]
"""The fields of a message. The first one is the message id."""


class ConnectionEnded(ConnectionError):
    """The peer has closed the connection. ``received_any`` is true if the peer had sent a byte before."""

    def __init__(self, text: str = "the gateway closed the connection", *, received_any: bool = True) -> None:
        super().__init__(text)
        self.received_any = received_any


class NotAGatewayError(ConnectionError):
    """The peer's first bytes are not those of a gateway. ``failure`` describes the bytes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class HandshakeReply:
    """The gateway's answer to the hello: its protocol version, and its time with the zone, as the gateway writes it."""

    version: int
    time: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the gateway that has a code."""

    req_id: int
    code: int
    text: str


@asynccontextmanager
async def open_connection(address: str, port: int, seconds: float) -> AsyncIterator[Connection]:
    """Open a TCP connection, and close it at the end of the block.

    Args:
        address: An IP address.
        port: The port.
        seconds: How long to wait until the connection is open.

    Raises:
        OSError: The connection cannot be opened.
        TimeoutError: It was not open in time.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(address, port)
    connection = Connection(reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


async def is_gateway(address: str, port: int, versions: tuple[int, int], seconds: float) -> bool:
    """Return whether a gateway at this address and port answers the hello within this many seconds."""
    try:
        async with open_connection(address, port, seconds) as connection, asyncio.timeout(seconds):
            await connection.handshake(versions)
    except OSError:  # refused, silent, closed, or not a gateway
        return False
    return True


class Connection:
    """One TCP connection to a peer that may be a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received_any = False

    def send(self, data: bytes) -> None:
        """Send bytes without waiting."""
        self._writer.write(data)

    async def read(self) -> bytes:
        """Wait for the next bytes. Raises ``ConnectionEnded``."""
        try:
            data = await self._reader.read(_READ_SIZE)
        except OSError as error:
            raise ConnectionEnded(error.strerror or str(error), received_any=self._received_any) from error
        if not data:
            raise ConnectionEnded(received_any=self._received_any)
        self._received_any = True
        return data

    async def handshake(self, versions: tuple[int, int]) -> tuple[HandshakeReply, bytes]:
        """Send the hello, and wait for the reply.

        Args:
            versions: The lowest and highest protocol version to offer.

        Returns:
            The reply, and the bytes that came after it.

        Raises:
            NotAGatewayError: No gateway sends first bytes like these.
            ConnectionEnded: The peer closed the connection.
        """
        self.send(hello_bytes(ClientHello(*versions)))
        data = b""
        while True:
            data += await self.read()
            if (failure := non_gateway_failure(data)) is not None:
                raise NotAGatewayError(failure)
            end = 4 + int.from_bytes(data[:4], "big")
            if classify_opening(data) is Opening.GATEWAY and len(data) >= end:
                version, *rest = decode_fields(data[4:end])
                return HandshakeReply(int(version), rest[0] if rest else ""), data[end:]

    async def close(self) -> None:
        """Send the end of the stream, and wait a short time for the peer's end of the stream."""
        try:
            with suppress(OSError):  # TimeoutError is a subclass of OSError
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    while await self._reader.read(_READ_SIZE):
                        pass
        finally:  # this must also run if the task is cancelled while it waits
            self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


@dataclass(slots=True)
class Session:
    """An API session on a connection: its accounts, its notices, and requests with their answers, one by one."""

    connection: Connection
    handshake_reply: HandshakeReply
    frames: FrameReader = field(default_factory=lambda: FrameReader(MAX_FRAME_BEFORE_HANDSHAKE))
    accounts: tuple[str, ...] = ()
    notices: list[Notice] = field(default_factory=list)
    _unread: deque[Message] = field(default_factory=deque)
    _last_id: int = 9_000_000
    last_byte_at: float = 0.0

    def send(self, *fields: object) -> None:
        """Send one request."""
        self.connection.send(frame(encode_fields(*fields)))

    def new_id(self) -> int:
        """Return a request id that is not used yet."""
        self._last_id += 1
        return self._last_id

    async def next_message(self) -> Message:
        """Wait for the next message. Raises ``ConnectionEnded``."""
        while not self._unread:
            self.feed(await self.connection.read())
        message = self._unread.popleft()
        if is_message(messages.MANAGED_ACCOUNTS.message_id, fields=3)(message):
            self.accounts = tuple(filter(None, message[2].split(",")))
        elif (notice := parse_notice(message)) is not None:
            self.notices.append(notice)
        return message

    async def wait_for(self, is_wanted: Callable[[Message], bool], seconds: float) -> Message | None:
        """Return the first wanted message, or ``None`` after this many seconds. Raises ``ConnectionEnded``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    message = await self.next_message()
                    if is_wanted(message):
                        return message
        return None

    def feed(self, data: bytes) -> None:
        """Split received bytes into messages. Raises ``ConnectionEnded`` for a frame that is too long."""
        self.last_byte_at = time.monotonic()
        try:
            self._unread += [decode_fields(body) for body in self.frames.feed(data)]
        except FrameTooLong as error:
            raise ConnectionEnded(str(error)) from error


def is_message(message_id: int, fields: int = 1) -> Callable[[Message], bool]:
    """Return a test for messages with this id and at least this many fields."""
    return lambda message: message[:1] == [str(message_id)] and len(message) >= fields


def parse_notice(message: Message) -> Notice | None:
    """Return the notice in a message (4, version, request id, code, text), or ``None`` if it has none."""
    if message[:1] != [str(messages.ERROR.message_id)] or len(message) < 5:
        return None
    try:
        return Notice(int(message[2]), int(message[3]), message[4])
    except ValueError:
        return None


async def start_session(
    connection: Connection, versions: tuple[int, int], client_id: int, seconds: float
) -> Session | Notice | None:
    """Do the handshake, and start a session with this client id.

    Args:
        connection: A connection without a handshake.
        versions: The lowest and highest protocol version to offer.
        client_id: The client id.
        seconds: How long to wait for each answer.

    Returns:
        The session; or the notice that refuses the client id (326); or ``None`` if no answer came in time.

    Raises:
        ConnectionEnded: The gateway closed the connection without a code.
        NotAGatewayError: The peer is not a gateway.
        TimeoutError: No reply to the handshake came in time.
    """
    async with asyncio.timeout(seconds):
        reply, rest = await connection.handshake(versions)
    session = Session(connection, reply)
    session.frames.limit = MAX_FRAME
    session.feed(rest)
    session.send(START_API, 2, client_id, "")
    is_ready = is_message(messages.NEXT_VALID_ID.message_id)
    ended: ConnectionEnded | None = None
    try:
        if await session.wait_for(lambda message: is_ready(message) or _is_refusal(message), seconds) is None:
            return None
    except ConnectionEnded as error:
        ended = error
    refusal = next((notice for notice in session.notices if notice.code == _CLIENT_ID_IN_USE), None)
    if ended is not None and refusal is None:
        raise ended
    return refusal or session


def _is_refusal(message: Message) -> bool:
    notice = parse_notice(message)
    return notice is not None and notice.code == _CLIENT_ID_IN_USE
