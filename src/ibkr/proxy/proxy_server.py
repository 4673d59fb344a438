"""The proxy: listens like a gateway, and connects to the real gateway for each client."""

import asyncio
import ipaddress
import logging
import os
from collections.abc import Callable, Collection
from typing import Self

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_logger import MessageLogger
from ibkr.proxy.observer_queue import Observer, ObserverQueue
from ibkr.proxy.proxied_connection import ProxiedConnection
from ibkr.proxy.proxy_faults import PROXY_FAULTS, ProxyFaults
from ibkr.proxy.recording_writer import MAX_FILE, MAX_TOTAL, Recorder
from ibkr.proxy.socket_side import SocketSide
from ibkr.simulator.control_port import ControlPort
from ibkr.simulator.scheduling import Waiters

log = logging.getLogger("ibkr.proxy")

_STOP_TIMEOUT = 5.0
_ACCOUNTS = (b"15\0", b"\0\0\0\x0f", b"\0\0\0\xd7")
"""How the message with the accounts begins: as text, as text with a binary id, as protobuf."""
_READER = Cleaner(keeps_private=True)
_UNREADABLE = "?"
"""Used as the account if the message cannot be read. This account is treated as a live account."""


class SeenSummary:
    """What the proxy has seen, for its control port (`GET /seen`)."""

    def __init__(self) -> None:
        self.connections = 0
        self.faults: list[str] = []

    def to_dict(self) -> dict[str, object]:
        return {"connects": self.connections, "faults": list(self.faults)}


class Proxy:
    """A transparent proxy in front of TWS or IB Gateway. Use it with `async with`, or call `start` and `stop`.

    Each client gets its own connection to the gateway. Bytes pass unchanged in both directions. The proxy can log and
    record what passes, and apply faults to the clients. It never sends, changes or drops anything on the way to the
    gateway.

    Args:
        gateway_host: The computer of the gateway.
        gateway_port: The gateway's API port.
        host: The address to listen on. Anybody who can reach this address can use the gateway.
        port: The port for clients. 0 chooses a free port.
        control_port: The port for faults over HTTP, on loopback. 0 chooses a free port. By default, it is not opened.
        record: A directory for recordings. Without it, nothing is recorded.
        keeps_private: Whether recordings and the log keep account ids, names, references and texts.
        max_file: Bytes of one recording's file. Beyond that, a session continues in another file.
        max_total: Bytes of all recordings in the directory. Beyond that, the oldest are deleted.
        show: The categories of messages to log: "session", "orders", "account", "data", "errors". Empty: all.
        shows_streams: Whether ticks and other streams are logged, too.
        allows_live: Whether faults may be applied to clients of a live account.

    Raises:
        OSError: An address cannot be bound, or the directory cannot be created. `start` raises it.
        ValueError: `show` has an unknown category.
    """

    def __init__(
        self,
        gateway_host: str = "127.0.0.1",
        gateway_port: int = 4002,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        control_port: int | None = None,
        record: str | os.PathLike[str] | None = None,
        keeps_private: bool = False,
        max_file: int = MAX_FILE,
        max_total: int = MAX_TOTAL,
        show: Collection[str] = (),
        shows_streams: bool = False,
        allows_live: bool = False,
    ) -> None:
        self.gateway_address = (gateway_host, gateway_port)
        self.host = host
        self.port = port
        self.faults = ProxyFaults(allows_live=allows_live)
        self.connections: dict[ProxiedConnection, None] = {}
        self.seen = SeenSummary()
        self.seen.faults = self.faults.carried_out
        self._control = None if control_port is None else ControlPort(self, control_port, registry=PROXY_FAULTS)
        self._record = record
        self._limits = (max_file, max_total)
        self._keeps_private = keeps_private
        self._message_logger = MessageLogger.template(show, shows_streams=shows_streams)
        self._recorder: Recorder | None = None
        self._server: asyncio.Server | None = None
        self._watch = Waiters()

    def __repr__(self) -> str:
        return f"<Proxy {self.host}:{self.port} to {self.gateway_address[0]}:{self.gateway_address[1]}>"

    @property
    def control_port(self) -> int | None:
        """The control port, or `None`."""
        return self._control.port if self._control else None

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None

    @property
    def client_ids(self) -> list[int]:
        """The known client ids of the present sessions."""
        return sorted(connection.client_id for connection in self.connections if connection.client_id is not None)

    async def start(self) -> None:
        """Start to listen. Raises `OSError` if that fails, and `RuntimeError` if the proxy runs already."""
        if self._server is not None:
            raise RuntimeError(f"the proxy already listens on port {self.port}")
        if not _is_loopback(self.host):
            log.warning("the proxy listens on %s: anybody who reaches it can use the gateway, and trade", self.host)
        if self._record is not None:
            max_file, max_total = self._limits
            self._recorder = Recorder(
                self._record, keeps_private=self._keeps_private, max_file=max_file, max_total=max_total
            )
        self._server = await asyncio.get_running_loop().create_server(self._accepted, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._control:
            try:
                await self._control.start()
            except OSError:
                await self.stop()
                raise

    async def stop(self) -> None:
        """End all connections and stop listening. Everything that was forwarded is recorded first."""
        if self._server is None:
            return
        self._server.close()
        if self._control:
            await self._control.stop()
        for connection in list(self.connections):
            connection.abort("the proxy was stopped")
            connection.observers.flush()
        await self.wait_for(lambda proxy: not proxy.connections, _STOP_TIMEOUT)
        await self._server.wait_closed()
        self._server = None

    async def wait_for(self, predicate: Callable[[Self], bool], timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Wait until `predicate(proxy)` is true. It is checked when a connection begins, opens or ends.

        Raises `TimeoutError` after `timeout` seconds.
        """
        await self._watch.wait(
            lambda: predicate(self), timeout, lambda: f"{self!r} has {len(self.connections)} connections"
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _accepted(self) -> SocketSide:
        """Create the protocol for the socket of a new client."""
        self.seen.connections += 1
        number = self.seen.connections
        parser = ConnectionParser()
        cleaner = Cleaner(keeps_private=self._keeps_private)
        observers: list[Observer] = [self._message_logger.of(number)]
        if self._recorder is not None:
            observers.append(self._recorder.session(cleaner))
        queue = ObserverQueue(
            parser,
            cleaner,
            observers,
            set_paused=lambda is_paused: connection.pause_both(is_paused),
            on_finished=lambda: self._connection_closed(connection),
        )
        connection = ProxiedConnection(number, self.gateway_address, queue, parser, self.faults, self._find_accounts)
        self.connections[connection] = None
        self._watch.changed()
        return connection.client

    def _find_accounts(self, connection: ProxiedConnection, bodies: list[bytes]) -> None:
        for body in bodies:
            if body[:4].startswith(_ACCOUNTS):
                # The reader of recordings accepts extra fields, as some gateways send them.
                fields = _READER.clean(body, connection.parser.server_version, is_request=False).fields
                accounts = _UNREADABLE if fields is None else str(fields["accounts"])
                self.faults.check_accounts(accounts.split(","))
                self._watch.changed()

    def _connection_closed(self, connection: ProxiedConnection) -> None:
        self.connections.pop(connection, None)
        self._watch.changed()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
