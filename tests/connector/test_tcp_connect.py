"""TCP connect: each address of a name is tried, and a lost session's own address is used again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from ibkr.session.tcp_connect import Address, Route, TcpConnector, is_unanswered, route_of
from ibkr.simulator import Gateway
from tests.fixture_types import Make, Stopwatch
from tests.unused_port import unused_port

Names = Callable[..., None]

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's, and so is a full backlog")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Makes a name resolve to these addresses."""
    real = socket.getaddrinfo
    table: dict[str, tuple[str, ...]] = {}

    def resolve(host: str, port: int | None, *args: object, **options: object) -> object:
        if host not in table or options.get("flags") == socket.AI_NUMERICHOST:
            return real(host, port, *args, **options)  # type: ignore[arg-type]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def name(host: str, *addresses: str) -> None:
        table[host] = addresses

    return name


@contextlib.contextmanager
def listening(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    with socket.create_server((address, port)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def dropping(address: str, port: int) -> Iterator[None]:
    """A port that answers no SYN, because its backlog is full."""
    with contextlib.ExitStack() as sockets:
        server = sockets.enter_context(socket.socket())
        server.bind((address, port))
        server.listen(0)
        for _ in range(3):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        yield


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@only_linux
@pytest.mark.parametrize("before", [1, 6])
async def test_addresses_that_drop_syns_do_not_keep_the_next_from_its_turn(
    before: int, names: Names, stopwatch: Stopwatch
) -> None:
    dead = [f"127.0.0.{number}" for number in range(2, 2 + before)]
    names("gateway.test", *dead, "127.0.0.1")
    with contextlib.ExitStack() as servers:
        port = servers.enter_context(listening())
        for address in dead:
            servers.enter_context(dropping(address, port))
        elapsed = stopwatch()
        with await TcpConnector("gateway.test").connect(port, 2.0) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        assert elapsed() < 1.2


@only_linux
async def test_an_address_that_refuses_costs_no_time(names: Names, stopwatch: Stopwatch) -> None:
    names("gateway.test", "127.0.0.2", "127.0.0.1")
    with listening() as port:
        elapsed = stopwatch()
        with await TcpConnector("gateway.test").connect(port, 2.0) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        assert elapsed() < 0.2


@only_linux
async def test_a_connector_reaches_the_second_address_of_a_name(gateway: Gateway, make: Make, names: Names) -> None:
    names("gateway.test", "127.0.0.2", "127.0.0.1")
    with dropping("127.0.0.2", gateway.port):
        connector = make(host="gateway.test", connect_attempts=1)
        assert await connector.connect_async() is True


async def test_the_first_error_is_reported(names: Names) -> None:
    names("gateway.test", "127.0.0.1", "127.0.0.1")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await TcpConnector("gateway.test").connect(held.getsockname()[1], 2.0)


@only_linux
@only_linux
async def test_the_syn_leaves_before_the_loop_turns() -> None:
    dialler = TcpConnector("127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        dialler.start_early(server.getsockname()[1])
        accepted, _ = server.accept()
        connected = await dialler.connect(server.getsockname()[1], 2)
        with accepted, connected:
            assert connected.getpeername() == accepted.getsockname()


@only_linux
async def test_begun_at_a_port_that_refuses() -> None:
    with listening() as port:
        pass
    dialler = TcpConnector("127.0.0.1")
    dialler.start_early(port)
    with pytest.raises(ConnectionRefusedError):
        await dialler.connect(port, 2)


@only_linux
async def test_begun_and_cancelled_before_its_task_has_run(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        connector = make(port=server.getsockname()[1])
        connecting = asyncio.create_task(connector.connect_async())
        await asyncio.sleep(0)  # the SYN has been sent, and the task of the attempt has not started
        connector.disconnect()
        assert not await connecting
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(5)
            assert await asyncio.to_thread(accepted.recv, 1) == b""


async def test_without_a_free_descriptor_the_error_is_that_of_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    dialler = TcpConnector("127.0.0.1")
    monkeypatch.setattr(socket, "socket", full)
    dialler.start_early(1)
    with pytest.raises(OSError, match="Too many open files"):
        await dialler.connect(1, 2)


async def test_cancelled_it_leaves_nothing() -> None:
    with listening("127.0.0.2") as port, dropping("127.0.0.9", port):  # no other test uses this address
        connecting = asyncio.create_task(TcpConnector("127.0.0.9").connect(port, 2.0))
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_a_resolver_that_hangs_does_not_hold_up_what_is_known(
    names: Names, monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch
) -> None:
    names("gateway.test", "127.0.0.1")
    network_is_back, dialler = threading.Event(), TcpConnector("gateway.test")
    with listening() as port:
        (await dialler.connect(port, 2.0)).close()
        resolve = socket.getaddrinfo

        def hang(host: str, *args: object, **options: object) -> object:
            if not options.get("flags"):
                network_is_back.wait(10)
            return resolve(host, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        elapsed = stopwatch()
        for _ in range(2):
            (await dialler.connect(port, 2.0)).close()
        assert elapsed() < 1.0
        network_is_back.set()
        while resolver := [each for each in threading.enumerate() if each.name == "ibkr-resolver"]:
            await asyncio.to_thread(resolver[0].join)


async def test_a_lost_sessions_address_is_used_again() -> None:
    """The test chooses the port itself: the system could give its own choice to another test meanwhile."""
    dialler = TcpConnector("127.0.0.1")
    with listening() as port:
        lost: Route | None = Route(("127.0.0.1", unused_port()), Address(socket.AF_INET, ("127.0.0.1", port)))
        for _ in range(4):
            sock, expected = await dialler.connect(port, 2.0, lost), lost
            lost = route_of(sock)
            reset(sock)
            assert lost == expected


async def test_where_it_cannot_be_had_the_ordinary_way_serves() -> None:
    with listening() as port, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        peer = Address(socket.AF_INET, ("127.0.0.1", port))
        for local in (other.getsockname(), ("192.0.2.1", 45678)):  # a port in use, and an address of no interface
            with await TcpConnector("127.0.0.1").connect(port, 2.0, Route(local, peer)) as sock:
                assert sock.getsockname() != local


@only_linux
async def test_a_host_that_has_moved_meanwhile_is_found(names: Names, stopwatch: Stopwatch) -> None:
    names("gateway.test", "127.0.0.1")
    with listening() as port, dropping("127.0.0.2", port):
        lost = Route(("127.0.0.1", 0), Address(socket.AF_INET, ("127.0.0.2", port)))
        elapsed = stopwatch()
        with await TcpConnector("gateway.test").connect(port, 2.0, lost) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        assert elapsed() < 0.5


async def test_another_port_is_another_place() -> None:
    with listening() as old, listening() as new:
        lost = Route(("127.0.0.1", 0), Address(socket.AF_INET, ("127.0.0.1", old)))
        with await TcpConnector("127.0.0.1").connect(new, 2.0, lost) as sock:
            assert sock.getpeername()[1] == new


@pytest.mark.parametrize("error", [TimeoutError(), OSError(113, "No route to host"), ConnectionAbortedError()])
def test_errors_that_leave_the_peer_uninformed(error: OSError) -> None:
    assert is_unanswered(error)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), ConnectionResetError(), BrokenPipeError(), None])
def test_errors_that_come_from_the_peer(error: OSError | None) -> None:
    assert not is_unanswered(error)
