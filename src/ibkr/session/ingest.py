"""Ingest: how what the gateway sends gets into the client library: fast, in order, and without stalling the loop.

The library's own reader copies its whole buffer for every message that it cuts off, and works on all that one read has
brought at a stretch: in a burst that is most of its time, and the loop stands still meanwhile. ``reader_for`` says
which of the two here reads.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ibkr.core.errors import Failure, FailureKind
from ibkr.session.rows import read_rows
from ibkr.session.telling import kept_apart, tell_cancelled
from ibkr.session.ticks import NoTicks, TickReader, Ticks
from ibkr.wire.frame import MAX_FRAME, FrameReader, FrameTooLong

logger = logging.getLogger("ibkr.session")

READ_SIZE = 8 * 1024
"""Bytes of one read: some 300 ticks. Python's garbage collector wakes when 700 objects more are alive, and after enough
of that looks at every object there is, for 10 to 20 ms; so it never sees a burst. asyncio's own 256 KB are more than a
loop should work on at a stretch, too.
"""

SLICE = 0.004
"""Seconds of work on messages, then the loop has its turn."""

LONG_PAUSE = 1.0
"""Seconds for which reading may be paused without a word: a gateway cuts who does not read."""

# Whose reader was read, and is matched by what stands here.
_KNOWN = {("ib_async", "2.1.0"), ("ib_insync", "0.9.86")}
_TICKS_AT_A_STRETCH = 32


class Reader(Protocol):
    """Takes what one socket after the other brings, behind the handshake's first frame."""

    def begin(self) -> None:
        """A new socket."""

    def take(self, data: bytes) -> None:
        """Bytes, as they came."""

    def end(self) -> None:
        """The socket is not wanted any more: nothing of what waits is worked on."""

    def finish(self) -> None:
        """The socket has ended: what had come before is worked on first."""


class LibraryReader:
    """The library's own code, with a limit to the length of a message.

    ``on_read`` is called after each packet, ``on_unfit`` when a message is announced that no gateway sends.
    """

    def __init__(self, client: Any, on_read: Callable[[], None], on_unfit: Callable[[Failure], None]) -> None:
        self._client = client
        self._on_read = on_read
        self._on_unfit = on_unfit

    def begin(self) -> None:
        return

    def take(self, data: bytes) -> None:
        self._client.conn.hasData.emit(data)
        self._on_read()
        rest = self._client._data
        if len(rest) > 4 and (length := int.from_bytes(rest[:4], "big")) > MAX_FRAME:
            self._on_unfit(_too_long(length))

    def end(self) -> None:
        return

    def finish(self) -> None:
        return


