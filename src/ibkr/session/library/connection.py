"""The socket: bytes in, bytes out, and the ways to end it."""

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

from ibkr.session.dial import Route, route_of

if TYPE_CHECKING:
    from ib_async.connection import Connection as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from asyncio import Protocol as _Base  # the base of the library's class: __class__ can be changed only within it

    from ibkr.session.library.unbound import override

logger = logging.getLogger("ibkr.session")

CLOSED_BY_PEER = "the gateway closed the connection"

READ_SIZE = 8 * 1024
"""Bytes of one read: some 300 ticks. Python's garbage collector wakes when 700 objects more are alive, and after enough
of that looks at every object there is, for 10 to 20 ms; so it never sees a burst. asyncio's own 256 KB are more than a
loop should work on at a time, too.
"""

_KEEPALIVE_PROBES = 3
_LONGEST_KEEPALIVE = 32767
"""Seconds; Linux takes no more for the first of the keepalive options."""


class Reader(Protocol):
    """What reads the bytes that arrive."""

    def take(self, data: bytes) -> None:
        """Take what the transport has read."""


class ConnectionOverrides(_Base):
    """``end_reason``: why the newest socket ends or has ended, in words, where that is known."""

    hooks: Hooks
    reader: Reader
    end_reason: str
    _batch: list[bytes] | None

    def adopt(self, hooks: Hooks, reader: Reader) -> None:
        """Set what the constructor of the library's class does not."""
        self.hooks, self.reader = hooks, reader
        self.end_reason = ""
        self._batch = None

    @override
    async def connectAsync(self, host: str, port: int) -> None:
        """Connect in the running loop. Raises ``OSError`` and, for a name that is none, ``UnicodeError``."""
        self.reset()
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.BaseEventLoop):
            sock = await self.hooks.connect_socket(port)
            # Whatever comes of this, the transport has the socket already, and closes it.
            self.transport, _ = await loop.create_connection(lambda: self, sock=sock)
        else:
            # uvloop's transport takes no more than a socket's number, and an attempt that is cancelled closes it twice.
            self.transport, _ = await loop.create_connection(lambda: self, host, port)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.set_protocol(SmallReads(self))
        self.hooks.accepted()

    @override
    def data_received(self, data: bytes) -> None:
        self.reader.take(data)

    @override
    def eof_received(self) -> None:
        """An EOF ends the socket even if it still holds bytes that the peer will never read."""
        self.end_reason = self.end_reason or CLOSED_BY_PEER
        self.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.hooks.transport_ended(exc)
        self.disconnected.emit(str(exc) if exc else "")

    @override
    def sendMsg(self, msg: bytes) -> None:
        if self._batch is None:
            super().sendMsg(msg)
        else:
            self._batch.append(msg)
            if len(self._batch) == 1:
                super().sendMsg(msg)

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Messages sent meanwhile leave together: a system call each is most of what a start-up costs.

        All but the first, which leaves at once: the gateway wakes up and works on it while the others are made.
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
        """The two ends of the connection; None if there is none any more."""
        return route_of(self._socket()) if self.can_write else None

    @property
    def can_write(self) -> bool:
        """Whether bytes that are written now go anywhere."""
        return self.transport is not None and not self.transport.is_closing()

    @override
    def disconnect(self) -> None:
        """Close the socket behind what was written. The library's own raises if the peer has reset the connection."""
        if self.transport is None:
            return
        try:
            self.transport.write_eof()
            self.transport.close()
        except OSError:
            self._peer_was_gone()

    def finish_writing(self) -> None:
        """Tell the peer that nothing follows what was written; the peer then ends the connection.

        If we closed the socket at once, what the gateway still sends would make the system reset the connection, and
        the gateway would lose orders that it has not read yet.
        """
        if self.transport is None:
            return
        try:
            self.transport.write_eof()
            if not self.transport.is_reading():  # the end would not be seen
                self.transport.resume_reading()
        except OSError:
            self._peer_was_gone()

    def abort(self) -> None:
        """End the socket now."""
        if self.transport is not None:
            self.transport.abort()

    def discard_unsent(self, discard: bool) -> None:
        """Whether bytes that have not reached the peer when the socket ends are discarded, or still delivered.

        With ``SO_LINGER`` at 0 seconds the system resets the connection and forgets them.
        """
        if self.transport is not None:
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", discard, 0)
            with suppress(OSError):  # it is closed already
                self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def shut_down(self) -> None:
        """Have the system tell the peer that this is the end, without the loop that the socket belongs to."""
        if self.transport is not None:
            with suppress(OSError):  # the gateway may have closed it long ago
                self._socket().shutdown(socket.SHUT_RDWR)

    def detach(self) -> None:
        """In a forked process: put nothing in the place of the inherited socket, which else would outlive its end.

        If it were closed under its transport, the descriptor's number could belong to another file by the time that the
        transport is collected.
        """
        if self.transport is not None:
            with open(os.devnull, "r+b") as nothing:
                os.dup2(nothing.fileno(), self._socket().fileno(), inheritable=False)

    def keep_alive(self, patience: float) -> None:
        """Have the system end the connection if the peer acknowledges nothing for ``patience`` seconds or more.

        Never sooner, so that our own probe acts first.
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

    def _peer_was_gone(self) -> None:
        logger.debug("the peer was gone before the socket could be closed in good order", exc_info=True)
        self.abort()


class SmallReads(asyncio.BufferedProtocol):
    """Reads at most ``READ_SIZE`` bytes at a time for the protocol ``behind`` it, on any event loop.

    One buffer serves all connections of the thread that it is made in: it is empty again before the next read.
    """

    _of_thread = threading.local()

    def __init__(self, behind: asyncio.Protocol) -> None:
        self._behind = behind
        if not hasattr(self._of_thread, "buffer"):
            self._of_thread.buffer = memoryview(bytearray(READ_SIZE))
        self._buffer: memoryview = self._of_thread.buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._behind.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> Any:
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)
