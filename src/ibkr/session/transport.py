"""How the socket of each attempt is opened, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from ibkr.core.errors import Failure, FailureKind
from ibkr.core.events import AttemptFailed, SocketClosed, TransportClosed
from ibkr.core.policy import Policy
from ibkr.session.connector_interface import ConnectorInterface
from ibkr.session.error_log import call_shielded
from ibkr.session.library import Library
from ibkr.session.library.connection import CLOSED_BY_PEER
from ibkr.session.tcp_connect import Route, TcpConnector, address_error, is_about_name, is_unanswered, without_number


class Transport:
    """The socket of one attempt after another. Each attempt ends with exactly one ``SocketClosed``.

    Args:
        library: The client library's objects.
        host: The gateway's host.
        client_id: The client id to connect with.
        policy: The policy.
        connector: Processes the events.
        on_open: Called at most one time in each attempt, when the accounts and the next id have arrived.
        end_session: Called when messages can no longer be sent. The argument says whether we ended the session.

    Attributes:
        is_connected: Whether the port has accepted the connection of the newest attempt.
        has_ended: Whether the newest attempt is over and its socket is gone.
    """

    def __init__(
        self,
        library: Library,
        host: str,
        client_id: int,
        policy: Policy,
        connector: ConnectorInterface,
        *,
        on_open: Callable[[], None],
        end_session: Callable[[bool], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._conn, self._reader = library.conn, library.reader
        self._host, self.client_id = host, client_id
        self._keepalive_after = policy.probe_after + policy.probe_timeout
        self._syn_timeout = policy.syn_timeout
        self._tcp = TcpConnector(host)
        self._route: Route | None = None
        self._lost_route: Route | None = None
        self._is_unanswered = False
        self._connector, self._post, self._on_open, self._end_session = connector, connector.post, on_open, end_session
        self._attempt = 0
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False
        self.is_connected = False
        self.has_ended = True

    def open(self, attempt: int, port: int, *, from_lost_address: bool) -> None:
        """Begin an attempt in the running loop. ``from_lost_address``: use the last session's local address."""
        self._attempt = attempt
        self._lost_route = self._route if from_lost_address else None
        self._is_unanswered = False
        self._is_open = False
        self._conn.end_reason = ""
        self.has_ended = False
        self._reader.begin()
        if self._lost_route is None:
            self._tcp.start_early(port)
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._open(attempt, port), name=f"ibkr-attempt-{attempt}")
        self._opening.add_done_callback(self._opening_done)

    def close(self) -> None:
        """End the socket properly. Everything that was written is sent first."""
        self._end(self._conn.finish_writing)

    def abort(self) -> None:
        """End the socket now."""
        self._end(self._conn.abort)

    @property
    def lost_transport(self) -> str:
        """Why the newest attempt's transport is closing, before the loop reports it. Empty if it is not closing."""
        is_lost = self.is_connected and not self._conn.can_write
        return (self._conn.end_reason or "the connection has ended") if is_lost else ""

    def forget(self) -> None:
        """Prepare for another loop, because the loop of the socket is gone."""
        self._client.reset()
        self._conn.reset()
        self._opening = None
        self.is_connected = False
        self.has_ended = True

    # Called by the connection.

    def accepted(self) -> None:
        """The port has accepted the connection."""
        self.is_connected = True

    def session_opened(self) -> None:
        """The accounts and the next id have arrived."""
        if self._is_open or not self._client.isReady():
            return
        self._is_open = True
        self._on_open()
        # Set the keepalive last, because the gateway is already working on our requests. Until now, the attempt had its
        # own time limit.
        self._conn.keep_alive(self._keepalive_after)
        self._route = self._conn.route

    def peer_rejected(self, failure: Failure) -> None:
        """The peer is not a usable gateway, or is no longer a usable gateway."""
        self._conn.end_reason = failure.detail
        if self._is_open:
            self._conn.abort()
        else:
            self._post(AttemptFailed(self._attempt, failure))

    async def connect(self, port: int) -> socket.socket:
        """Connect a socket to the host, trying each of its addresses."""
        return await self._tcp.connect(port, self._syn_timeout, self._lost_route)

    def transport_ended(self, error: Exception | None) -> None:
        """The socket is closed.

        The state machine is told before the library's listeners, so that no listener sees an outdated status.
        """
        conn = self._conn
        self._is_unanswered = is_unanswered(error)
        conn.end_reason = conn.end_reason or (without_number(str(error)) if error else "") or CLOSED_BY_PEER
        # Post this first: messages that are read now may call the program, which must not see a live session.
        self._post(TransportClosed(self._attempt, conn.end_reason))
        self._reader.finish()
        was_ready = self._client.isReady()
        self.is_connected = False
        try:
            self._end_session(False)
        finally:  # report the end of the socket, even if something else fails
            self._cancel_opening()
            self._check_end()
        if was_ready:
            call_shielded(self._client.apiEnd.emit)

    async def _open(self, attempt: int, port: int) -> None:
        self._wrapper.clientId = self.client_id
        try:
            await self._client.connectAsync(self._host, port, self.client_id, None)
        except (OSError, UnicodeError) as error:
            self._conn.end_reason = detail = address_error(error)
            failure = Failure(
                FailureKind.UNREACHABLE,
                detail,
                unanswered=is_unanswered(error),
                unknown_host=is_about_name(error),
            )
            self._post(AttemptFailed(attempt, failure))
            return
        except Exception as error:
            self._connector.failed("opening a socket", error)
            return
        if attempt == self._attempt:
            self.session_opened()

    def _end(self, end: Callable[[], None]) -> None:
        """End the session and its socket, because we want to end them."""
        self._cancel_opening()
        self._reader.end()
        self._client.connState = self._client.DISCONNECTED
        end()
        self._end_session(True)
        self._check_end()

    def _cancel_opening(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()

    def _opening_done(self, task: asyncio.Task[None]) -> None:
        if task is self._opening:
            self._tcp.cancel_early()
        self._check_end()

    def _check_end(self) -> None:
        if self.has_ended or self.is_connected or self._conn.isConnected():
            return
        if self._opening is not None and not self._opening.done():
            return
        self.has_ended = True
        is_silent = not self._reader.any_byte
        detail = self._conn.end_reason
        self._post(SocketClosed(self._attempt, detail, before_any_byte=is_silent, unanswered=self._is_unanswered))