class Ingest:
    """Takes over from the library's reader as soon as the session is up.

    Messages that are not worked off within ``SLICE`` wait for the loop's next turn, and nothing is read until they are:
    so what waits is bounded by ``READ_SIZE``, and one unfinished message. To the library's listeners a slice is what a
    packet is. ``on_turn`` is called before, ``on_read`` after each slice; ``on_unfit`` as in ``LibraryReader``.
    """

    def __init__(
        self,
        client: Any,
        ticks: TickReader,
        on_turn: Callable[[], None],
        on_read: Callable[[], None],
        on_unfit: Callable[[Failure], None],
    ) -> None:
        self._client = client
        self._ticks = ticks
        self._on_turn = on_turn
        self._on_read = on_read
        self._on_unfit = on_unfit
        self._handshake = LibraryReader(client, lambda: None, on_unfit)
        self._messages: deque[bytes] = deque()
        self._cutter = FrameReader(MAX_FRAME)
        self._next: asyncio.Handle | None = None  # while reading is paused
        self._paused_at = 0.0
        self._longest_pause = 0.0

    def begin(self) -> None:
        self.end()
        self._longest_pause = LONG_PAUSE

    def take(self, data: bytes) -> None:
        is_opening = not self._client.isReady()
        if is_opening:
            data = self._shake_hands(data)
        self._client._numBytesRecv += len(data)
        failure = None
        try:
            self._messages.extend(self._cutter.feed(data))
        except FrameTooLong as error:
            self._messages.extend(error.frames)
            failure = _too_long(error.length)
        if is_opening:  # behind all that came: who hears of the session may turn the loop, and more comes then
            self._on_read()
        if failure is not None:
            self.finish()
            self._on_unfit(failure)
            return
        if self._next is None:
            if self._messages:
                self._work()
            # A full read is not the last, and some loops read many times before anybody else has his turn.
            if self._messages or len(data) >= READ_SIZE:
                self._pause()

    def _shake_hands(self, data: bytes) -> bytes:
        """Give the library message by message until it is ready; returns what comes behind that."""
        client = self._client
        while data and not client.isReady() and client.connState != client.DISCONNECTED:
            begun = client._data
            prefix = (begun + data[:4])[:4]
            rest = 4 + int.from_bytes(prefix, "big") - len(begun) if len(prefix) == 4 else len(data)
            rest = max(1, rest)  # an empty message is one that the library reads with the next
            self._handshake.take(data[:rest])
            data = data[rest:]
        return data if client.isReady() else b""

    def end(self) -> None:
        self._messages.clear()
        self._cutter = FrameReader(MAX_FRAME)
        self._stop_turns()

    def finish(self) -> None:
        while self._messages:
            self._work()
        self.end()

    def _work(self) -> None:
        """One slice. Whoever is called here may call ``take`` and ``end``: nothing but the queue is gone by."""
        client, messages = self._client, self._messages
        decoder, clock = client.decoder, time.monotonic  # uvloop's time stands still during a turn
        logs = client._logger.isEnabledFor(logging.DEBUG)
        kept_apart(client._tcpDataArrived)
        ticks, starts = self._ticks, self._ticks.starts
        ticks.begin_slice(is_logging=logs)
        until = clock() + SLICE
        while messages:
            count = ticks.read(messages, _TICKS_AT_A_STRETCH) if messages[0][:2] in starts else 0
            client._numMsgRecv += count
            if count < _TICKS_AT_A_STRETCH and messages:
                client._numMsgRecv += 1
                fields = messages.popleft().decode(errors="backslashreplace").split("\0")
                fields.pop()  # the nothing after the last NUL
                if logs:
                    client._logger.debug("<<< %s", ",".join(fields))
                try:
                    decoder.interpret(fields)
                except asyncio.CancelledError:
                    tell_cancelled()
            if clock() >= until:
                break
        kept_apart(client._tcpDataProcessed)
        self._on_read()

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        self._paused_at = loop.time()
        self._client.conn.transport.pause_reading()
        self._next = loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        # Before the work: a listener that turns the loop itself waits for messages that only this can bring.
        self._next = asyncio.get_running_loop().call_soon(self._go_on)
        self._on_turn()
        if self._messages:
            self._work()
        if not self._messages and self._stop_turns():
            self._resume()

    def _stop_turns(self) -> bool:
        """No further turn; whether there would have been one."""
        upcoming, self._next = self._next, None
        if upcoming is not None:
            upcoming.cancel()
        return upcoming is not None

    def _resume(self) -> None:
        transport = self._client.conn.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()
        paused = asyncio.get_running_loop().time() - self._paused_at
        if paused > self._longest_pause:
            self._longest_pause = paused
            logger.warning(
                "Nothing was read from the gateway for %.1f s, while the program worked on what had come: a gateway"
                " cuts clients that do not keep up. Look for slow work in the handlers of ticks and updates",
                paused,
            )


class SmallReads(asyncio.BufferedProtocol):
    """Reads ``READ_SIZE`` bytes at most at a time for the protocol ``behind`` it, on any event loop.

    One buffer serves all connections of the thread that it is made in: it is empty again before anybody else has his
    turn.
    """

    _of_thread = threading.local()

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        if not hasattr(self._of_thread, "buffer"):
            self._of_thread.buffer = memoryview(bytearray(READ_SIZE))
        self._buffer: memoryview = self._of_thread.buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._behind.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> Any:
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)


def reader_for(
    client: Any,
    on_turn: Callable[[], None],
    on_read: Callable[[], None],
    on_unfit: Callable[[Failure], None],
) -> Reader:
    """``Ingest`` for the versions of the library that it is known to match, its own code for all others."""
    reads = getattr(type(client), "_onSocketHasData", None)
    package = getattr(reads, "__module__", "").partition(".")[0]
    version = getattr(sys.modules.get(package), "__version__", "unknown")
    if (package, version) in _KNOWN:
        if package != "ib_async":
            return Ingest(client, NoTicks(), on_turn, on_read, on_unfit)
        read_rows(client)
        return Ingest(client, Ticks(client), on_turn, on_read, on_unfit)
    _tell_unknown(package, version)
    return LibraryReader(client, on_read, on_unfit)


@functools.cache  # once in a process
def _tell_unknown(package: str, version: str) -> None:
    logger.warning(
        "Messages are read by the client library's own code, which is slower in bursts and stalls the event loop:"
        " our own knows %s, not %s %s",
        " and ".join(" ".join(known) for known in sorted(_KNOWN)),
        package,
        version,
    )


def _too_long(length: int) -> Failure:
    return Failure(FailureKind.CLOSED, f"a message of {length:,} bytes was announced, more than any gateway sends")
