"""The first bytes of a connection, from both sides.

The client sends the magic and a framed version range; the gateway answers with one frame of two
fields, its version and its time, which carries no message id.
Sources: ibapi 10.46 `client.connect`, ib_async 2.1.0 `client.connectAsync`, ib_async issue 143.
"""

import enum
import re
from typing import NamedTuple

from ibkr.wire.frame import frame

MAGIC = b"API\0"

MAX_HELLO = 1024
"""Bytes, of the framed version range with its connect options."""

_RANGE = rb"(?s)v(\d{1,5})(?:\.\.(\d{1,5}))?(?: (.*))?\0?"
_MAX_VERSION_FRAME = 1024
_BANNERS = {b"HTTP/": "HTTP", b"SSH-": "SSH"}


class BadHello(ValueError):
    """The bytes are not the opening of an API client."""


class ClientHello(NamedTuple):
    """The range of protocol versions that a client offers."""

    min_version: int
    max_version: int
    options: str = ""


class Opening(enum.Enum):
    """What the first bytes of a peer say that it is."""

    GATEWAY = "gateway"
    HTTP = "http"
    SSH = "ssh"
    UNKNOWN = "unknown"
    PARTIAL = "partial"


def hello_bytes(hello: ClientHello) -> bytes:
    """A client's first write: magic and version range."""
    options = f" {hello.options}" if hello.options else ""
    return MAGIC + frame(f"v{hello.min_version}..{hello.max_version}{options}".encode())


def parse_hello(data: bytes) -> tuple[ClientHello, int] | None:
    """The hello at the start of `data` and the number of bytes it took; None while it is short.

    Raises `BadHello` at the first byte that no API client sends. Clients older than 2012, which
    send no magic, are not spoken to.
    """
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):
            return None
        raise BadHello(f"expected {MAGIC!r}, got {data[:16]!r}")
    if len(data) < 8:
        return None
    length = int.from_bytes(data[4:8], "big")
    if not 2 <= length <= MAX_HELLO:
        raise BadHello(f"a version range of {length} bytes was announced")
    if len(data) < 8 + length:
        return None
    match = re.fullmatch(_RANGE, data[8 : 8 + length])
    if not match:
        raise BadHello(f"not a version range: {data[8 : 8 + length]!r}")
    lowest = int(match[1])
    options = (match[3] or b"").decode("utf-8", "backslashreplace")
    return ClientHello(lowest, int(match[2] or lowest), options), 8 + length


def version_frame(version: int, connection_time: str, encoding: str = "utf-8") -> bytes:
    """The gateway's answer to the hello, complete.

    `connection_time` is `yyyymmdd HH:MM:SS ZONE`, the zone as the gateway's host names it. It can
    contain blanks and characters beyond ASCII, in the `encoding` of that host.
    """
    return frame(f"{version}\0{connection_time}\0".encode(encoding))


def classify_opening(data: bytes) -> Opening:
    """What the peer is whose first bytes are `data`. Total: any bytes have an answer.

    PARTIAL is said of a proper beginning only, so of four bytes at most. GATEWAY may still become
    UNKNOWN with more bytes; the other answers are final.
    """
    for banner, name in _BANNERS.items():
        if data.startswith(banner):
            return Opening[name]
    if len(data) < 5 and any(banner.startswith(data) for banner in _BANNERS):
        return Opening.PARTIAL
    # Padding the prefix with zeros gives the smallest length that it can still announce.
    least = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    if least > _MAX_VERSION_FRAME:
        return Opening.UNKNOWN
    if len(data) < 4:
        return Opening.PARTIAL
    body = data[4 : 4 + least]
    if len(data) == 4 and least >= 2:
        return Opening.PARTIAL
    version, end, _ = body.partition(b"\0")
    if not version.isdigit() or (len(body) == least and not end):
        return Opening.UNKNOWN
    return Opening.GATEWAY
