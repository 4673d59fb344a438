"""Opens TCP connections: tries each address of a host, also from the local address of a lost session."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import sys
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeAlias

_ADDRESS_INTERVAL = 0.25
"""Seconds between the starts of two addresses (RFC 8305, section 5)."""
_RESOLVER_WAIT = 0.3
"""Seconds to wait for the resolver if the addresses are known from before. Without a network, it may hang."""
_ADDRESS_IN_USE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


SocketAddress: TypeAlias = tuple[Any, ...]
"""An address in the form of the system's socket calls: host and port, and more for IPv6."""


class Address(NamedTuple):
    """The address that a socket connects to."""

    family: int
    sockaddr: SocketAddress


class Route(NamedTuple):
    """The two ends of a connection: the local address, and the peer's."""

    local: SocketAddress
    peer: Address


def route_of(sock: socket.socket) -> Route | None:
    """The ends of a connected socket, or ``None`` if it is no longer connected."""
    try:
        return Route(sock.getsockname(), Address(sock.family, sock.getpeername()))
    except OSError:
        return None


def is_unanswered(error: BaseException | None) -> bool:
    """Whether the error arose locally or in the network, so that the peer may not know about it.

    Windows reports a connection that timed out as aborted.
    """
    answers = (ConnectionRefusedError, ConnectionResetError, BrokenPipeError)
    return error is not None and not isinstance(error, answers)


def without_number(message: str) -> str:
    """The text of a system error without the number, for example without ``[Errno 104]``."""
    return re.sub(r"^\[(Errno|WinError) -?\d+\] ", "", message)


_ABOUT_NAME = (socket.gaierror, UnicodeError)


def is_about_name(error: OSError | UnicodeError) -> bool:
    """Whether the host's name could not be resolved."""
    return isinstance(error, _ABOUT_NAME)


def address_error(error: OSError | UnicodeError) -> str:
    """Why the address could not be reached."""
    if isinstance(error, _ABOUT_NAME):
        return f"the host's name cannot be resolved ({without_number(str(error))}): check ibkr.host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens at this port"
    return error.strerror or str(error) or type(error).__name__


