"""One connection to the gateway: hello, startApi, then requests."""

import asyncio
import logging
import os
import socket
import struct
from typing import cast

from ibkr.simulator.connection.greetings import GREETINGS
from ibkr.simulator.connection.handshake import Handshake, start_session
from ibkr.simulator.connection.moments import CONNECTION, END
from ibkr.simulator.connection.outbox import Outbox
from ibkr.simulator.connection.pacer import Pacer
from ibkr.simulator.connection.talk import request_text, tell_sent
from ibkr.simulator.connection.twists import send_twisted
from ibkr.simulator.hub import Hub
from ibkr.simulator.requests.reader import FieldReader, Malformed
from ibkr.simulator.requests.registry import answer
from ibkr.simulator.requests.table import START_API, received
from ibkr.simulator.session import Session
from ibkr.wire import FrameReader, FrameTooLong, frame

log = logging.getLogger("ibkr.simulator")

MAX_REQUEST = 1024 * 1024
"""Bytes of one request."""

MAX_UNREAD = 16 * 1024 * 1024
"""Bytes that may wait for a client that does not read, before it is cut."""


class Client(Session, asyncio.Protocol):
    """The gateway's side of one TCP connection."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._handshake = Handshake(self)
        self._pacer = Pacer(self, self._handle)
        self._frames = FrameReader(MAX_REQUEST)
        self._unread = bytearray()
        self._end_is_unread = False
        self._ended_at: float | None = None
        self._answer_delay = 0.0
        self._greeting = GREETINGS[hub.conditions.greeting]

    def __repr__(self) -> str:
        return f"<Client id={self.client_id} version={self.server_version}>"

    @property
    def is_reading(self) -> bool:
        """Whether the gateway acts on what has come in."""
        is_closing = self.transport.is_closing() and self._ended_at is None
        return not (self.is_ignored or self.hub.conditions.frozen or is_closing)

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.outbox = Outbox(self.hub.loop, self.transport)
        if not self.hub.is_accepting:  # was in the backlog when the port closed
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=MAX_UNREAD)
        log.info("a connection from %s", transport.get_extra_info("peername"))
        self.hub.clients[self] = None
        self.hub.seen.connects += 1
        self.hub.seen.attempts.append(self.hub.loop.time())
        if self.hub.conditions.frozen:
            self.freeze()
        self.hub.moments.reached(CONNECTION)
        if not self.is_ignored:
            self._greeting.accepted(self)
        self.hub.changed()

    def data_received(self, data: bytes) -> None:
        if self.hub.conditions.frozen:  # the kernel takes it, the gateway reads it when it is thawed
            self._unread += data
            if len(self._unread) > MAX_REQUEST:
                self.transport.pause_reading()
        elif not self.is_ignored:
            self._greeting.received(self, data)

    def eof_received(self) -> bool:
        self.has_left = True
        if self.hub.conditions.frozen:
            self._end_is_unread = True
            return True
        return self._read_end()

    def pause_writing(self) -> None:
        log.warning("client %s does not read: cut with %s bytes waiting", self.client_id, MAX_UNREAD)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.timers.stop()
        self.outbox.drop()
        self._ended_at = self.hub.loop.time()
        # A frozen gateway does not learn that its kernel has ended the connection, nor what came before that.
        if self.is_ignored or not self.hub.conditions.frozen:
            self._finish()

    def _read_end(self) -> bool:
        """The client has ended its side. Whether earlier messages of it still wait for the rate limit."""
        self.hub.moments.reached(END)
        return self._pacer.is_waiting

    def _finish(self) -> None:
        self.is_ignored = True
        self._pacer.stop()
        assert self._ended_at is not None
        self.hub.remove(self, self._ended_at)

    # --- what goes out ---------------------------------------------------------------------------

    def send(self, *bodies: bytes) -> None:
        """Send messages in one write."""
        if log.isEnabledFor(logging.DEBUG):
            tell_sent(self.client_id, bodies)
        if self.hub.conditions.twists:
            send_twisted(self, bodies)
        else:
            self.send_raw(b"".join([frame(body) for body in bodies]))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.outbox.put(data, self.hub.conditions.flow, self._answer_delay)
        if self.outbox.waiting > MAX_UNREAD:
            self.pause_writing()

    # --- how it ends, and how it stands still ----------------------------------------------------

    def close(self) -> None:
        """Close in good order (FIN) once all is sent; what still comes in is not looked at."""
        self.is_ignored = True
        self.outbox.close_after()

    def started(self) -> None:
        self._greeting.started(self)

    def abort(self, is_reset: bool = False) -> None:
        """End at once: as when the process ends (FIN), or with a reset (RST)."""
        self.is_ignored = True
        if self._ended_at is not None:
            self._finish()
            return
        if is_reset:
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def freeze(self) -> None:
        """Neither read nor write. The kernel goes on: it takes what comes, and sees the connection end."""
        self.outbox.freeze()

    def clear(self) -> None:
        """No fault holds any more: what waits leaves, what was not read is."""
        self.outbox.hurry()
        self.thaw()

    def thaw(self) -> None:
        """Read what has arrived, write what has waited."""
        if self.transport.is_closing() and self._ended_at is None:
            return
        self.outbox.thaw()
        self._pacer.go_on()
        data, self._unread = bytes(self._unread), bytearray()
        if data:
            self.data_received(data)
        if self._ended_at is not None:
            self._finish()
        elif self._end_is_unread:
            self._end_is_unread = False
            if not self._read_end():
                self.close()
        else:
            self.transport.resume_reading()

    # --- what comes in ---------------------------------------------------------------------------

    def session_received(self, data: bytes, announce: int | None = None) -> None:
        """Bytes of a connection that is treated as the API's; see `greetings`.

        `announce` is a version to announce in place of the negotiated one.
        """
        if not self.server_version:
            rest = self._handshake.feed(data, announce)
            if rest is None:
                return
            data = rest
        try:
            frames = self._frames.feed(data)
        except FrameTooLong as error:
            log.warning("client %s cut: %s", self.client_id, str(error))
            self.transport.abort()
            return
        self._pacer.put(frames)

    def _handle(self, body: bytes) -> None:
        request = received(body, self.server_version)
        name = request.name
        if log.isEnabledFor(logging.INFO):
            log.info("client %s: %s", self.client_id, request_text(name, request.texts))
        self.hub.seen.request(self.client_id, name, request.texts, self.hub.loop.time())
        self.hub.moments.reached(name)
        delay = self.hub.settings.latency.draw(name, self.hub.chance)
        if not self.is_ignored:
            self._answer_delay = delay
            self._answer(name, request.fields)
            self._answer_delay = 0.0
            self.hub.changed()
        self.hub.moments.answered(name, self.outbox.last_due if delay else 0.0)

    def _answer(self, name: str, fields: FieldReader) -> None:
        try:
            if name in self.hub.conditions.muted:
                pass
            elif self.client_id >= 0:
                answer(self, name, fields)
            elif name == START_API:
                start_session(self, fields)
            else:
                self.hub.log_once(f"{name} before startApi, not answered")
        except Malformed as error:
            self.hub.log_once(f"client {self.client_id} sent a malformed {name}: {error}")
            self.send_error(-1, 320, f"Error reading request. {error}")
