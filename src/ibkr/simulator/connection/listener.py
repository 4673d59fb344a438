"""The listening socket: opened, closed, and opened again on the same port, which stays reserved while it is closed."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from ibkr.simulator.connection.client_connection import ClientConnection
from ibkr.simulator.gateway_state import GatewayState

log = logging.getLogger("ibkr.simulator")

_TRY_AGAIN = 0.05
_CAN_RESERVE = sys.platform == "linux"
"""Whether a second socket can reserve a port that is in use, without receiving connections. This works only on Linux.
On other systems, another program can use the port while the gateway does not listen.
"""

_Socket = TypeVar("_Socket", bound=socket.socket)


class _ListeningSocket(socket.socket):
    """Keeps the last accepted socket, because a cancelled `loop.sock_accept` neither returns nor closes it."""

    accepted: socket.socket | None = None

    def accept(self) -> tuple[socket.socket, object]:
        self.accepted, address = super().accept()
        return self.accepted, address


class Listener:
    """Accepts connections for a gateway. After `open`, `port` is the actual port and stays the same.

    This is not an `asyncio.Server`: a server that is closed while it accepts a connection leaves this connection open.
    """

    def __init__(self, host: str, port: int, state: GatewayState) -> None:
        self.host = host
        self.port = port
        self._first_port = port
        self.state = state
        self._socket: _ListeningSocket | None = None
        self._reserved: dict[int, socket.socket] = {}
        self._accepting: asyncio.Task[None] | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wait = 0.0

    @property
    def is_reopening_now(self) -> bool:
        """Whether the port is about to open, without a wait."""
        return self._reopening is not None and self._wait == 0

    async def open(self) -> None:
        """Start to listen. Raises `OSError` if the address cannot be bound."""
        if not _is_loopback(self.host):
            log.warning("the simulated gateway listens on %s: everybody who can reach it can use it", self.host)
        family, _, protocol, _, address = await self._look_up()
        if _CAN_RESERVE and self.port not in self._reserved:
            reserved = _bind(socket.socket, family, protocol, address)
            address = reserved.getsockname()
            self._reserved[address[1]] = reserved
        listening = _bind(_ListeningSocket, family, protocol, address)
        try:
            listening.listen(128)
            listening.setblocking(False)
        except BaseException:  # any error: close the socket, and raise it
            listening.close()
            raise
        self._socket = listening
        self.port = listening.getsockname()[1]
        self._first_port = self._first_port or self.port
        self.state.is_accepting = True
        self._accepting = self._start(self._accept(listening))
        log.debug("listening on %s:%s", self.host, self.port)

    async def _look_up(self) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]:
        # "localhost" can have two addresses. The system would choose a different port for each of them.
        host = "127.0.0.1" if self.host == "localhost" else self.host
        if _is_number(host):  # an IP address needs no resolver, and therefore no thread
            return socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        return (await self.state.loop.getaddrinfo(host, self.port, type=socket.SOCK_STREAM))[0]

    def stop_listening(self) -> None:
        """Refuse connections from now on. Existing connections continue."""
        self.state.is_accepting = False
        for task in (self._reopening, self._accepting):
            if task is not None:
                task.cancel()
        self._reopening = self._accepting = None
        if self._socket is not None:
            with contextlib.suppress(NotImplementedError):  # some event loops on Windows have no readers
                self.state.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """Stop listening permanently, and release the ports. Returns when all tasks have ended."""
        self.stop_listening()
        for reserved in self._reserved.values():
            reserved.close()
        self._reserved.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def check(self, port: int) -> None:
        """Raise `OSError` if another program uses this port."""
        if port != self.port:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            _bind(socket.socket, family, 0, (self.host, port)).close()

    def move(self, port: int) -> None:
        """Stop listening here, and listen on another port immediately. 0 chooses a free port."""
        self.stop_listening()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if port == 0:
                probe.bind((self.host, 0))
                port = probe.getsockname()[1]
        self.port = port
        self.reopen_after(0)

    def return_to_first_port(self) -> None:
        """Move back to the first port."""
        if self.port != self._first_port:
            self.move(self._first_port)

    def reopen_after(self, seconds: float) -> None:
        """Listen on the same port again after this many seconds. `stop_listening` cancels it."""
        self._wait = seconds
        self._reopening = self._start(self._reopen(seconds))

    def reopen_now(self) -> None:
        """Reopen the port now, if a reopening is pending."""
        if self._reopening is not None:
            self.stop_listening()
            self.reopen_after(0)

    async def _accept(self, listening: _ListeningSocket) -> None:
        loop = self.state.loop
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError as error:  # the client has gone, or the process has no free file descriptor
                    log.error("cannot accept a connection, retrying: %s", error)
                    await asyncio.sleep(_TRY_AGAIN)
                    continue
                listening.accepted = None
                await loop.connect_accepted_socket(lambda: ClientConnection(self.state), connection)
        finally:
            if listening.accepted is not None:
                listening.accepted.close()

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        is_logged = False
        while True:
            try:
                await self.open()
                break
            except OSError as error:  # another program uses the port
                if not is_logged:
                    log.error("cannot listen on port %s again, retrying: %s", self.port, error)
                    is_logged = True
                    self.state.changed()
                await asyncio.sleep(_TRY_AGAIN)
        log.info("port %s is open again", self.port)
        self._reopening = None
        self.state.changed()

    def _start(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self.state.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.critical("port %s has failed, restart the simulated gateway", self.port, exc_info=error)


def _bind(kind: type[_Socket], family: socket.AddressFamily, protocol: int, address: Any) -> _Socket:
    # asyncio sets TCP_NODELAY for an accepted connection only if the listening socket was made with a protocol number
    # (IPPROTO_TCP).
    made = kind(family, socket.SOCK_STREAM, protocol)
    try:
        if os.name == "posix":  # on Windows, this option would let two programs share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_number(host) else host == "localhost"
