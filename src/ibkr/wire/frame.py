"""Frames: after the client's magic, every message is a 4-byte big-endian length and that many bytes.

Sources: ibapi 10.46 `comm.make_msg` / `read_msg`, ib_async 2.1.0 `client._prefix`.
"""

import struct

MAX_FRAME_BEFORE_HANDSHAKE = 1024 * 1024
"""Bytes. Before a gateway has announced its version, it sends only a few dozen bytes."""

MAX_FRAME = 16 * 1024 * 1024
"""Bytes. The official client accepts at most 0xFFFFFF (ibapi `common.MAX_MSG_LEN`)."""

BINARY_IDS = 201
"""The server version from which a message starts with its id as four bytes, big-endian."""

PROTOBUF_IDS = 200
"""Added to that id if the rest of the message is protobuf."""

_PREFIX = struct.Struct(">I")


class FrameTooLong(ValueError):
    """A length prefix is above the limit. The stream cannot be read any further.

    `frames` are the complete frames before that prefix in the same `feed`.
    """

    def __init__(self, length: int, limit: int, frames: tuple[bytes, ...] = ()) -> None:
        super().__init__(
            f"a frame of {length} bytes was announced, at most {limit} are allowed: "
            "this peer does not speak the TWS API protocol, or the stream is out of sync"
        )
        self.length = length
        self.limit = limit
        self.frames = frames


def frame(body: bytes) -> bytes:
    """Return `body` with its length in front, as it is sent."""
    return _PREFIX.pack(len(body)) + body


def binary_id(number: int) -> bytes:
    """Return the first four bytes of a body from version 201 on."""
    return _PREFIX.pack(number)


def split_id(body: bytes, server_version: int) -> tuple[int, bool, bytes]:
    """Return the message id of a body, whether the rest is protobuf, and the rest. Without an id: -1."""
    if server_version >= BINARY_IDS:
        number = int.from_bytes(body[:4], "big") if len(body) >= 4 else -1
        is_protobuf = number > PROTOBUF_IDS
        return number - PROTOBUF_IDS * is_protobuf, is_protobuf, body[4:]
    head, _, rest = body.partition(b"\0")
    return int(head) if head.isdigit() and len(head) < 10 else -1, False, rest


class FrameReader:
    """Splits a byte stream into the bodies of its frames.

    `limit` is the longest allowed body in bytes. You can change it at any time, for the next `feed`. At most one
    incomplete frame is kept, so at most `limit` bytes.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        self._tail = bytearray()
        self._needed = _PREFIX.size

    @property
    def pending(self) -> int:
        """The number of bytes kept for an incomplete frame."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies of the frames that `data` completes, in order.

        Raises `FrameTooLong` as soon as a prefix is above `limit`, before any of that frame is kept. Every later call
        raises again, because the position in the bytes is lost.
        """
        if self._tail:
            self._tail += data
            # A long frame comes in many pieces. Copy the bytes only when it is complete, and not for each piece.
            if len(self._tail) < self._needed:
                return []
            data = bytes(self._tail)
            self._tail.clear()
        return self._split(data)

    def _split(self, data: bytes) -> list[bytes]:
        bodies: list[bytes] = []
        size, limit, unpack = len(data), self.limit, _PREFIX.unpack_from
        start, self._needed = 0, _PREFIX.size
        while size - start >= 4:
            (length,) = unpack(data, start)
            if length > limit:
                self._tail += data[start : start + 4]
                raise FrameTooLong(length, limit, tuple(bodies))
            end = start + 4 + length
            if end > size:
                self._needed = 4 + length
                break
            bodies.append(data[start + 4 : end])
            start = end
        self._tail += data[start:]
        return bodies
