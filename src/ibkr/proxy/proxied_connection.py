"""Connects one client to the gateway: what one side sends, the other side receives.

Bytes are not changed. If one side does not read, the other side has to wait. The end of one direction (FIN) and a reset
(RST) are forwarded.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_catalog import identify_message
from ibkr.proxy.message_ids import read_id
from ibkr.proxy.observer_queue import ObserverQueue
from ibkr.proxy.socket_side import SocketSide

log = logging.getLogger("ibkr.proxy")


class DeliveryPolicy(Protocol):
    """How bytes get to the client: immediately, or as the active faults require."""

    def forward(self, connection: "ProxiedConnection", data: bytes, bodies: list[bytes]) -> None:
        """Take bytes of the gateway, and the bodies of the frames that these bytes complete."""

    def handle_requests(self, connection: "ProxiedConnection", bodies: list[bytes]) -> None:
        """Take requests on their way to the gateway."""

    def gateway_eof(self, connection: "ProxiedConnection") -> None:
        """Take the end of the gateway's stream. Calls `send_eof_to_client` when everything before it is sent."""

    def connection_opened(self, connection: "ProxiedConnection") -> bool:
        """Take a new connection of a client. Returns whether to connect to the gateway now."""

    def connection_closed(self, connection: "ProxiedConnection") -> None:
        """Forget a connection that has ended."""


class ProxiedConnection:
    """A connection with its two sides. `number` identifies it in the log."""

    def __init__(
        self,
        number: int,
        gateway_address: tuple[str, int],
        observers: ObserverQueue,
        parser: ConnectionParser,
        delivery: DeliveryPolicy,
        on_messages: Callable[["ProxiedConnection", list[bytes]], None],
    ) -> None:
        self.number = number
        self.parser = parser
        self.observers = observers
        self.client = SocketSide(self, "client")
        self.gateway = SocketSide(self, "gateway")
        self._address = gateway_address
        self._delivery = delivery
        self._on_messages = on_messages
        self._connecting: asyncio.Task[None] | None = None
        self._close_reason = ""
        self._is_closed = False
        self._client_eof_sent = False
        self._failure_logged = False
        self._client_id: int | None = None

    def other(self, side: SocketSide) -> SocketSide:
        """The other side."""
        return self.gateway if side is self.client else self.client

    @property
    def client_id(self) -> int | None:
        """The client's id; `None` before the client has sent it."""
        return self._client_id

    # --- beginning -------------------------------------------------------------------------------

    def side_connected(self, side: SocketSide) -> None:
        """Handle that a side is connected."""
        assert side.transport is not None
        if side is self.client:
            log.info("%s: a client from %s:%s", self.number, *(side.transport.get_extra_info("peername") or "??")[:2])
            side.set_paused("the gateway is not connected", True)
            if self._delivery.connection_opened(self):
                self.connect()
        else:
            self.client.set_paused("the gateway is not connected", False)

    def connect(self) -> None:
        """Connect to the gateway. Until then, the client's bytes wait in the kernel."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        host, port = self._address
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.gateway, host, port)
        except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host name
            log.warning(
                "%s: cannot connect to the gateway at %s:%s: %s; the client's connection is closed",
                self.number,
                host,
                port,
                getattr(error, "strerror", None) or error,
            )
            self._close_reason = "the gateway could not be reached"
            self.client.close()

    # --- data ------------------------------------------------------------------------------------

    def side_received(self, side: SocketSide, data: bytes) -> None:
        """Forward the bytes that a side has received."""
        if side is self.client:
            self.forward_to_gateway(data)
        else:
            self.forward_to_client(data)

    def forward_to_gateway(self, data: bytes) -> None:
        """Send the client's bytes to the gateway, always unchanged."""
        self.gateway.write(data)
        with self._guard_observers():
            bodies = self.parser.client_sent(data)
            self._log_failure_once()
            if bodies and self._client_id is None:
                self._take_client_id(bodies[0])
            self._delivery.handle_requests(self, bodies)
            self.observers.add_requests(bodies)

    def forward_to_client(self, data: bytes) -> None:
        """Send the gateway's bytes to the client. They are parsed first: if they name a live account, faults end."""
        bodies = self.parser.gateway_sent(data)
        messages = self.parser.take_version(bodies)
        with self._guard_observers():
            if messages:
                self._on_messages(self, messages)
        self._delivery.forward(self, data, bodies)
        with self._guard_observers():
            self._log_failure_once()
            self.observers.add_gateway_messages(messages)

    @contextmanager
    def _guard_observers(self) -> Iterator[None]:
        """Log an error of our own code. The error must not end the session: from then on, bytes are only forwarded."""
        try:
            yield
        except Exception as error:
            log.error("%s: internal error; the connection continues", self.number, exc_info=error)
            self.parser.failure = self.parser.failure or "a message could not be processed"

    def _take_client_id(self, body: bytes) -> None:
        version = self.parser.server_version
        if version:
            self._client_id = read_id(identify_message(body, version, is_request=True), version, "client_id")

    def pause_both(self, is_paused: bool) -> None:
        """Read neither side until the observers have processed their messages."""
        for side in (self.client, self.gateway):
            side.set_paused("too many messages wait for the observers", is_paused)

    def _log_failure_once(self) -> None:
        if self.parser.failure and not self._failure_logged:
            self._failure_logged = True
            log.warning(
                "%s: %s. All bytes are forwarded, but nothing more of this connection is shown or recorded",
                self.number,
                self.parser.failure,
            )

    # --- end -------------------------------------------------------------------------------------

    def side_eof(self, side: SocketSide) -> None:
        """Forward the end of the stream of one side."""
        self._close_reason = self._close_reason or f"closed by the {side.name}"
        if side is self.client:
            self.gateway.write_eof_after_data()
        else:
            self._delivery.gateway_eof(self)
        self._close_if_ended()

    def send_eof_to_client(self) -> None:
        """Forward the end of the gateway's stream to the client."""
        self.client.write_eof_after_data()
        self._client_eof_sent = True
        self._close_if_ended()

    def _close_if_ended(self) -> None:
        """Close both sides when both have ended their stream, and each was told that the other has ended."""
        if self.client.got_eof and self._client_eof_sent:
            self.client.close()
            self.gateway.close()

    def side_closed(self, side: SocketSide, error: Exception | None) -> None:
        """Close the other side in the same way as this side has ended."""
        other = self.other(side)
        if error is not None:
            self._close_reason = self._close_reason or f"the {side.name} has reset the connection"
            other.abort(is_reset=True)
        elif not other.is_closed and other.transport is not None:
            other.close()
        if side is self.client and self._connecting is not None and self.gateway.transport is None:
            self._connecting.cancel()
        self._check_closed()

    def abort(self, reason: str, *, is_reset: bool = False) -> None:
        """End both sides now."""
        self._close_reason = self._close_reason or reason
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
        self.gateway.abort(is_reset=False)
        self.client.abort(is_reset=is_reset)

    def set_close_reason(self, reason: str) -> None:
        """Set the reason for an end that follows, unless there already is one."""
        self._close_reason = self._close_reason or reason

    def _check_closed(self) -> None:
        gateway_is_closed = self.gateway.is_closed or self.gateway.transport is None
        if self._is_closed or not (self.client.is_closed and gateway_is_closed):
            return
        self._is_closed = True
        log.info("%s: over: %s", self.number, self._close_reason or "closed")
        self._delivery.connection_closed(self)
        self.observers.close(self._close_reason or "closed")
