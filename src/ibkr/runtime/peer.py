"""A look at what a port speaks: many a server stays silent until it is spoken to in its own protocol."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from ibkr.core.errors import Failure
from ibkr.core.peers import other_than_a_gateway

_ENOUGH = 5
"""Bytes that tell what a peer is."""
_APART = 0.05
"""Seconds from one opening to the next. A server of one client at a time gets the likelier one first."""
_GET = b"GET / HTTP/1.0\r\n\r\n"
"""Without ``Host:``, at which Redis closes the connection in silence."""


async def look_at_peer(host: str, port: int) -> Failure | None:
    """What the port speaks other than the API: the failure that names it; None where nothing tells.

    It says a few bytes of HTTP and of TLS, each over a connection of its own. Most text protocols answer the former
    with an error. It has no time limit: a peer that is silent to all of that keeps it waiting.
    """
    openings = [asyncio.create_task(_open(host, port, *each)) for each in ((0.0, _GET), (_APART, _client_hello()))]
    try:
        for opening in asyncio.as_completed(openings):
            if (failure := await opening) is not None:
                return failure
    finally:
        for task in openings:
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
    return None


async def _open(host: str, port: int, after: float, opening: bytes) -> Failure | None:
    await asyncio.sleep(after)
    data = b""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # it is gone meanwhile, which the next attempt will tell
        return None
    try:
        with suppress(OSError):  # a peer that resets the connection may have spoken before
            writer.write(opening)
            while len(data) < _ENOUGH and (more := await reader.read(1024)):
                data += more
        return other_than_a_gateway(data)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _client_hello() -> bytes:
    """The first bytes of a TLS client."""
    sent = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()