class TcpConnector:
    """Connects to one host, as often as needed."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._numeric: list[Address] | None = None
        self._is_name = False
        self._last_resolved: list[Address] = []
        self._resolving: asyncio.Future[list[Address]] | None = None
        self._early: tuple[socket.socket, Address] | None = None

    def start_early(self, port: int) -> None:
        """Send the SYN now, if that needs no waiting.

        The SYN opens the connection. The peer processes it while the task of ``connect`` is being started.

        This is done only on Linux, where a second ``connect()`` reports the result of the first. If something fails
        here, ``connect`` gets the same error and raises it.
        """
        self.cancel_early()
        self._parse_host()
        has_selector = sys.platform == "linux" and isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
        if has_selector and self._numeric is not None and len(self._numeric) == 1:
            address = _with_port(self._numeric[0], port)
            with suppress(OSError):  # for example: too many open files
                self._early = _new_socket(address), address
                self._early[0].connect_ex(address.sockaddr)

    def cancel_early(self) -> None:
        """Close the socket of ``start_early``: nobody will use it."""
        if self._early is not None:
            self._early[0].close()
            self._early = None

    async def connect(self, port: int, seconds: float, lost_route: Route | None = None) -> socket.socket:
        """Connect to the first address that accepts. Returns a non-blocking socket.

        Args:
            port: The TCP port.
            seconds: The time for trying all addresses.
            lost_route: The two addresses of a lost session. They are tried first: if the peer's system still has the
                session open, a new SYN between the same addresses makes that system end the session (RFC 5961,
                section 4).

        Raises:
            OSError: No address accepts. This is the error of the first address. ``socket.gaierror`` if the host has no
                address.
            UnicodeError: The host is not a valid name.
        """
        if self._early is not None and lost_route is None:
            sock, address = self._early
            self._early = None
            return await _finish_early(sock, address)
        self._parse_host()
        if lost_route is None or lost_route.peer.sockaddr[1] != port:
            return await _first_connected([_connected(each) for each in await self._addresses(port)], seconds)
        tries = [_connected(lost_route.peer, lost_route.local)]
        if self._is_name:
            tries.append(self._connect_other_address(port, seconds / 2, lost_route.peer))
        return await _first_connected(tries, seconds)

    async def _connect_other_address(self, port: int, seconds: float, lost_route: Address) -> socket.socket:
        """Try other addresses: meanwhile, the host may have got a new address."""
        others = [each for each in await self._addresses(port) if each != lost_route]
        return await _first_connected([_connected(each) for each in others], seconds)

    async def _addresses(self, port: int) -> list[Address]:
        known = self._numeric or await self._resolved(port)
        return [_with_port(each, port) for each in known]

    def _parse_host(self) -> None:
        """Check whether the host is an IP address, which needs no resolver."""
        if self._numeric is None and not self._is_name:
            try:
                self._numeric = _resolve(self._host, 0, socket.AI_NUMERICHOST)
            except (socket.gaierror, UnicodeError):
                self._is_name = True

    async def _resolved(self, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        resolving = self._resolving
        if resolving is None or resolving.get_loop() is not loop or resolving.done():
            resolving = self._resolving = resolve_in_thread(self._host, port)
        await asyncio.wait({resolving}, timeout=_RESOLVER_WAIT if self._last_resolved else None)
        if resolving.done() and (resolving.exception() is None or not self._last_resolved):
            self._last_resolved = resolving.result()
        return self._last_resolved


async def _first_connected(tries: list[Coroutine[None, None, socket.socket]], seconds: float) -> socket.socket:
    """Return the first socket that connects. The next try starts when the last has failed, or after a short time."""
    if not tries:
        raise OSError(errno.EHOSTUNREACH, "the host has no other address")
    if len(tries) == 1:  # this is the usual case
        return await tries[0]
    waiting, running = deque(tries), set[asyncio.Task[socket.socket]]()
    interval, failed = min(_ADDRESS_INTERVAL, seconds / 2 / len(tries)), list[BaseException]()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.popleft()))
            done, _ = await asyncio.wait(
                running, timeout=interval if waiting else None, return_when=asyncio.FIRST_COMPLETED
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
    """Close a socket that connected at the same moment as another socket."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _with_port(address: Address, port: int) -> Address:
    """The address with another port: the port of a gateway may change."""
    return Address(address.family, (address.sockaddr[0], port, *address.sockaddr[2:]))


def _new_socket(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


async def _finish_early(sock: socket.socket, address: Address) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(address: Address, local: SocketAddress | None = None) -> socket.socket:
    sock = _new_socket(address)
    try:
        if local is not None:
            if sys.platform != "win32":  # on Windows this option has another meaning, and is not needed
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(local)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException as error:
        sock.close()
        if local is not None and isinstance(error, OSError) and error.errno in _ADDRESS_IN_USE:
            return await _connected(address)  # the local address has changed, or another process uses the port
        raise
    return sock


def _resolve(host: str, port: int, flags: int = 0) -> list[Address]:
    """The addresses of a host, alternating between IPv6 and IPv4, in the resolver's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    by_family: dict[int, list[Address]] = {}
    for family, _, _, _, sockaddr in found:
        by_family.setdefault(family, []).append(Address(family, sockaddr))
    in_turn: Iterator[Address | None] = chain.from_iterable(zip_longest(*by_family.values()))
    return list(dict.fromkeys(each for each in in_turn if each is not None))


def resolve_in_thread(host: str, port: int) -> asyncio.Future[list[Address]]:
    """Resolve a host in a thread. The future raises ``OSError`` or ``UnicodeError`` if it has no address.

    At its end, the program waits for the loop's own threads, but not for this thread: a resolver may hang for 30
    seconds.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Address]] = loop.create_future()

    def set_result(found: list[Address], error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)
            done.exception()  # the caller may have stopped waiting

    def resolve() -> None:
        found: list[Address] = []
        failed: Exception | None = None
        try:
            found = _resolve(host, port)
        except (OSError, UnicodeError) as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(set_result, found, failed)

    threading.Thread(target=resolve, daemon=True, name="ibkr-resolver").start()
    return done
