"""One connection to the gateway: hello, startApi, then requests."""

import asyncio
import logging
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from ibkr.simulator.accounts.streams import AccountStreams
from ibkr.simulator.connection.greetings import GREETINGS
from ibkr.simulator.connection.moments import CONNECTION, END, HELLO, VERSION
from ibkr.simulator.connection.outbox import Outbox
from ibkr.simulator.connection.pacer import Pacer
from ibkr.simulator.connection.talk import request_text, tell_sent
from ibkr.simulator.connection.timers import Timers
from ibkr.simulator.connection.twists import send_twisted
from ibkr.simulator.requests.reader import FieldReader, Malformed
from ibkr.simulator.requests.registry import START_API, answer, request_name
from ibkr.simulator.seen import SeenSession
from ibkr.wire import (
    BadHello,
    ClientHello,
    FrameReader,
    FrameTooLong,
    decode_fields,
    frame,
    messages,
    parse_hello,
    version_frame,
)
from ibkr.wire.layout import Layout

if TYPE_CHECKING:
    from ibkr.simulator.hub import Hub

log = logging.getLogger("ibkr.simulator")

_ID_IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."

MAX_REQUEST = 1024 * 1024
"""Bytes of one request."""

MAX_UNREAD = 16 * 1024 * 1024
"""Bytes that may wait for a client that does not read, before it is cut."""


