"""`ClientConnection`: the gateway's side of one TCP connection. It receives requests, and sends messages."""

import asyncio
import logging
import os
import socket
import struct
from typing import cast

from ibkr.simulator.connection.connection_behavior import BEHAVIORS
from ibkr.simulator.connection.faulty_sending import send_with_faults
from ibkr.simulator.connection.incoming_rate import IncomingRateLimiter
from ibkr.simulator.connection.message_text import log_sent, request_text
from ibkr.simulator.connection.send_queue import SendQueue
from ibkr.simulator.connection.session_start import Handshake, start_session
from ibkr.simulator.gateway_state import ClientSession, GatewayState
from ibkr.simulator.requests.field_reader import FieldReader, MalformedField
from ibkr.simulator.requests.request_handlers import answer
from ibkr.simulator.requests.request_names import REQUESTS, START_API, parse_request
from ibkr.simulator.scheduling import CONNECTION, END
from ibkr.wire import FrameReader, FrameTooLong, frame

log = logging.getLogger("ibkr.simulator")

MAX_REQUEST = 1024 * 1024
"""The largest request, in bytes."""

MAX_UNREAD = 16 * 1024 * 1024
"""Bytes that may wait for a client that does not read. If more wait, the gateway closes the connection."""


class ClientConnection(ClientSession, asyncio.Protocol):
    """The gateway's side of one TCP connection."""

    def __init__(self, state: GatewayState) -> None:
        super().__init__(state)
        self._handshake = Handshake(self)
        self._rate_limiter = IncomingRateLimiter(self, self._handle)
        self._frames = FrameReader(MAX_REQUEST)
        self._unread = bytearray()
        self._end_is_unread = False
        self._ended_at: float | None = None
        self._answer_delay = 0.0
        self._behavior = BEHAVIORS[state.conditions.behavior]

    def __repr__(self) -> str:
        return f"<ClientConnection id={self.client_id} version={self.server_version}>"

    @property
    def is_reading(self) -> bool:
        """Whether the gateway processes received data."""
        is_closing = self.transport.is_closing() and self._ended_at is None
        return not (self.is_ignored or self.state.conditions.frozen or is_closing)

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self.send_queue = SendQueue(self.state.loop, self.transport)
        if not self.state.is_accepting:  # the connection was in the backlog when the port closed
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=MAX_UNREAD)
        log.info("connection from %s", transport.get_extra_info("peername"))
        self.state.clients[self] = None
        self.state.seen.connects += 1
        self.state.seen.attempts.append(self.state.loop.time())
        if self.state.conditions.frozen:
            self.freeze()
        self.state.hooks.run(CONNECTION)
        if not self.is_ignored:
            self._behavior.accepted(self)
        self.state.changed()

    def data_received(self, data: bytes) -> None:
        if self.state.conditions.frozen:  # the kernel accepts data, which the gateway reads after `thaw`
            self._unread += data
            if len(self._unread) > MAX_REQUEST:
                self.transport.pause_reading()
        elif not self.is_ignored:
            self._behavior.received(self, data)

    def eof_received(self) -> bool:
        self.has_left = True
        if self.state.conditions.frozen:
            self._end_is_unread = True
            return True
        return self._process_eof()

    def pause_writing(self) -> None:
        log.warning("client %s does not read: disconnected with %s bytes waiting", self.client_id, MAX_UNREAD)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.timers.stop()
        self.send_queue.drop()
        self._ended_at = self.state.loop.time()
        # A frozen gateway does not notice that the connection has ended, and does not read what arrived before the end.
        if self.is_ignored or not self.state.conditions.frozen:
            self._finish()

    def _process_eof(self) -> bool:
        """Process the client's FIN. Returns whether earlier requests still wait for the rate limit."""
        self.state.hooks.run(END)
        return self._rate_limiter.has_waiting

    def _finish(self) -> None:
        self.is_ignored = True
        self._rate_limiter.stop()
        assert self._ended_at is not None
        self.state.remove(self, self._ended_at)

    # --- sending ----------------------------------------------------------------------------------

    def send(self, *bodies: bytes) -> None:
        """Send messages in one write."""
        if log.isEnabledFor(logging.DEBUG):
            log_sent(self.client_id, bodies)
        if self.state.conditions.message_faults:
            send_with_faults(self, self.state.conditions.message_faults, bodies)
        else:
            self.send_raw(b"".join([frame(body) for body in bodies]))

    def send_raw(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self.send_queue.put(data, self.state.conditions.send_profile, self._answer_delay)
        if self.send_queue.waiting > MAX_UNREAD:
            self.pause_writing()

    # --- closing and freezing ---------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection (FIN) when all data is sent. Ignore what still arrives."""
        self.is_ignored = True
        self.send_queue.close_when_sent()

    def started(self) -> None:
        self._behavior.started(self)

    def abort(self, is_reset: bool = False) -> None:
        """End the connection immediately, with a FIN as when the process ends, or with a reset (RST)."""
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
        """Stop reading and writing. The kernel still accepts data, and still sees the connection end."""
        self.send_queue.freeze()

    def clear(self) -> None:
        """End all faults: send what waits, and process what was not read."""
        self.send_queue.flush_now()
        self.thaw()

    def thaw(self) -> None:
        """Process what has arrived, and send what has waited."""
        if self.transport.is_closing() and self._ended_at is None:
            return
        self.send_queue.thaw()
        self._rate_limiter.process_queue()
        data, self._unread = bytes(self._unread), bytearray()
        if data:
            self.data_received(data)
        if self._ended_at is not None:
            self._finish()
        elif self._end_is_unread:
            self._end_is_unread = False
            if not self._process_eof():
                self.close()
        else:
            self.transport.resume_reading()

    # --- receiving --------------------------------------------------------------------------------

    def session_received(self, data: bytes, announce: int | None = None) -> None:
        """Process bytes that belong to an API session; see `connection_behavior`.

        `announce` is a server version to announce instead of the negotiated one.
        """
        if not self.server_version:
            rest = self._handshake.feed(data, announce)
            if rest is None:
                return
            data = rest
        try:
            frames = self._frames.feed(data)
        except FrameTooLong as error:
            log.warning("client %s disconnected: %s", self.client_id, str(error))
            self.transport.abort()
            return
        self._rate_limiter.put(frames)

    def _handle(self, body: bytes) -> None:
        request = parse_request(body, self.server_version)
        name = request.name
        if log.isEnabledFor(logging.INFO):
            log.info("client %s: %s", self.client_id, request_text(name, request.texts))
        self.state.seen.request(self.client_id, name, request.texts, self.state.loop.time())
        self.state.hooks.run(name)
        delay = self.state.settings.latency.draw(name, self.state.rng)
        if not self.is_ignored:
            self._answer_delay = delay
            self._answer(name, request.fields)
            self._answer_delay = 0.0
            self.state.changed()
        self.state.hooks.answered(name, self.send_queue.last_due if delay else 0.0)

    def _answer(self, name: str, fields: FieldReader) -> None:
        conditions = self.state.conditions
        try:
            if name in conditions.muted:
                pass
            elif refusal := conditions.refusal(name, self.state.loop.time()):
                self.send_error(REQUESTS[name].req_id(fields, -1, self.server_version), refusal.code, refusal.text)
            elif self.client_id >= 0:
                answer(self, name, fields)
            elif name == START_API:
                start_session(self, fields)
            else:
                self.state.log_once(f"{name} before startApi, not answered")
        except MalformedField as error:
            self.state.log_once(f"client {self.client_id} sent a malformed {name}: {error}")
            self.send_error(-1, 320, f"Error reading request. {error}")
