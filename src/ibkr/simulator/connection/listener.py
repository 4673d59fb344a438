"""The listening socket: opened, shut, and opened again on the same port, which nobody else is given meanwhile."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from ibkr.simulator.connection.client import Client
from ibkr.simulator.hub import Hub

log = logging.getLogger("ibkr.simulator")

_TRY_AGAIN = 0.05
_CAN_HOLD = sys.platform == "linux"
"""Whether a second socket may be bound to a port that is held, without a share in what arrives there. Elsewhere a port
that is shut is free for anybody."""

_Socket = TypeVar("_Socket", bound=socket.socket)


class _ListeningSocket(socket.socket):
    """Remembers what it accepted last: a cancelled `loop.sock_accept` would lose it unclosed."""

    accepted: socket.socket | None = None

    def accept(self) -> tuple[socket.socket, object]:
        self.accepted, address = super().accept()
        return self.accepted, address


class Listener:
    """Accepts connections for a hub. `port` is the chosen one once it was open, and stays.

    Not an `asyncio.Server`: one that is closed while it accepts leaves that connection hanging.
    """

    def __init__(self, host: str, port: int, hub: Hub) -> None:
        self.host = host
        self.port = port
        self._home = port
        self.hub = hub
        self._socket: _ListeningSocket | None = None
        self._held: dict[int, socket.socket] = {}
        self._accepting: asyncio.Task[None] | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wait = 0.0

    @property
    def is_reopening_now(self) -> bool:
        """Whether the port is about to be open, without a wait."""
        return self._reopening is not None and self._wait == 0

    async def open(self) -> None:
        """Listen. Raises `OSError` if the address cannot be bound."""
        if not _is_loopback(self.host):
            log.warning("the simulated gateway listens on %s: anybody who reaches it can use it", self.host)
        family, _, protocol, _, address = await self._look_up()
        if _CAN_HOLD and self.port not in self._held:
            held = _bound(socket.socket, family, protocol, address)
            address = held.getsockname()
            self._held[address[1]] = held
        listening = _bound(_ListeningSocket, family, protocol, address)
        try:
            listening.listen(128)
            listening.setblocking(False)
        except BaseException:  # whatever it was is raised; the socket is not left open
            listening.close()
            raise
        self._socket = listening
        self.port = listening.getsockname()[1]
        self._home = self._home or self.port
        self.hub.is_accepting = True
        self._accepting = self._start(self._accept(listening))
        log.debug("listening on %s:%s", self.host, self.port)

    async def _look_up(self) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]:
        # "localhost" may mean two addresses, which would get two different ports.
        host = "127.0.0.1" if self.host == "localhost" else self.host
        if _is_number(host):  # needs no resolver, and so no thread
            return socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        return (await self.hub.loop.getaddrinfo(host, self.port, type=socket.SOCK_STREAM))[0]

    def shut(self) -> None:
        """The port refuses from now on; connections that stand are left alone."""
        self.hub.is_accepting = False
        for task in (self._reopening, self._accepting):
            if task is not None:
                task.cancel()
        self._reopening = self._accepting = None
        if self._socket is not None:
            with contextlib.suppress(NotImplementedError):  # a loop without readers, as on Windows
                self.hub.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """Shut for good: return when nothing of it is left, and its ports are anybody's."""
        self.shut()
        for held in self._held.values():
            held.close()
        self._held.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def check(self, port: int) -> None:
        """Raises `OSError` if another program has this port."""
        if port != self.port:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            _bound(socket.socket, family, 0, (self.host, port)).close()

    def move(self, port: int) -> None:
        """Refuse here, and listen at another port at once; 0 takes any that is free."""
        self.shut()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if port == 0:
                probe.bind((self.host, 0))
                port = probe.getsockname()[1]
        self.port = port
        self.reopen_after(0)

    def go_home(self) -> None:
        """Back to the first port, if it was moved."""
        if self.port != self._home:
            self.move(self._home)

    def reopen_after(self, seconds: float) -> None:
        """Listen again on the same port after so many seconds; `shut` revokes it."""
        self._wait = seconds
        self._reopening = self._start(self._reopen(seconds))

    def reopen_now(self) -> None:
        """End the waiting of a pending reopening."""
        if self._reopening is not None:
            self.shut()
            self.reopen_after(0)

    async def _accept(self, listening: _ListeningSocket) -> None:
        loop = self.hub.loop
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError as error:  # the caller has gone already, or no file is left
                    log.error("cannot accept a connection, trying on: %s", error)
                    await asyncio.sleep(_TRY_AGAIN)
                    continue
                listening.accepted = None
                await loop.connect_accepted_socket(lambda: Client(self.hub), connection)
        finally:
            if listening.accepted is not None:
                listening.accepted.close()

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        is_told = False
        while True:
            try:
                await self.open()
                break
            except OSError as error:  # someone else has the port now
                if not is_told:
                    log.error("cannot listen on port %s again, trying on: %s", self.port, error)
                    is_told = True
                    self.hub.changed()
                await asyncio.sleep(_TRY_AGAIN)
        log.info("port %s is open again", self.port)
        self._reopening = None
        self.hub.changed()

    def _start(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self.hub.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.critical("port %s is dead, restart the simulated gateway", self.port, exc_info=error)


def _bound(kind: type[_Socket], family: socket.AddressFamily, protocol: int, address: Any) -> _Socket:
    # Without its protocol a connection accepted here would not get asyncio's TCP_NODELAY.
    made = kind(family, socket.SOCK_STREAM, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two programs share the port
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
