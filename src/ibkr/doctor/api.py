"""The API's client side at its barest: an opening, and one session of requests and answers, read by whoever asks.

Not the client library: the doctor must see what the library cannot, a peer that is no gateway, and be quick.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ibkr.core.errors import Failure
from ibkr.core.peers import other_than_a_gateway
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
_CLOSING = 0.5
_READ = 65536

Message = list[str]
"""The fields of a message; the first is its id."""


class SessionEnded(ConnectionError):
    """The peer has ended the connection; ``any_byte`` says whether one had come before."""

    def __init__(self, text: str = "the gateway closed the connection", *, any_byte: bool = True) -> None:
        super().__init__(text)
        self.any_byte = any_byte


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a gateway answers to the hello: its protocol version, and its time as it writes it, with the zone."""

    version: int
    time: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the gateway's that has a code."""

    req_id: int
    code: int
    text: str


class NotTheApi(ConnectionError):
    """The peer's first bytes are no gateway's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@asynccontextmanager
async def dialled(address: str, port: int, seconds: float) -> AsyncIterator[Line]:
    """A TCP connection, closed at the end in good order. Raises ``OSError``, ``TimeoutError`` after so long."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(address, port)
    line = Line(reader, writer)
    try:
        yield line
    finally:
        await line.close()


async def is_gateway(address: str, port: int, versions: tuple[int, int], seconds: float) -> bool:
    """Whether a gateway answers the hello there in time; anything else, and nothing, is no."""
    try:
        async with dialled(address, port, seconds) as line, asyncio.timeout(seconds):
            await line.greet(versions)
    except OSError:  # refused, silent, closed, and what is no gateway
        return False
    return True


class Line:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.any_byte = False

    def send(self, data: bytes) -> None:
        """Put bytes on their way."""
        self._writer.write(data)

    async def read(self) -> bytes:
        """The next bytes. Raises ``SessionEnded``."""
        try:
            data = await self._reader.read(_READ)
        except OSError as error:
            raise SessionEnded(error.strerror or str(error), any_byte=self.any_byte) from error
        if not data:
            raise SessionEnded(any_byte=self.any_byte)
        self.any_byte = True
        return data

    async def greet(self, versions: tuple[int, int]) -> tuple[Greeting, bytes]:
        """Say the hello; the gateway's answer, and what came behind it. Raises ``NotTheApi``, ``SessionEnded``."""
        self.send(hello_bytes(ClientHello(*versions)))
        data = b""
        while True:
            data += await self.read()
            if (failure := other_than_a_gateway(data)) is not None:
                raise NotTheApi(failure)
            end = 4 + int.from_bytes(data[:4], "big")
            if classify_opening(data) is Opening.GATEWAY and len(data) >= end:
                version, *rest = decode_fields(data[4:end])
                return Greeting(int(version), rest[0] if rest else ""), data[end:]

    async def close(self) -> None:
        """End it in good order, and wait for the peer's end, but not for ever."""
        try:
            with suppress(OSError):  # TimeoutError among them
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                async with asyncio.timeout(_CLOSING):
                    while await self._reader.read(_READ):
                        pass
        finally:  # also when we are cancelled meanwhile
            self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


@dataclass(slots=True)
class Session:
    """An API session on a line: what was told, and questions with their answers, one after another."""

    line: Line
    greeting: Greeting
    frames: FrameReader = field(default_factory=lambda: FrameReader(MAX_FRAME_BEFORE_HANDSHAKE))
    accounts: tuple[str, ...] = ()
    notices: list[Notice] = field(default_factory=list)
    _waiting: deque[Message] = field(default_factory=deque)
    _next_id: int = 9_000_000
    last_byte: float = 0.0

    def send(self, *fields: object) -> None:
        """Send one request."""
        self.line.send(frame(encode_fields(*fields)))

    def new_id(self) -> int:
        """A request id that is not used yet."""
        self._next_id += 1
        return self._next_id

    async def next(self) -> Message:
        """The next message. Raises ``SessionEnded``."""
        while not self._waiting:
            self.take(await self.line.read())
        message = self._waiting.popleft()
        self._note(message)
        return message

    async def until(self, wanted: Callable[[Message], bool], seconds: float) -> Message | None:
        """The first message that is wanted, or None after so many seconds. Raises ``SessionEnded``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    message = await self.next()
                    if wanted(message):
                        return message
        return None

    def take(self, data: bytes) -> None:
        """Cut bytes that have come into messages."""
        self.last_byte = time.monotonic()
        try:
            self._waiting += [decode_fields(body) for body in self.frames.feed(data)]
        except FrameTooLong as error:
            raise SessionEnded(str(error)) from error

    def _note(self, message: Message) -> None:
        if is_a(messages.MANAGED_ACCOUNTS.message_id, fields=3)(message):
            self.accounts = tuple(filter(None, message[2].split(",")))
        elif (notice := notice_of(message)) is not None:
            self.notices.append(notice)


def is_a(message_id: int, fields: int = 1) -> Callable[[Message], bool]:
    """Whether a message is of this kind, and has as many fields as are read of it."""
    return lambda message: message[:1] == [str(message_id)] and len(message) >= fields


def notice_of(message: Message) -> Notice | None:
    """The notice that this message is, if it is one: 4, version, request id, code, text."""
    if message[:1] != [str(messages.ERROR.message_id)] or len(message) < 5:
        return None
    try:
        return Notice(int(message[2]), int(message[3]), message[4])
    except ValueError:
        return None


async def start(line: Line, versions: tuple[int, int], client_id: int, seconds: float) -> Session | Notice | None:
    """Open a session with this client id: the session, the notice that refuses it, or None after so many seconds.

    Raises ``SessionEnded`` when the gateway closes without a code, ``NotTheApi``.
    """
    async with asyncio.timeout(seconds):
        greeting, rest = await line.greet(versions)
    session = Session(line, greeting)
    session.frames.limit = MAX_FRAME
    session.take(rest)
    session.send(START_API, 2, client_id, "")
    ended: SessionEnded | None = None
    try:
        if (
            await session.until(
                lambda message: is_a(messages.NEXT_VALID_ID.message_id)(message) or _refuses(message), seconds
            )
            is None
        ):
            return None
    except SessionEnded as error:
        ended = error
    refusal = next((notice for notice in session.notices if notice.code == 326), None)
    if ended is not None and refusal is None:
        raise ended
    return refusal or session


def _refuses(message: Message) -> bool:
    notice = notice_of(message)
    return notice is not None and notice.code == 326
