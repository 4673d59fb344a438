"""One attempt at a session after the other: how its socket is opened, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import AttemptFailed, Fact, SocketEnded, TransportEnded
from ibkr.core.policy import Policy
from ibkr.session.dial import Dialler, Route, is_unanswered
from ibkr.session.errors import address_error, shielded, without_number
from ibkr.session.library import Library
from ibkr.session.library.connection import CLOSED_BY_PEER


class Owner(Protocol):
    """The connector, as far as a socket needs it."""

    def post(self, fact: Fact) -> None:
        """Take an event."""

    def failed(self, what: str, error: Exception) -> None:
        """Our own code has made a mistake while doing this: end the session, and say so."""


class Socket:
    """Each attempt ends in exactly one ``SocketEnded``.

    ``owner`` takes the events. ``on_open`` is called once in an attempt, when accounts and next id have arrived;
    ``end_session`` when nothing can be sent any more, with whether that is by our own will. ``is_there``: the port has
    taken the newest attempt's connection. ``has_ended``: that attempt is over, and its socket gone.
    """

    def __init__(
        self,
        library: Library,
        host: str,
        client_id: int,
        policy: Policy,
        owner: Owner,
        *,
        on_open: Callable[[], None],
        end_session: Callable[[bool], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._conn, self._reader = library.conn, library.reader
        self._host, self._client_id = host, client_id
        self._patience = policy.probe_after + policy.probe_timeout
        self._syn_timeout = policy.syn_timeout
        self._dialler = Dialler(host)
        self._route: Route | None = None
        self._lost: Route | None = None
        self._is_unanswered = False
        self._owner, self._post, self._on_open, self._end_session = owner, owner.post, on_open, end_session
        self._attempt = 0
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False
        self.is_there = False
        self.has_ended = True

    def open(self, attempt: int, port: int, *, from_lost_address: bool) -> None:
        """Begin an attempt, in the running loop; from the last session's own address, where that can be had."""
        self._attempt = attempt
        self._lost = self._route if from_lost_address else None
        self._is_unanswered = False
        self._is_open = False
        self._conn.end_reason = ""
        self.has_ended = False
        self._reader.begin()
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._open(attempt, port), name=f"ibkr-attempt-{attempt}")
        self._opening.add_done_callback(lambda _: self._check_end())

    def close(self) -> None:
        """End it in good order: what was written is sent first."""
        self._leave(self._conn.finish_writing)

    def abort(self) -> None:
        """End it now."""
        self._leave(self._conn.abort)

    @property
    def lost_transport(self) -> str:
        """Why the transport of the newest attempt is closing, before that is told; empty if it is not."""
        is_lost = self.is_there and not self._conn.can_write
        return (self._conn.end_reason or "the connection has ended") if is_lost else ""

    def forget(self) -> None:
        """The loop that it belonged to is gone: let another begin anew."""
        self._client.reset()
        self._conn.reset()
        self._opening = None
        self.is_there = False
        self.has_ended = True

    # What the connection tells.

    def accepted(self) -> None:
        """The port has taken the connection."""
        self.is_there = True

    def opened(self) -> None:
        """Accounts and next id are there."""
        if self._is_open or not self._client.isReady():
            return
        self._is_open = True
        self._on_open()
        # Last: meanwhile the gateway works on what it was asked. Until here the attempt's own time limit serves.
        self._conn.keep_alive(self._patience)
        self._route = self._conn.route

    def unfit(self, failure: Failure) -> None:
        """The peer is no gateway that can be talked to, or not any more."""
        self._conn.end_reason = failure.detail
        if self._is_open:
            self._conn.abort()
        else:
            self._post(AttemptFailed(self._attempt, failure))

    async def connect(self, port: int) -> socket.socket:
        """A connected socket to the host: each of its addresses gets its turn."""
        return await self._dialler.connect(port, self._syn_timeout, self._lost)

    def transport_ended(self, error: Exception | None) -> None:
        """The socket is closed. The machine knows before the library's listeners do.

        So none of them meets a status that is no longer true.
        """
        conn = self._conn
        self._is_unanswered = is_unanswered(error)
        conn.end_reason = conn.end_reason or (without_number(str(error)) if error else "") or CLOSED_BY_PEER
        # First: what is read now may call the program, which must not take the session for alive.
        self._post(TransportEnded(self._attempt, conn.end_reason))
        self._reader.finish()
        was_ready = self._client.isReady()
        self.is_there = False
        try:
            self._end_session(False)
        finally:  # whatever else may fail, the end of the socket is told
            self._cancel_opening()
            self._check_end()
        if was_ready:
            shielded(self._client.apiEnd.emit)

    async def _open(self, attempt: int, port: int) -> None:
        self._wrapper.clientId = self._client_id
        try:
            await self._client.connectAsync(self._host, port, self._client_id, None)
        except (OSError, UnicodeError) as error:
            self._conn.end_reason = detail = address_error(error)
            failure = Failure(FailureKind.UNREACHABLE, detail, unanswered=is_unanswered(error))
            self._post(AttemptFailed(attempt, failure))
            return
        except Exception as error:
            self._owner.failed("opening a socket", error)
            return
        if attempt == self._attempt:
            self.opened()

    def _leave(self, end: Callable[[], None]) -> None:
        """The session ends by our own will, and its socket after it."""
        self._cancel_opening()
        self._reader.end()
        self._client.connState = self._client.DISCONNECTED
        end()
        self._end_session(True)
        self._check_end()

    def _cancel_opening(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()

    def _check_end(self) -> None:
        if self.has_ended or self.is_there or self._conn.isConnected():
            return
        if self._opening is not None and not self._opening.done():
            return
        self.has_ended = True
        is_silent = not self._reader.any_byte
        detail = self._conn.end_reason
        self._post(SocketEnded(self._attempt, detail, before_any_byte=is_silent, unanswered=self._is_unanswered))
