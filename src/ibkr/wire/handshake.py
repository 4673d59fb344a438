"""The handshake: the first bytes of a connection, from both sides.

The client sends the magic (``API`` and a zero byte), then a version range in a frame. The gateway answers with one
frame that has two fields, its version and its time, and no message id. Sources: ibapi 10.46 `client.connect`, ib_async
2.1.0 `client.connectAsync`, ib_async issue 143.
"""

import enum
import re
from typing import NamedTuple

from ibkr.wire.frame import frame

MAGIC = b"API\0"

MAX_HELLO = 1024
"""The most bytes of a version range with its connect options."""

_RANGE = rb"(?s)v(\d{1,5})(?:\.\.(\d{1,5}))?(?: (.*))?\0?"
_MAX_VERSION_FRAME = 1024
_BANNERS = {b"HTTP/": "HTTP", b"SSH-": "SSH"}


class BadHello(ValueError):
    """These bytes are not from an API client."""


class ClientHello(NamedTuple):
    """The range of protocol versions that a client offers."""

    min_version: int
    max_version: int
    options: str = ""


class Opening(enum.Enum):
    """What a peer is, judged by its first bytes."""

    GATEWAY = "gateway"
    HTTP = "http"
    SSH = "ssh"
    UNKNOWN = "unknown"
    PARTIAL = "partial"


def hello_bytes(hello: ClientHello) -> bytes:
    """Return a client's first bytes: magic and version range."""
    options = f" {hello.options}" if hello.options else ""
    return MAGIC + frame(f"v{hello.min_version}..{hello.max_version}{options}".encode())


def parse_hello(data: bytes) -> tuple[ClientHello, int] | None:
    """Return the hello at the start of `data` and its length in bytes. Return `None` if the hello is incomplete.

    Raises `BadHello` at the first byte that no API client sends. Clients from before 2012, which send no magic, are not
    supported.
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
    """Return the gateway's complete answer to the hello.

    `connection_time` is `yyyymmdd HH:MM:SS ZONE`, and ZONE is the zone's name on the gateway's host. This name can
    contain blanks, and non-ASCII characters in the `encoding` of that host.
    """
    return frame(f"{version}\0{connection_time}\0".encode(encoding))


def classify_opening(data: bytes) -> Opening:
    """Find out what a peer is by its first bytes, `data`. Every input has a result.

    PARTIAL means that more bytes are needed. This result is possible with at most four bytes. With more bytes, GATEWAY
    can still become UNKNOWN. The other results are final.
    """
    for banner, name in _BANNERS.items():
        if data.startswith(banner):
            return Opening[name]
    if len(data) < 5 and any(banner.startswith(data) for banner in _BANNERS):
        return Opening.PARTIAL
    # If fewer than four bytes have come, fill up with zeros. This gives the smallest length that can begin with these
    # bytes.
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
