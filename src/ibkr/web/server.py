"""The site over HTTP, from a listening socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from ibkr.web.api import application
from ibkr.web.protocol import guarded_protocol
from ibkr.web.settings import WebSettings
from ibkr.web.site import Site

_BACKLOG = 128
_MAY_TAKE = 0.5


def listen(settings: WebSettings) -> socket.socket:
    """A listening socket at the settings' address. Raises ``OSError``."""
    family, *_, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


async def serve(site: Site, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer until ``stop``; then all is closed within a second, also what nobody reads."""
    server = _Server(_config(site))
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        site.hub.close()
        server.should_exit = True
        await asyncio.wait({serving}, timeout=_MAY_TAKE)
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        await serving


def _config(site: Site) -> uvicorn.Config:
    settings = site.settings
    return uvicorn.Config(
        application(site),
        http=guarded_protocol(settings.connections, settings.request_time),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # that a visitor sent nonsense is no news
        access_log=False,
        proxy_headers=False,  # who asks is of no interest, and must not be told by the one who asks
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=settings.head_limit,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """Signals are the command's business: it has a connection to close, too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
