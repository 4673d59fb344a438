"""One socket of a proxied connection: the client side or the gateway side."""

import asyncio
import os
import socket
import struct
from typing import Protocol, cast

BUFFER = 1024 * 1024
"""Bytes that may wait for a side that does not read. Beyond that, the other side has to wait."""


class SideOwner(Protocol):
    """The connection that a side belongs to."""

    def side_connected(self, side: "SocketSide") -> None:
        """Handle that the side is connected."""

    def side_received(self, side: "SocketSide", data: bytes) -> None:
        """Handle bytes that the side has received."""

    def side_eof(self, side: "SocketSide") -> None:
        """Handle that the peer of the side sends nothing more."""

    def side_closed(self, side: "SocketSide", error: Exception | None) -> None:
        """Handle the end of the side."""

    def other(self, side: "SocketSide") -> "SocketSide":
        """Return the other side."""


class SocketSide(asyncio.Protocol):
    """One of the two sockets of a connection. It is not read while there are `pause_reasons`."""

    def __init__(self, owner: SideOwner, name: str) -> None:
        self.owner = owner
        self.name = name
        self.transport: asyncio.Transport | None = None
        self.pause_reasons: set[str] = set()
        self.got_eof = False
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self.transport.set_write_buffer_limits(high=BUFFER)
        if self.pause_reasons:
            self.transport.pause_reading()
        self.owner.side_connected(self)

    def data_received(self, data: bytes) -> None:
        self.owner.side_received(self, data)

    def eof_received(self) -> bool:
        self.got_eof = True
        self.owner.side_eof(self)
        return True  # True keeps the other direction open

    def pause_writing(self) -> None:
        self.owner.other(self).set_paused("the other side does not read", True)

    def resume_writing(self) -> None:
        self.owner.other(self).set_paused("the other side does not read", False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.owner.side_closed(self, exc)

    def set_paused(self, reason: str, is_paused: bool) -> None:
        """Stop reading for this reason, or read again if there is no other reason."""
        if is_paused:
            self.pause_reasons.add(reason)
        else:
            self.pause_reasons.discard(reason)
        if self.transport is None or self.transport.is_closing():
            return
        if self.pause_reasons:
            self.transport.pause_reading()
        elif not self.got_eof:
            self.transport.resume_reading()

    @property
    def can_write(self) -> bool:
        """Whether bytes can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        if self.can_write and data:
            assert self.transport is not None
            self.transport.write(data)

    def write_eof_after_data(self) -> None:
        """Send the end of the stream (FIN) after everything that waits."""
        if self.can_write:
            assert self.transport is not None
            try:
                self.transport.write_eof()
            except OSError:  # the peer has reset the connection, which is reported separately
                self.transport.abort()

    def close(self) -> None:
        """Close the socket after everything that waits is sent."""
        if self.can_write:
            assert self.transport is not None
            self.transport.close()

    def abort(self, *, is_reset: bool) -> None:
        """Close the socket now, with a reset (RST) or without."""
        if self.transport is None or self.is_closed:
            return
        raw = self.transport.get_extra_info("socket")
        if is_reset and raw is not None and raw.fileno() >= 0:
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def read_pending(self) -> None:
        """Forward what has arrived but was not read yet, because the socket is about to be closed."""
        raw = self.transport.get_extra_info("socket") if self.transport else None
        if raw is None or raw.fileno() < 0 or self.got_eof:
            return
        with socket.socket(fileno=socket.dup(raw.fileno())) as twin:
            twin.setblocking(False)
            try:
                while data := twin.recv(BUFFER):
                    self.owner.side_received(self, data)
            except OSError:  # there is nothing more to read, or the peer has reset the connection
                return
