"""Identifies a server at the port that is not a gateway. Many servers stay silent until they get their own protocol."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from ibkr.core.errors import Failure
from ibkr.core.peer_type import non_gateway_failure

_BYTES_NEEDED = 5
"""Bytes that are enough to identify a peer."""
_OPENING_INTERVAL = 0.05
"""Seconds between the two probes. A server that accepts one client at a time gets the more likely probe first."""
_GET = b"GET / HTTP/1.0\r\n\r\n"
"""Without ``Host:``: Redis closes the connection silently when it reads that header."""


async def probe_peer(host: str, port: int) -> Failure | None:
    """Identify a peer that does not speak the API.

    Sends a few bytes of HTTP and of TLS, each over its own connection. Most text protocols answer HTTP with an error.
    There is no timeout: if the peer answers neither probe, this function waits forever.

    Returns:
        The failure that names the peer, or ``None`` if the answers do not identify it.
    """
    openings = [
        asyncio.create_task(_send_opening(host, port, *each))
        for each in ((0.0, _GET), (_OPENING_INTERVAL, _client_hello()))
    ]
    try:
        for opening in asyncio.as_completed(openings):
            if (failure := await opening) is not None:
                return failure
    finally:
        for task in openings:
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
    return None


async def _send_opening(host: str, port: int, after: float, opening: bytes) -> Failure | None:
    await asyncio.sleep(after)
    data = b""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # the peer is gone; the next attempt reports that
        return None
    try:
        with suppress(OSError):  # a peer that resets the connection may have sent something before
            writer.write(opening)
            while len(data) < _BYTES_NEEDED and (more := await reader.read(1024)):
                data += more
        return non_gateway_failure(data)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _client_hello() -> bytes:
    """The first bytes that a TLS client sends."""
    sent = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()
