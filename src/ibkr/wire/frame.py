"""Framing: every message after the client's magic is a 4-byte big-endian length and that many bytes.

Source: ibapi 10.46 `comm.make_msg` / `read_msg`, ib_async 2.1.0 `client._prefix`.
"""

import struct

MAX_FRAME_BEFORE_HANDSHAKE = 1024 * 1024
"""Bytes. No gateway says more than a few dozen before it has announced its version."""

MAX_FRAME = 16 * 1024 * 1024
"""Bytes. The official client takes 0xFFFFFF at most (ibapi `common.MAX_MSG_LEN`)."""

BINARY_IDS = 201
"""The server version from which on a message begins with its id as four bytes, big-endian."""

PROTOBUF_IDS = 200
"""What is added to that id where the rest of the message is protobuf."""

_PREFIX = struct.Struct(">I")


class FrameTooLong(ValueError):
    """A length prefix announced more than the limit; the stream cannot be read any further.

    `frames` are the whole frames that the same `feed` held before the offending prefix.
    """

    def __init__(self, length: int, limit: int, frames: tuple[bytes, ...] = ()) -> None:
        super().__init__(
            f"a frame of {length} bytes was announced, at most {limit} are taken: "
            "this peer does not speak the TWS API protocol, or the stream is out of step"
        )
        self.length = length
        self.limit = limit
        self.frames = frames


def frame(body: bytes) -> bytes:
    """`body` with its length in front, as it goes over the wire."""
    return _PREFIX.pack(len(body)) + body


def binary_id(number: int) -> bytes:
    """The first four bytes of a body from version 201 on."""
    return _PREFIX.pack(number)


def split_id(body: bytes, server_version: int) -> tuple[int, bool, bytes]:
    """The message id of a body, whether the rest is protobuf, and the rest. The id is -1 where there is none."""
    if server_version >= BINARY_IDS:
        number = int.from_bytes(body[:4], "big") if len(body) >= 4 else -1
        is_protobuf = number > PROTOBUF_IDS
        return number - PROTOBUF_IDS * is_protobuf, is_protobuf, body[4:]
    head, _, rest = body.partition(b"\0")
    return int(head) if head.isdigit() and len(head) < 10 else -1, False, rest


class FrameReader:
    """Cuts a byte stream into the bodies of its frames.

    `limit` (bytes, the longest body taken) may be changed at any time; it holds from the next
    `feed` on. No more than one incomplete frame, and so no more than the limit, is kept.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        self._tail = bytearray()
        self._wanted = _PREFIX.size

    @property
    def pending(self) -> int:
        """Bytes kept because their frame is not complete."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of the frames that `data` completes, in order.

        Raises `FrameTooLong` as soon as a prefix announces more than `limit`, before any of that
        frame is buffered; every later call raises again, for the stream is lost.
        """
        if self._tail:
            self._tail += data
            # A long frame comes in many pieces: joining them only once keeps this linear.
            if len(self._tail) < self._wanted:
                return []
            data = bytes(self._tail)
            self._tail.clear()
        return self._cut(data)

    def _cut(self, data: bytes) -> list[bytes]:
        bodies: list[bytes] = []
        size, limit, unpack = len(data), self.limit, _PREFIX.unpack_from
        start, self._wanted = 0, _PREFIX.size
        while size - start >= 4:
            (length,) = unpack(data, start)
            if length > limit:
                self._tail += data[start : start + 4]
                raise FrameTooLong(length, limit, tuple(bodies))
            end = start + 4 + length
            if end > size:
                self._wanted = 4 + length
                break
            bodies.append(data[start + 4 : end])
            start = end
        self._tail += data[start:]
        return bodies
