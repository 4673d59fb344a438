"""Parses both directions of one connection into messages.

Bytes that do not belong to the API or have invalid frames do not raise an exception. Instead, `failure` is set, and the
parser returns nothing more; the bytes themselves can still be forwarded.
"""

from ibkr.wire import MAX_FRAME, BadHello, ClientHello, FrameReader, FrameTooLong, decode_fields, parse_hello

_LONGEST_VERSION = 3


class ConnectionParser:
    """Parses what a client and a gateway send to each other.

    `hello` is the client's hello. `server_version` is the gateway's version, or 0 before the gateway has sent it.
    `failure` says why nothing more can be parsed. It is empty as long as everything can be parsed.
    """

    def __init__(self) -> None:
        self.hello: ClientHello | None = None
        self.server_version = 0
        self.connection_time = ""
        self.failure = ""
        self._opening = b""
        self._requests = FrameReader(MAX_FRAME)
        self._answers = FrameReader(MAX_FRAME)

    def client_sent(self, data: bytes) -> list[bytes]:
        """Add bytes of the client, and return the bodies of the requests that they complete."""
        if self.failure:
            return []
        if self.hello is None:
            self._opening += data
            try:
                parsed = parse_hello(self._opening)
            except BadHello as error:
                self.failure = f"the client does not speak the API: {error}"
                return []
            if parsed is None:
                return []
            self.hello, used = parsed
            data, self._opening = self._opening[used:], b""
        return self._feed(self._requests, data, "the client")

    def gateway_sent(self, data: bytes) -> list[bytes]:
        """Add bytes of the gateway, and return the bodies of the frames that they complete, also of the first frame."""
        return [] if self.failure else self._feed(self._answers, data, "the gateway")

    def take_version(self, bodies: list[bytes]) -> list[bytes]:
        """Take the gateway's version from its first frame, and return the messages after it."""
        if self.server_version or not bodies or self.failure:
            return bodies
        match decode_fields(bodies[0]):
            case [version, time] if version.isdecimal() and len(version) <= _LONGEST_VERSION and int(version):
                self.server_version, self.connection_time = int(version), time
                return bodies[1:]
        self.failure = f"the gateway does not begin with its version, but with {bodies[0][:32]!r}"
        return []

    def _feed(self, reader: FrameReader, data: bytes, who: str) -> list[bytes]:
        try:
            return reader.feed(data)
        except FrameTooLong as error:
            self.failure = f"{who} sent an invalid frame: {error}"
            return list(error.frames)
