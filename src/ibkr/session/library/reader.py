"""The way in: bytes become messages, and messages reach the decoder; fast, in order, without blocking the event loop.

The library's own reader copies its whole buffer for every message, and works on all that one read has brought: in a
burst that is most of its time, and the loop stands still meanwhile. This one cuts messages by their offset, works in
slices, and reads no more until it is done with what it has.

Before the handshake it holds the bytes back until the first frame is complete and fit for the library, so that a peer
that is no gateway is recognized by its first bytes and costs no memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ibkr.core.errors import Failure, FailureKind
from ibkr.session.errors import log_cancelled, shielded
from ibkr.session.library.connection import READ_SIZE
from ibkr.wire.frame import MAX_FRAME, FrameReader, FrameTooLong
from ibkr.wire.handshake import Opening, classify_opening

if TYPE_CHECKING:
    from ibkr.session.library.client import ClientOverrides
    from ibkr.session.library.decoder import DecoderOverrides
    from ibkr.session.library.hooks import Hooks
    from ibkr.session.library.tick_decoder import TickReader

logger = logging.getLogger("ibkr.session")

SLICE = 0.004
"""Seconds of work on messages, then the loop has its turn."""

LONG_PAUSE = 1.0
"""Seconds for which reading may be paused without a warning: a gateway cuts clients that do not read."""

_TICKS_AT_A_TIME = 32
_OPENING = frozenset({b"9\0", b"15"})
"""How the messages about the next id and the accounts begin: their first two bytes."""


class MessageReader:
    """Reads one socket after the other.

    Messages are never read inside the transport's own callback, but in a callback of the loop: so a handler of the
    program may run the loop itself, where the library's own blocking calls may. Messages that are not read within
    ``SLICE`` wait for the next turn, and the transport is paused meanwhile: so what waits is bounded by ``READ_SIZE``
    and one incomplete message. To the library's listeners a slice is what a packet is.

    ``is_reading``: a slice is being read. ``last_byte``: when the last byte arrived, in the loop's time. ``any_byte``:
    whether this socket has brought one.
    """

    def __init__(self, client: ClientOverrides, decoder: DecoderOverrides, ticks: TickReader, hooks: Hooks) -> None:
        self._client, self._decoder, self._ticks, self._hooks = client, decoder, ticks, hooks
        self._clock: Callable[[], float] = time.monotonic
        self._messages: deque[bytes] = deque()
        self._next: asyncio.Handle | None = None
        self._longest_pause = LONG_PAUSE
        self.is_reading = False
        self._start()

    def _start(self) -> None:
        self._messages.clear()
        self._cutter = FrameReader(MAX_FRAME)
        self._held = b""
        self._is_fit = False
        self._has_ended = False
        self._is_listening = False
        self._paused_at: float | None = None
        self.any_byte = False
        self.last_byte = self._clock()

    def begin(self) -> None:
        """A new socket, in the running loop."""
        self._cancel_turn()
        self._clock = asyncio.get_running_loop().time
        self._longest_pause = LONG_PAUSE
        self._start()

    def end(self) -> None:
        """The socket is not wanted any more, nor is what it has brought and will bring."""
        self._has_ended = True
        self._messages.clear()
        self._cutter = FrameReader(MAX_FRAME)
        self._cancel_turn()

    def finish(self) -> None:
        """The socket has ended: read what it has brought."""
        while self._messages:
            self._on_bytes()
            self._read_slice()
        self._cancel_turn()

    def listen(self) -> None:
        """Tell the session of the next byte."""
        self._is_listening = True

    @property
    def silence(self) -> float:
        """Seconds since the last byte, if the byte that is listened for has not come; otherwise 0."""
        return self._clock() - self.last_byte if self._is_listening else 0.0

    def take(self, data: bytes) -> None:
        """Take what the transport has read."""
        self.any_byte = True
        self._on_bytes()
        if self._has_ended:
            return
        if not self._is_fit:
            self._held += data
            if not self._opening_is_fit():
                return
            self._is_fit = True
            data, self._held = self._held, b""
        self._client.count_bytes(len(data))
        try:
            self._messages.extend(self._cutter.feed(data))
        except FrameTooLong as error:
            self._messages.extend(error.frames)
            self.finish()
            detail = f"a message of {error.length:,} bytes was announced, more than any gateway sends"
            self._reject(Failure(FailureKind.CLOSED, detail))
            return
        if self._next is None and not self._client.isReady():
            self._read_opening()
        if self._next is None and self._messages:
            self._next = asyncio.get_running_loop().call_soon(self._take_turn)
        # A full read is not the last, and some loops read many times before anybody else has a turn.
        if len(data) >= READ_SIZE and self._next is not None:
            self._pause()

    def _read_opening(self) -> None:
        """Read version, accounts and next id at once: no event of ``ib`` is emitted, and a turn of the loop costs."""
        client, messages = self._client, self._messages
        try:
            while messages and not client.isReady() and (not client.has_version or messages[0][:2] in _OPENING):
                client.count_messages(1)
                self._read_first(self._next_message(client.logs_messages))
        except Exception as error:  # a mistake of ours
            self._hooks.failed("reading what the gateway has sent", error)

    def _take_turn(self) -> None:
        # Before the work: a handler that runs the loop itself waits for messages that only this can bring.
        self._next = asyncio.get_running_loop().call_soon(self._take_turn)
        try:
            if self._paused_at is not None:
                self._on_bytes()
            if self._messages:
                self._read_slice()
            if self._messages:
                self._pause()
            elif self._cancel_turn():
                self._resume()
        except Exception as error:  # a mistake of ours: the library's own are its decoder's
            self._hooks.failed("reading what the gateway has sent", error)

    def _next_message(self, logs: bool) -> list[str]:
        fields = self._messages.popleft().decode(errors="backslashreplace").split("\0")
        fields.pop()  # the nothing after the last NUL
        if logs:
            self._client.log_received(fields)
        return fields

    def _read_slice(self) -> None:
        """Read messages until none is left or the time is over. What the library does for a packet, for each slice."""
        client, messages, ticks = self._client, self._messages, self._ticks
        interpret, starts = self._decoder.interpret, ticks.starts
        clock, logs = time.perf_counter, client.logs_messages
        until = clock() + SLICE
        was_reading, self.is_reading = self.is_reading, True
        try:
            client.packet_arrived()
            ticks.begin_slice(is_logging=logs)
            is_open = client.isReady()
            while messages:
                count = ticks.read(messages, _TICKS_AT_A_TIME) if is_open and messages[0][:2] in starts else 0
                if count < _TICKS_AT_A_TIME and messages:
                    count += 1
                    client.count_messages(count)
                    fields = self._next_message(logs)
                    if is_open:
                        try:
                            interpret(fields)
                        except asyncio.CancelledError:
                            log_cancelled()
                    else:
                        self._read_first(fields)
                        is_open = client.isReady()
                else:
                    client.count_messages(count)
                if clock() >= until:
                    break
            shielded(client.packet_processed)
            self._hooks.slice_read(self.last_byte)
        finally:
            self.is_reading = was_reading

    def _read_first(self, fields: list[str]) -> None:
        """A message before the session is open: the handshake, the accounts, the next id."""
        client = self._client
        if client.take_version(fields):
            return
        opens = client.take_opening(fields)
        if opens:
            client.apiStart.emit()
        self._decoder.interpret(fields)
        if opens and client.isReady():
            self._hooks.session_opened()

    def _on_bytes(self) -> None:
        """A byte has come; or bytes wait here, so that it is not the gateway who is silent."""
        self.last_byte = self._clock()
        if self._is_listening:
            self._is_listening = False
            self._hooks.heard()

    def _pause(self) -> None:
        if self._paused_at is None and self._client.conn.transport is not None:
            self._paused_at = self._clock()
            self._client.conn.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused_at is None:
            return
        paused, self._paused_at = self._clock() - self._paused_at, None
        transport = self._client.conn.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()
        if paused > self._longest_pause:
            self._longest_pause = paused
            logger.warning(
                "Nothing was read from the gateway for %.1f s, because the program was busy with what had arrived. A"
                " gateway cuts clients that do not keep up. Look for slow work in the handlers of ticks and updates",
                paused,
            )

    def _cancel_turn(self) -> bool:
        """No further turn; returns whether there would have been one."""
        upcoming, self._next = self._next, None
        if upcoming is not None:
            upcoming.cancel()
        return upcoming is not None

    def _opening_is_fit(self) -> bool:
        """Whether the first frame is complete, and one that the library can go on from."""
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
        self._has_ended = True
        self._held = b""
        self._hooks.unfit(failure)
