"""The socket that the client library talks through: begun, seen to open, and ended, all in one place."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import AttemptFailed, Fact, SocketEnded, TransportEnded
from ibkr.core.policy import Policy
from ibkr.session.dial import Dialler, Route, is_unanswered, route_of
from ibkr.session.ingest import SmallReads
from ibkr.session.keepalive import keep_alive
from ibkr.session.tap import Tap
from ibkr.session.telling import in_words, kept_apart, plain

logger = logging.getLogger("ibkr.session")

_CLOSED = "the gateway closed the connection"


class Socket:
    """One attempt at a socket after the other; each ends in exactly one ``SocketEnded``.

    ``post`` takes the facts. ``on_open`` is called once in an attempt, when the gateway has told accounts and next id;
    ``on_end`` when nothing can be sent any more, before the client forgets the session. That a session is over, the
    wrapper's ``connectionClosed`` is told, as by the library. ``is_there``: the port has taken the newest attempt's
    connection; ``has_ended``: that attempt is over, and its socket gone.
    """

    def __init__(
        self,
        ib: Any,
        host: str,
        client_id: int,
        policy: Policy,
        tap: Tap,
        post: Callable[[Fact], None],
        *,
        on_open: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._ib, self._client, self._conn = ib, ib.client, ib.client.conn
        self._host, self._client_id = host, client_id
        self._patience = policy.probe_after + policy.probe_timeout
        self._syn_timeout = policy.syn_timeout
        self._dialler = Dialler(host)
        self._route: Route | None = None
        self._lost: Route | None = None
        self._unanswered = False
        self._tap = tap
        self._post, self._on_open, self._on_end = post, on_open, on_end
        self._attempt = 0
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False
        self._detail = ""
        self.is_there = False
        self.has_ended = True
        self._take_over()

    def open(self, attempt: int, port: int, *, from_lost_address: bool = False) -> None:
        """Begin an attempt, in the running loop; from the last session's own address, where that can be had."""
        self._attempt = attempt
        self._lost = self._route if from_lost_address else None
        self._unanswered = False
        self._is_open = False
        self._detail = ""
        self.has_ended = False
        self._tap.reset()
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._open(attempt, port), name=f"ibkr-attempt-{attempt}")
        self._opening.add_done_callback(lambda _: self._check_end())

    def close(self) -> None:
        """End it in good order: what was written is sent first."""
        self._leave(self._say_goodbye)

    def abort(self) -> None:
        """End it now."""
        self._leave(self._abort)

    def discard_unsent(self, discard: bool) -> None:
        """Whether bytes that have not reached the peer when the socket is closed are thrown away, or still delivered.

        With ``SO_LINGER`` at 0 seconds the system resets the connection and forgets them.
        """
        transport = self._conn.transport
        if transport is not None:
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", discard, 0)
            with suppress(OSError):  # it is closed already
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    @property
    def lost_transport(self) -> str:
        """Why the transport of the newest attempt is closing, before that is told; empty if it is not."""
        transport = self._conn.transport
        is_lost = self.is_there and (transport is None or transport.is_closing())
        return (self._detail or "the connection has ended") if is_lost else ""

    def shut_down(self) -> None:
        """Have the system tell the peer that this was the end, without the loop that the socket belongs to."""
        transport = self._conn.transport
        if transport is not None:
            with suppress(OSError):  # the gateway may have closed it long ago
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        """In a forked process: put nothing in the place of the inherited socket, which would outlive its end otherwise.

        Closed under its transport, the descriptor's number could be another file's by the time that the transport goes.
        """
        transport = self._conn.transport
        if transport is not None:
            with open(os.devnull, "r+b") as nothing:
                os.dup2(nothing.fileno(), transport.get_extra_info("socket").fileno(), inheritable=False)

    def forget(self) -> None:
        """The loop is gone that it belonged to: let another begin anew."""
        self._client.reset()
        self._conn.reset()
        self._opening = None
        self.is_there = False
        self.has_ended = True

    def _take_over(self) -> None:
        conn = self._conn
        self._tap.on_unfit = self._on_unfit
        self._client.apiStart.connect(self._on_api_start, keep_ref=True)
        conn.connectAsync = self._connect
        conn.connection_made = self._on_accepted
        self._connection_lost, conn.connection_lost = conn.connection_lost, self._on_lost
        conn.data_received = self._tap.data_received
        # An EOF ends the socket even if it still holds bytes that the peer will never read.
        conn.eof_received = self._on_eof
        # The library's own raises when the peer has reset the connection a moment before.
        conn.disconnect = self._disconnect
        conn.disconnected.clear()
        conn.disconnected.connect(self._on_disconnected, keep_ref=True)

    async def _connect(self, host: str, port: int) -> None:
        """In the place of the library's own, for the ``host`` that the dialler has: see there."""
        conn = self._conn
        conn.reset()
        sock = await self._dialler.connect(port, self._syn_timeout, self._lost)
        try:
            conn.transport, _ = await asyncio.get_running_loop().create_connection(lambda: conn, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def _open(self, attempt: int, port: int) -> None:
        self._ib.wrapper.clientId = self._client_id
        try:
            await self._client.connectAsync(self._host, port, self._client_id, None)
        except (OSError, UnicodeError) as error:
            self._detail = in_words(error)
            unanswered = is_unanswered(error)
            self._post(AttemptFailed(attempt, Failure(FailureKind.UNREACHABLE, self._detail, unanswered=unanswered)))
            return
        self._opened(attempt)

    def _on_accepted(self, transport: asyncio.BaseTransport) -> None:
        self.is_there = True
        transport.set_protocol(SmallReads(self._conn))

    def _on_unfit(self, failure: Failure) -> None:
        self._detail = failure.detail
        if self._is_open:
            self._abort()
        else:
            self._post(AttemptFailed(self._attempt, failure))

    def _on_api_start(self) -> None:
        """Accounts and next id are in. Told once that message is read, turns of the loop before connectAsync ends."""
        self._tap.once_read = partial(self._opened, self._attempt)

    def _opened(self, attempt: int) -> None:
        if attempt != self._attempt or self._is_open or not self._client.isReady():
            return
        self._is_open = True
        self._on_open()
        # Last: meanwhile the gateway works on what it was asked. Until here the attempt's own time limit serves.
        transport = self._conn.transport
        if transport is not None and not transport.is_closing():  # who was told may have ended it
            sock = transport.get_extra_info("socket")
            keep_alive(sock, self._patience)
            self._route = route_of(sock)

    def _leave(self, end: Callable[[], None]) -> None:
        """What the library's own disconnect does, in its order."""
        client = self._client
        self._cancel_opening()
        was_ready = client.isReady()
        self._tap.end()
        client.connState = client.DISCONNECTED
        end()
        self._on_end()
        client.reset()
        if was_ready:
            kept_apart(self._ib.disconnectedEvent.emit)
            self._ib.wrapper.connectionClosed()
        self._check_end()

    def _on_lost(self, error: Exception | None) -> None:
        self._unanswered = is_unanswered(error)
        self._connection_lost(error)

    def _on_eof(self) -> None:
        self._detail = self._detail or _CLOSED
        self._abort()

    def _on_disconnected(self, message: str) -> None:
        """The machine knows before the library's listeners do: none of them meets a status that is no longer true."""
        client = self._client
        self._detail = self._detail or (plain(message) or _CLOSED)
        # First: what is read now may call the program, which must not take the session for alive.
        self._post(TransportEnded(self._attempt, self._detail))
        self._tap.finish()
        was_ready = client.isReady()
        self.is_there = False
        self._on_end()
        try:
            if was_ready:
                self._ib.wrapper.connectionClosed()
            client.reset()
        finally:  # whatever else may fail, the end of the socket is told
            self._cancel_opening()
            self._check_end()
        if was_ready:
            kept_apart(client.apiEnd.emit)

    def _cancel_opening(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()

    def _check_end(self) -> None:
        if self.has_ended or self.is_there or self._conn.isConnected():
            return
        if self._opening is not None and not self._opening.done():
            return
        self.has_ended = True
        silent = not self._tap.any_byte
        self._post(SocketEnded(self._attempt, self._detail, before_any_byte=silent, unanswered=self._unanswered))

    def _abort(self) -> None:
        if self._conn.transport is not None:
            self._conn.transport.abort()

    def _disconnect(self) -> None:
        transport = self._conn.transport
        if transport is None:
            return
        try:
            transport.write_eof()
            transport.close()
        except OSError:
            _tell_gone_before()
            transport.abort()

    def _say_goodbye(self) -> None:
        """End it as far as we write to it, behind what was written; the peer ends the rest.

        Closed at once, what the gateway still sends would make the system reset the connection, and the gateway lose
        the orders that it has not read yet.
        """
        transport = self._conn.transport
        if transport is None:
            return
        try:
            transport.write_eof()
            if not transport.is_reading():  # the end would not be seen
                transport.resume_reading()
        except OSError:
            _tell_gone_before()
            transport.abort()


def _tell_gone_before() -> None:
    logger.debug("the peer was gone before the socket could be closed in good order", exc_info=True)
