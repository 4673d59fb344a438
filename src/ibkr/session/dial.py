"""Connects a TCP socket to a host: each of its addresses gets its turn, also from a lost session's own address."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeAlias

_APART = 0.25
"""Seconds from one address to the next, if that gives each its turn (RFC 8305, section 5)."""
_RESOLVER_PATIENCE = 0.3
"""Seconds to wait for the resolver where addresses are known from before: without a network it may hang."""
_TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


SocketAddress: TypeAlias = tuple[Any, ...]
"""An address as the system has it: host and port, and more for IPv6."""


class Address(NamedTuple):
    """Where a socket connects to."""

    family: int
    sockaddr: SocketAddress


class Route(NamedTuple):
    """The two ends of a connection: ``local`` as the socket is bound, ``peer`` as it is connected to."""

    local: SocketAddress
    peer: Address


def route_of(sock: socket.socket) -> Route | None:
    """The ends of a connected socket; None if it is not connected any more."""
    try:
        return Route(sock.getsockname(), Address(sock.family, sock.getpeername()))
    except OSError:
        return None


def is_unanswered(error: BaseException | None) -> bool:
    """Whether this error came from our own side or the way, so that the peer's system may not know of it.

    Windows reports a connection that has timed out as aborted.
    """
    answers = (ConnectionRefusedError, ConnectionResetError, BrokenPipeError)
    return error is not None and not isinstance(error, answers)


class Dialler:
    """Connects to one host, again and again."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._numeric: list[Address] | None = None
        self._is_name = False
        self._known: list[Address] = []
        self._resolving: asyncio.Future[list[Address]] | None = None

    async def connect(self, port: int, seconds: float, lost: Route | None = None) -> socket.socket:
        """A connected, non-blocking socket, to the first address that accepts.

        Args:
            port: The TCP port.
            seconds: The time in which each address gets its turn.
            lost: The ends of a session that was lost. The connection is first tried with the same two ends: if the
                peer's system still holds that session, it ends it when it sees this (RFC 5961, section 4).

        Raises:
            OSError: No address accepts; the error of the first. ``socket.gaierror`` if the host has no address.
            UnicodeError: The host is no name.
        """
        if self._numeric is None and not self._is_name:
            self._look_at_host()
        if lost is None or lost.peer.sockaddr[1] != port:
            return await _first_of([_connected(each) for each in await self._addresses(port)], seconds)
        tries = [_connected(lost.peer, lost.local)]
        if self._is_name:
            tries.append(self._connect_elsewhere(port, seconds / 2, lost.peer))
        return await _first_of(tries, seconds)

    async def _connect_elsewhere(self, port: int, seconds: float, lost: Address) -> socket.socket:
        """The host may have moved to another address meanwhile."""
        others = [each for each in await self._addresses(port) if each != lost]
        return await _first_of([_connected(each) for each in others], seconds)

    async def _addresses(self, port: int) -> list[Address]:
        known = self._numeric or await self._resolved(port)
        # The port of a gateway may change.
        return [Address(family, (address[0], port, *address[2:])) for family, address in known]

    def _look_at_host(self) -> None:
        """Whether it is an address itself, which needs no resolver."""
        try:
            self._numeric = _resolve(self._host, 0, socket.AI_NUMERICHOST)
        except socket.gaierror:
            self._is_name = True

    async def _resolved(self, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        resolving = self._resolving
        if resolving is None or resolving.get_loop() is not loop or resolving.done():
            resolving = self._resolving = resolve_in_thread(self._host, port)
        await asyncio.wait({resolving}, timeout=_RESOLVER_PATIENCE if self._known else None)
        if resolving.done() and (resolving.exception() is None or not self._known):
            self._known = resolving.result()
        return self._known


async def _first_of(tries: list[Coroutine[None, None, socket.socket]], seconds: float) -> socket.socket:
    """The first that connects. Each begins when the one before it has failed, or has had its share of the time."""
    if not tries:
        raise OSError(errno.EHOSTUNREACH, "the host has no other address")
    if len(tries) == 1:  # nearly always
        return await tries[0]
    waiting, running = deque(tries), set[asyncio.Task[socket.socket]]()
    apart, failed = min(_APART, seconds / 2 / len(tries)), list[BaseException]()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.popleft()))
            done, _ = await asyncio.wait(
                running, timeout=apart if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                running.discard(task)
                if (error := task.exception()) is None:
                    return task.result()
                failed.append(error)
        raise failed[0]
    finally:
        for task in running:
            task.add_done_callback(_close_result)
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for late in waiting:
            late.close()


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    """It has connected just as another one did."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(address: Address, local: SocketAddress | None = None) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if local is not None:
            if sys.platform != "win32":  # there it means something else, and is not needed
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(local)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException as error:
        sock.close()
        if local is not None and isinstance(error, OSError) and error.errno in _TAKEN:
            return await _connected(address)  # another local address now, or somebody else has that port
        raise
    return sock


def _resolve(host: str, port: int, flags: int = 0) -> list[Address]:
    """The addresses of a host, those of either family in turn, the resolver's favourite first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    by_family: dict[int, list[Address]] = {}
    for family, _, _, _, sockaddr in found:
        by_family.setdefault(family, []).append(Address(family, sockaddr))
    in_turn: Iterator[Address | None] = chain.from_iterable(zip_longest(*by_family.values()))
    return list(dict.fromkeys(each for each in in_turn if each is not None))


def resolve_in_thread(host: str, port: int) -> asyncio.Future[list[Address]]:
    """The addresses of a host, in the order in which to try them; ``OSError`` or ``UnicodeError`` if it has none.

    The thread is one that nobody waits for at the end, unlike those of the loop: a resolver may hang for half a minute.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Address]] = loop.create_future()

    def tell(found: list[Address], error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)
            done.exception()  # whoever waited may have given up

    def resolve() -> None:
        found: list[Address] = []
        failed: Exception | None = None
        try:
            found = _resolve(host, port)
        except (OSError, UnicodeError) as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=resolve, daemon=True, name="ibkr-resolver").start()
    return done
