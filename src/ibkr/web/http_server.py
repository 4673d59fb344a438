"""Serves the site over HTTP with uvicorn, from a listening socket until its stop event is set."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from ibkr.web.http_protocol import limited_http_protocol
from ibkr.web.routes import make_application
from ibkr.web.view_registry import ViewRegistry
from ibkr.web.web_settings import WebSettings

_BACKLOG = 128
_ACCEPTED_AT_ONCE = 16
"""Connections that the event loop accepts in one turn, before it does other work."""
_STOP_TIMEOUT = 0.3
_THIS_MACHINE = ("127.0.0.1", "::1")


def listen(settings: WebSettings) -> socket.socket:
    """Open a listening socket at the address in the settings. Raises ``OSError``."""
    family, *_, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def url_of(host: str, port: int) -> str:
    """Return the address of the page, for a browser on this computer."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


async def serve(views: ViewRegistry, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set, then close every connection within a second, even if nobody reads."""
    server = _Server(_make_config(views))
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        for view in views:
            view.publisher.close()
        server.should_exit = True
        await asyncio.wait({serving}, timeout=_STOP_TIMEOUT)
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        await serving


def _make_config(views: ViewRegistry) -> uvicorn.Config:
    settings = views.settings
    return uvicorn.Config(
        make_application(views),
        http=limited_http_protocol(settings.connections, settings.request_time),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a bad request of a visitor is not worth a log line
        access_log=False,
        # Only these proxies may report the visitor's address and scheme.
        forwarded_allow_ips=[*_THIS_MACHINE, *settings.proxies],
        server_header=False,
        backlog=_ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=settings.head_limit,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the program."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_BACKLOG)  # the backlog that asyncio has set is shorter

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
