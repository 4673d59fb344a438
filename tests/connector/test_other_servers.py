"""Other servers on the gateway's port: each is named within a second after the first attempt."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

import ibkr
from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests.fixture_types import Make, Stopwatch

TIMEOUT = 0.5


class Redis(socketserver.StreamRequestHandler):
    """Answers each line as Redis does. Closes the connection without an answer when it gets an HTTP request."""

    def handle(self) -> None:
        for line in self.rfile:
            if line.lower().startswith((b"post", b"host:")):
                return
            if line.strip():
                self.wfile.write(b"-ERR unknown command\r\n")


class Tls(socketserver.BaseRequestHandler):
    """Closes without an alert when it gets no TLS, as OpenSSL does."""

    def handle(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.suppress(OSError):
            context.wrap_socket(self.request, server_side=True)


class Quiet(socketserver.BaseRequestHandler):
    """Reads and never sends."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self.request.recv(1024):
                pass


class One(http.server.HTTPServer):
    """A web server that serves one client at a time."""


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = False  # so the end of the server waits for the threads
    allow_reuse_address = os.name == "posix"

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing: a peer that disconnects is not an error."""


class ThreadsOfHttp(Threads, http.server.HTTPServer):
    """A web server that serves each client in a thread, as ``python -m http.server`` does."""


class Silently(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def threads(handler: type[socketserver.BaseRequestHandler]) -> Callable[[], socketserver.BaseServer]:
    return lambda: Threads(("127.0.0.1", 0), handler)


SERVERS: dict[str, tuple[Callable[[], socketserver.BaseServer], str]] = {
    "http.server": (lambda: ThreadsOfHttp(("127.0.0.1", 0), Silently), "http"),
    "http.server, one client at a time": (lambda: One(("127.0.0.1", 0), Silently), "http"),
    "redis": (threads(Redis), "unknown"),
    "tls": (threads(Tls), "tls"),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_another_server_is_named(name: str, make: Make, stopwatch: Stopwatch) -> None:
    new_server, looks_like = SERVERS[name]
    with serving(new_server()) as port:
        connector = make(port=port, timeout=TIMEOUT, connect_attempts=1)
        elapsed = stopwatch()
        with pytest.raises(ibkr.NotAGateway) as raised:
            await connector.connect_async()
        assert elapsed() < TIMEOUT + 0.5
    assert (raised.value.looks_like, raised.value.attempts) == (looks_like, 1)


async def test_who_is_silent_to_everybody_is_silent(make: Make) -> None:
    with serving(Threads(("127.0.0.1", 0), Quiet)) as port, pytest.raises(ibkr.GatewaySilent) as raised:
        await make(port=port, timeout=0.2, connect_attempts=2, connect_pause=0.01).connect_async()
    assert raised.value.attempts == 2


async def test_a_gateway_that_answers_late_is_no_other_server(gateway: Gateway, make: Make) -> None:
    """It answers neither HTTP nor TLS."""
    await gateway.fault("silent")
    connector = make(timeout=0.2, connect_attempts=2, connect_pause=0.01)
    with pytest.raises(ibkr.GatewaySilent):
        await connector.connect_async()
    await gateway.fault("clear")
    assert await connector.connect_async() is True


async def test_a_disconnect_ends_the_look(make: Make, stopwatch: Stopwatch) -> None:
    spoken_to = threading.Event()

    class Noting(Quiet):
        def handle(self) -> None:
            if self.request.recv(1024).startswith(b"GET"):
                spoken_to.set()
            super().handle()

    with serving(Threads(("127.0.0.1", 0), Noting)) as port:
        connector = make(port=port, timeout=0.5)
        connecting = asyncio.create_task(connector.connect_async())
        await asyncio.to_thread(spoken_to.wait, 10)
        elapsed = stopwatch()
        await connector.disconnect_async()
        assert elapsed() < 0.3
        assert await connecting is False
    assert connector.status.state is ConnectionState.DISCONNECTED
