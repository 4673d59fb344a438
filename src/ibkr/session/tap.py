"""The tap on the socket: sees each packet before the client library does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ibkr.core.errors import Failure, FailureKind
from ibkr.session.ingest import reader_for
from ibkr.wire.handshake import Opening, classify_opening


class Tap:
    """Stands in for ``data_received`` of the library's connection.

    Before the handshake it holds the packets back until the first frame is whole and fit for the library, so that a
    peer that is no gateway is known by its first bytes and costs no memory. After it, ``ingest.py`` reads.
    ``on_unfit`` is called with the failure, at most once; ``on_byte`` once after each ``listen()``; ``on_read`` when
    a packet, or a slice of it, has been read, with the time of its arrival; ``on_packet`` at the end of each during
    which ``is_reading`` was true; ``once_read``, if one was set meanwhile, once as soon as something has been read.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._clock: Callable[[], float] = time.monotonic
        self.on_unfit: Callable[[Failure], None] = lambda failure: None
        self.on_byte: Callable[[], None] = lambda: None
        self.on_read: Callable[[float], None] = lambda now: None
        self.on_packet: Callable[[], None] = lambda: None
        self.once_read: Callable[[], None] | None = None
        self.is_reading = False
        self.last_byte = 0.0
        self.any_byte = False
        self._held = b""
        self._opened = False
        self._unfit = False
        self._listening = False
        self._reader = reader_for(client, self._heard, self._has_read, self._reject)

    def reset(self) -> None:
        """A new socket begins, in the running loop."""
        self._clock = asyncio.get_running_loop().time
        self._reader.begin()
        self.last_byte = self._clock()
        self.any_byte = False
        self._held = b""
        self._opened = False
        self._unfit = False
        self._listening = False
        self.once_read = None

    @property
    def silence(self) -> float:
        """Seconds since the last byte, while one is listened for that has not come; otherwise 0."""
        return self._clock() - self.last_byte if self._listening else 0.0

    def listen(self) -> None:
        """Tell of the next byte."""
        self._listening = True

    def data_received(self, data: bytes) -> None:
        """Take a packet from the transport."""
        self.any_byte = True
        self._heard()
        if self._unfit:
            return
        if not self._opened:
            self._held += data
            if not self._is_fit():
                return
            self._opened = True
            data, self._held = self._held, b""
        # Who reads counts, too, in the library's own counters: session/traffic.py adds them up.
        self.is_reading = True
        try:
            self._reader.take(data)
        finally:
            self.is_reading = False
            self.on_packet()

    def end(self) -> None:
        """The socket is not wanted any more, nor is what it has brought and will bring."""
        self._unfit = True
        self._reader.end()

    def finish(self) -> None:
        """The socket has ended, and what it had brought comes first."""
        self._reader.finish()

    def _heard(self) -> None:
        """A byte; or bytes that wait here, so that it is not the gateway who is silent."""
        self.last_byte = self._clock()
        if self._listening:
            self._listening = False
            self.on_byte()

    def _has_read(self) -> None:
        self.on_read(self.last_byte)
        once_read, self.once_read = self.once_read, None
        if once_read is not None:
            once_read()

    def _is_fit(self) -> bool:
        """Whether the first frame is whole and one that the library can go on from."""
        opening = classify_opening(self._held)
        if opening in (Opening.HTTP, Opening.SSH, Opening.UNKNOWN):
            self._reject_peer(opening)
            return False
        end = 4 + int.from_bytes(self._held[:4], "big")
        if opening is Opening.PARTIAL or len(self._held) < end:
            return False
        fields = self._held[4:end].split(b"\0")
        if len(fields) != 3:  # version, time, and the nothing after the last NUL
            self._reject_peer(Opening.UNKNOWN)
            return False
        version = int(fields[0])
        oldest, newest = self._client.MinClientVersion, self._client.MaxClientVersion
        if not oldest <= version <= newest:
            detail = f"the gateway speaks protocol version {version}, the client library {oldest} to {newest}"
            self._reject(Failure(FailureKind.UNSUPPORTED_VERSION, detail))
            return False
        return True

    def _reject_peer(self, opening: Opening) -> None:
        what = {Opening.HTTP: "a web server (HTTP)", Opening.SSH: "an SSH server"}.get(opening, "something else")
        detail = f"{what} answers, not TWS or IB Gateway; it began with {self._held[:16]!r}"
        self._reject(Failure(FailureKind.NOT_A_GATEWAY, detail, looks_like=opening.value))

    def _reject(self, failure: Failure) -> None:
        self._unfit = True
        self._held = b""
        self.on_unfit(failure)