class Client(asyncio.Protocol):
    """The gateway's side of one TCP connection.

    `client_id` is -1 until `startApi`; `server_version` is 0 until the hello. `has_left` says that the client has
    ended its side in good order. `timers` end with the connection. `account` is the one whose updates it asked for
    last; with `binds_orders` client 0 has the orders of TWS bound as they come.
    """

    transport: asyncio.Transport
    outbox: Outbox

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub
        self.client_id = -1
        self.server_version = 0
        self.market_data_type = 1
        self.account_streams = AccountStreams(self)
        self.account = ""
        self.has_left = False
        self.binds_orders = False
        self._hello = b""
        self.timers = Timers()
        self._pacer = Pacer(self, self._handle)
        self._frames = FrameReader(MAX_REQUEST)
        self._unread = b""
        self._is_ignored = False
        self._greeting = GREETINGS[hub.conditions.greeting]

    def __repr__(self) -> str:
        return f"<Client id={self.client_id} version={self.server_version}>"

    @property
    def is_reading(self) -> bool:
        """Whether what has come in is looked at now."""
        return not (self._is_ignored or self.hub.conditions.frozen or self.transport.is_closing())

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
        if not self._is_ignored:
            self._greeting.accepted(self)
        self.hub.changed()

    def data_received(self, data: bytes) -> None:
        if self.hub.conditions.frozen:  # it was on its way when reading was paused
            self._unread += data
        elif not self._is_ignored:
            self._greeting.received(self, data)

    def eof_received(self) -> bool:
        self.has_left = True
        self.hub.moments.reached(END)
        return self._pacer.is_waiting  # then the gateway has not read that far, and closes when it has

    def pause_writing(self) -> None:
        log.warning("client %s does not read: cut with %s bytes waiting", self.client_id, MAX_UNREAD)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ignored = True
        self.timers.stop()
        self._pacer.stop()
        self.outbox.drop()
        self.hub.remove(self)

    # --- what goes out ---------------------------------------------------------------------------

    def encode(self, layout: Layout, **values: object) -> bytes:
        """The body of a message in the layout of this connection's version."""
        return layout.encode(self.server_version, **values)

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
        self.outbox.put(data, self.hub.conditions.flow)
        if self.outbox.waiting > MAX_UNREAD:
            self.pause_writing()

    def error(self, req_id: int, code: int, text: str) -> bytes:
        """The body of an error message (4)."""
        return self.encode(
            messages.ERROR,
            req_id=req_id,
            code=code,
            text=text,
            advanced_order_reject="",
            error_time=int(self.hub.time() * 1000),
        )

    def send_error(self, req_id: int, code: int, text: str) -> None:
        """Send one error or notice; `req_id` is -1 when it belongs to no request."""
        self.send(self.error(req_id, code, text))

    # --- how it ends, and how it stands still ----------------------------------------------------

    def close(self) -> None:
        """Close in good order (FIN) once all is sent; what still comes in is not looked at."""
        self._is_ignored = True
        self.outbox.close_after()

    def ignore(self) -> None:
        """Look at nothing more that comes in."""
        self._is_ignored = True

    def abort(self, is_reset: bool = False) -> None:
        """End at once: as when the process ends (FIN), or with a reset (RST)."""
        if is_reset:
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._is_ignored = True
        self.transport.abort()

    def freeze(self) -> None:
        """Neither read nor write."""
        self.outbox.freeze()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def clear(self) -> None:
        """No fault holds any more: what waits leaves, what was not read is."""
        self.outbox.hurry()
        self.thaw()

    def thaw(self) -> None:
        """Read what has arrived, write what has waited."""
        if self.transport.is_closing():
            return
        self.outbox.thaw()
        self._pacer.go_on()
        data, self._unread = self._unread, b""
        if data:
            self.data_received(data)
        self.transport.resume_reading()

    # --- what comes in ---------------------------------------------------------------------------

    def session_received(self, data: bytes, announce: int | None = None) -> None:
        """Bytes of a connection that is treated as the API's; see `greetings`.

        `announce` is a version to announce in place of the negotiated one.
        """
        if not self.server_version:
            self._hello += data
            try:
                parsed = parse_hello(self._hello)
            except BadHello as error:
                log.warning("not an API client, closed: %s", str(error))  # kept as text: an error keeps its frames
                self.close()
                return
            if parsed is None:
                return
            hello, used = parsed
            data, self._hello = self._hello[used:], b""
            self.hub.moments.reached(HELLO)
            if self._is_ignored:
                return
            self._negotiate(hello, announce)
            self.hub.moments.reached(VERSION)
        try:
            frames = self._frames.feed(data)
        except FrameTooLong as error:
            log.warning("client %s cut: %s", self.client_id, str(error))
            self.transport.abort()
            return
        self._pacer.put(frames)

    def _negotiate(self, hello: ClientHello, announce: int | None) -> None:
        settings = self.hub.settings
        version = min(hello.max_version, settings.server_version)
        if version < hello.min_version:
            log.warning("no common version: client %s, gateway %s", hello, settings.server_version)
            self.close()
            return
        self.server_version = version
        now = time.strftime("%Y%m%d %H:%M:%S %Z", time.localtime(self.hub.time()))
        self.send_raw(version_frame(version if announce is None else announce, now))

    def _handle(self, body: bytes) -> None:
        fields = decode_fields(body)
        name = request_name(fields)
        if log.isEnabledFor(logging.INFO):
            log.info("client %s: %s", self.client_id, request_text(name, fields))
        self.hub.seen.request(self.client_id, name, fields, self.hub.loop.time())
        self.hub.moments.reached(name)
        if self._is_ignored:
            return
        try:
            if name in self.hub.conditions.muted:
                pass
            elif self.client_id >= 0:
                answer(self, name, fields)
            elif name == START_API:
                self._start(FieldReader(fields))
            else:
                self.hub.log_once(f"{name} before startApi, not answered")
        except Malformed as error:
            self.hub.log_once(f"client {self.client_id} sent a malformed {name}: {error}")
            self.send_error(-1, 320, f"Error reading request. {error}")
        self.hub.changed()

    def _start(self, fields: FieldReader) -> None:
        fields.int("Version")
        client_id = fields.int("Client Id")
        if client_id < 0:
            raise Malformed("Client Id", str(client_id))
        if len(self.hub.sessions) >= self.hub.settings.max_clients:
            log.warning("client %s closed: %s are connected", client_id, len(self.hub.sessions))
            self.close()
        elif not self.hub.is_id_free(client_id):
            log.info("client id %s is in use: refused with 326", client_id)
            self.hub.seen.refused_client_ids += 1
            self.send_error(-1, 326, _ID_IN_USE)
            self.close()
        else:
            self.client_id = client_id
            log.info("client %s: a session at version %s", client_id, self.server_version)
            self.hub.add_session(self)
            self.hub.seen.sessions.append(SeenSession(client_id, self.hub.loop.time(), self.server_version))
            self._greeting.started(self)

    def send_welcome(self) -> None:
        """What follows startApi, in one write: 15 before 9, as the official Testbed needs it."""
        notices = self.hub.conditions.farm_notices()
        self.send(
            self.encode(messages.MANAGED_ACCOUNTS, accounts=",".join(self.hub.settings.accounts)),
            self.encode(messages.NEXT_VALID_ID, order_id=self.hub.desk.next_order_id(self.client_id)),
            *[self.error(-1, code, text) for code, text in notices],
            *self.hub.desk.welcome(self),
        )
