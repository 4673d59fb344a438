"""Overrides the library's socket connection: reading, writing, and the ways to end it."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ibkr.session.tcp_connect import Route, route_of

if TYPE_CHECKING:
    from ib_async.connection import Connection as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks, Recording
else:
    # adopt.py replaces the ``__class__`` of the library's object. Python allows this only if the new class has the same
    # base.
    from asyncio import Protocol as _Base

    from ibkr.session.library.mixin_base import override

logger = logging.getLogger("ibkr.session")

CLOSED_BY_PEER = "the gateway closed the connection"

READ_SIZE = 8 * 1024
"""Bytes of one read, about 300 ticks. Python's garbage collector runs after 700 new objects, and from time to time
examines all objects, which takes 10 to 20 ms. With small reads, there are never so many new objects at
a time. asyncio reads up to 256 KB, which is more than a loop should process at a time.
"""

_KEEPALIVE_PROBES = 3
_LONGEST_KEEPALIVE = 32767
"""Seconds. Linux accepts no higher value for the first keepalive option."""


class Reader(Protocol):
    """Reads the bytes that arrive."""

    def feed(self, data: bytes) -> None:
        """Read what the transport has received."""


class ConnectionOverrides(_Base):
    """``end_reason`` says why the newest socket ends or has ended. Empty if the reason is unknown."""

    hooks: Hooks
    reader: Reader
    end_reason: str
    _batch: list[bytes] | None
    _recording: Recording | None

    def adopt(self, hooks: Hooks, reader: Reader) -> None:
        """Set what the constructor of the library's class does not set."""
        self.hooks, self.reader = hooks, reader
        self.end_reason = ""
        self._batch = None
        self._recording = None

    @override
    async def connectAsync(self, host: str, port: int) -> None:
        """Connect in the running loop. Raises ``OSError``, and ``UnicodeError`` for an invalid host name."""
        self.reset()
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.BaseEventLoop):
            sock = await self.hooks.connect_socket(port)
            # The transport owns the socket already, and closes it in every case.
            self.transport, _ = await loop.create_connection(lambda: self, sock=sock)
        else:
            # Let uvloop open the socket: it would use only the number of ours, and close that twice after a cancel.
            try:
                self.transport, _ = await loop.create_connection(lambda: self, host, port)
            except BaseException:
                if self.transport is not None:  # uvloop has closed it, and will not report that
                    self.connection_lost(None)
                raise

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.set_protocol(SmallReadProtocol(self))
        self._end_recording("its end was not seen")
        self._recording = self.hooks.recording()
        self.hooks.incoming.accepted()

    @override
    def data_received(self, data: bytes) -> None:
        try:
            if self._recording is not None:
                self._recording.gateway_sent(data)
            self.reader.feed(data)
        except Exception as error:  # an error in our code: asyncio would only drop the connection
            self.hooks.failed("reading from the socket", error)

    @override
    def eof_received(self) -> None:
        """On EOF, end the socket, even if it still has bytes that the peer will never read."""
        self.end_reason = self.end_reason or CLOSED_BY_PEER
        self.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._end_recording(self.end_reason or (str(exc) if exc else "closed by the client"))
        self.hooks.transport_ended(exc)
        self.disconnected.emit(str(exc) if exc else "")

    @override
    def sendMsg(self, msg: bytes) -> None:
        if self._recording is not None:
            self._recording.client_sent(msg)
        if self._batch is None:
            super().sendMsg(msg)
        else:
            self._batch.append(msg)
            if len(self._batch) == 1:
                super().sendMsg(msg)

    def _end_recording(self, why: str) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close(why)
            recording.flush()

    @contextmanager
    def batched_writes(self) -> Iterator[None]:
        """Send the first message of the ``with`` block immediately, and all others together at the end of the block.

        Fewer writes help, because system calls take most of the time of start-up. Meanwhile, the gateway works on the
        first message.
        """
        if self._batch is not None:
            yield
            return
        batch = self._batch = []
        try:
            yield
        finally:
            self._batch = None
            if len(batch) > 1:
                super().sendMsg(b"".join(batch[1:]))
                self.numMsgSent += len(batch) - 2

    @property
    def route(self) -> Route | None:
        """The two ends of the connection, or ``None`` if it has ended."""
        return route_of(self._socket()) if self.can_write else None

    @property
    def can_write(self) -> bool:
        """Whether written bytes can still reach the peer."""
        return self.transport is not None and not self.transport.is_closing()

    @override
    def disconnect(self) -> None:
        """Close the socket after everything that was written.

        The library's own method raises if the peer has reset the connection.
        """
        if self.transport is None:
            return
        try:
            self.transport.write_eof()
            self.transport.close()
        except OSError:
            self._abort_lost_peer()

    def finish_writing(self) -> None:
        """Tell the peer that nothing more follows. The peer then ends the connection.

        If we closed the socket immediately while the gateway still sends data, the system would reset the connection.
        Then the gateway would lose orders that it has not read yet.
        """
        if self.transport is None:
            return
        try:
            self.transport.write_eof()
            if not self.transport.is_reading():  # otherwise the end of the connection would not be noticed
                self.transport.resume_reading()
        except OSError:
            self._abort_lost_peer()

    def abort(self) -> None:
        """End the socket now."""
        if self.transport is not None:
            self.transport.abort()

    def discard_unsent(self, discard: bool) -> None:
        """Set whether to discard bytes that have not reached the peer when the socket ends, or to deliver them.

        With ``SO_LINGER`` of 0 seconds, the system resets the connection and discards them.
        """
        if self.transport is not None:
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", discard, 0)
            with suppress(OSError):  # the socket is closed already
                self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def shut_down(self) -> None:
        """Let the system end the connection, without using the socket's event loop.

        This is not possible with uvloop, which no longer has the socket after closing it. With uvloop, the connection
        ends when its loop or the process ends.
        """
        if self.transport is not None:
            with suppress(OSError, TypeError, AttributeError):  # OSError: the gateway may have closed it long ago
                self._socket().shutdown(socket.SHUT_RDWR)

    def detach(self) -> None:
        """In a forked process: replace the inherited socket by the null device.

        Otherwise this process would keep the connection open.

        We do not close the socket, because its transport still uses it: before the transport is garbage collected,
        another file could get the descriptor number.
        """
        if self.transport is not None:
            with open(os.devnull, "r+b") as nothing:
                os.dup2(nothing.fileno(), self._socket().fileno(), inheritable=False)

    def keep_alive(self, patience: float) -> None:
        """Let the system end the connection if the peer acknowledges nothing for ``patience`` seconds or more.

        The system never ends the connection earlier, so that our own probe comes first.
        """
        if not self.can_write:
            return
        seconds = min(math.ceil(patience), _LONGEST_KEEPALIVE)
        options = {
            "SO_KEEPALIVE": 1,
            "TCP_KEEPIDLE": seconds,
            "TCP_KEEPALIVE": seconds,  # its name on macOS
            "TCP_KEEPINTVL": max(1, seconds // _KEEPALIVE_PROBES),
            "TCP_KEEPCNT": _KEEPALIVE_PROBES,
            "TCP_USER_TIMEOUT": 1000 * seconds,
        }
        for name, value in options.items():
            option = getattr(socket, name, None)
            if option is None:
                continue
            try:
                level = socket.SOL_SOCKET if name == "SO_KEEPALIVE" else socket.IPPROTO_TCP
                self._socket().setsockopt(level, option, value)
            except OSError:
                logger.debug("%s could not be set to %s", name, value, exc_info=True)

    def _socket(self) -> socket.socket:
        assert self.transport is not None
        found: socket.socket = self.transport.get_extra_info("socket")
        return found

    def _abort_lost_peer(self) -> None:
        logger.debug("the peer was gone before the socket could be closed properly", exc_info=True)
        self.abort()


class SmallReadProtocol(asyncio.BufferedProtocol):
    """Reads at most ``READ_SIZE`` bytes at a time for another protocol, on any event loop.

    All connections of a thread share one buffer. The buffer is always empty before the next read.
    """

    _of_thread = threading.local()

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        if not hasattr(self._of_thread, "buffer"):
            self._of_thread.buffer = memoryview(bytearray(READ_SIZE))
        self._buffer: memoryview = self._of_thread.buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> Any:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
