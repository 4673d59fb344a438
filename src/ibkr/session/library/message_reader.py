"""Reads incoming messages: splits bytes into messages and passes them to the decoder, without blocking the event loop.

The library's own reader copies its buffer for every message, and processes all bytes of a read together. In a burst,
this takes most of the reader's time and blocks the event loop. This reader cuts messages by their offset, works in
short slices, and reads no more bytes until it has processed the earlier ones. Before the handshake, it keeps the bytes
until the first frame is complete and valid, so that a peer that is not a gateway is recognized by its first bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ibkr.core.errors import Failure, FailureKind
from ibkr.session.error_log import call_shielded, log_cancelled
from ibkr.session.library.connection import READ_SIZE
from ibkr.session.library.map_limits import MAX_MESSAGE, is_oversized, trim_maps
from ibkr.wire.frame import MAX_FRAME, FrameReader, FrameTooLong
from ibkr.wire.handshake import Opening, classify_opening

if TYPE_CHECKING:
    from ibkr.session.library.client import ClientOverrides
    from ibkr.session.library.decoder import DecoderOverrides
    from ibkr.session.library.hooks import Hooks
    from ibkr.session.library.tick_decoder import TickReader

logger = logging.getLogger("ibkr.session")

SLICE = 0.004
"""Seconds of work on messages before the loop runs other callbacks."""
LONG_PAUSE = 1.0
"""Seconds for which reading may pause without a warning. A gateway disconnects clients that do not read."""
_TICKS_AT_A_TIME = 32
_TRIM_EVERY = 16  # slices
_OPENING = frozenset({b"9\0", b"15"})
"""The first two bytes of the messages with the next id and the accounts."""


class MessageReader:
    """Reads one socket after another.

    Messages are never read inside the transport's own callback, but in a callback of the loop. So a handler of the
    program may run the loop itself, just as the library's blocking calls do. Messages that are not read within
    ``SLICE`` wait for the next turn, and the transport is paused meanwhile. The waiting bytes are limited to
    ``READ_SIZE`` and one incomplete message. The library's listeners see a slice as one network packet.

    ``last_byte`` and ``last_message`` are the times in the loop's clock at which a byte last arrived and a message was
    last decoded. ``any_byte``: whether a byte has come on this socket. ``is_reading``: whether a slice is being read.
    """

    def __init__(self, client: ClientOverrides, decoder: DecoderOverrides, ticks: TickReader, hooks: Hooks) -> None:
        self._client, self._decoder, self._ticks, self._hooks = client, decoder, ticks, hooks
        self._clock: Callable[[], float] = time.monotonic
        self._messages: deque[bytes] = deque()
        self._next_turn: asyncio.Handle | None = None
        self._longest_pause = LONG_PAUSE
        self._slices = 0
        self.is_reading = False
        self._start()

    def _start(self) -> None:
        self._messages.clear()
        self._splitter = FrameReader(MAX_FRAME)
        self._opening_bytes = b""
        self._is_opened = False
        self._has_ended = False
        self._is_probe_pending = False
        self._paused_at: float | None = None
        self.any_byte = False
        self.last_byte = self.last_message = self._clock()

    def begin(self) -> None:
        """Begin with a new socket in the running loop."""
        self._cancel_turn()
        self._clock = asyncio.get_running_loop().time
        self._longest_pause = LONG_PAUSE
        self._start()

    def end(self) -> None:
        """Drop the socket's data, because the socket is no longer used."""
        self._has_ended = True
        self._messages.clear()
        self._splitter = FrameReader(MAX_FRAME)
        self._cancel_turn()

    def finish(self) -> None:
        """The socket has ended: read the bytes that have arrived."""
        while self._messages:
            self._read_slice()
        self._cancel_turn()

    def now(self) -> float:
        """The time of the sockets' loop, even if that loop does not run."""
        return self._clock()

    def probe_sent(self) -> None:
        """A probe was sent."""
        self._is_probe_pending = True

    def probe_answered(self) -> None:
        """The probe was answered."""
        self._is_probe_pending = False

    @property
    def is_probed(self) -> bool:
        """Whether a probe is unanswered."""
        return self._is_probe_pending

    @property
    def silence(self) -> float:
        """Seconds since a message was decoded if a probe is unanswered, otherwise 0."""
        return self._clock() - self.last_message if self._is_probe_pending else 0.0

    def feed(self, data: bytes) -> None:
        """Read what the transport has received."""
        self.any_byte = True
        self.last_byte = self._clock()
        if self._has_ended:
            return
        if not self._is_opened:
            self._opening_bytes += data
            if not self._check_opening():
                return
            self._is_opened = True
            data, self._opening_bytes = self._opening_bytes, b""
        self._client.count_bytes(len(data))
        try:
            self._messages.extend(self._splitter.feed(data))
        except FrameTooLong as error:
            self._messages.extend(error.frames)
            self.finish()
            detail = f"a message of {error.length:,} bytes was announced, more than any gateway sends"
            self._reject(Failure(FailureKind.CLOSED, detail))
            return
        if self._next_turn is None and not self._client.isReady():
            self._read_opening()
        if self._next_turn is None and self._messages:
            self._next_turn = asyncio.get_running_loop().call_soon(self._run_turn)
        # After a full read, more bytes wait. Pause, because some loops read many times before they run other callbacks.
        if len(data) >= READ_SIZE and self._next_turn is not None:
            self._pause()

    def _read_opening(self) -> None:
        """Read the version, the accounts and the next id immediately, without waiting for a turn of the loop.

        A turn costs time, and these messages emit no event of ``ib``.
        """
        client, messages = self._client, self._messages
        try:
            while messages and not client.isReady() and (not client.has_version or messages[0][:2] in _OPENING):
                client.count_messages(1)
                self._read_first(self._fields_of(messages.popleft(), client.logs_messages))
        except Exception as error:  # an error in our code
            self._hooks.failed("reading messages of the gateway", error)

    def _run_turn(self) -> None:
        # Schedule the next turn before the work: a handler may run the loop itself, and then only that turn reads
        # messages.
        self._next_turn = asyncio.get_running_loop().call_soon(self._run_turn)
        try:
            if self._messages:
                self._read_slice()
            if self._messages:
                self._pause()
            elif self._cancel_turn():
                self._resume()
        except Exception as error:  # an error in our code; the decoder handles errors of the library
            self._hooks.failed("reading messages of the gateway", error)

    def _fields_of(self, message: bytes, logs: bool) -> list[str]:
        if len(message) > MAX_MESSAGE and is_oversized(message):
            return [f"a message of {len(message):,} bytes that begins with {message[:50]!r}"]
        fields = message.decode(errors="backslashreplace").split("\0")
        fields.pop()  # the empty text after the last NUL
        if logs:
            self._client.log_received(fields)
        return fields

    def _read_slice(self) -> None:
        """Read messages for at most ``SLICE`` seconds. For each slice, do what the library does for each packet."""
        client, messages, ticks, interpret = self._client, self._messages, self._ticks, self._decoder.interpret
        clock, logs, starts = time.perf_counter, client.logs_messages, ticks.starts
        until = clock() + SLICE
        undecoded = self._decoder.undecoded
        read = 0
        was_reading, self.is_reading = self.is_reading, True
        try:
            client.packet_arrived()
            ticks.begin_slice(is_logging=logs)
            is_open = client.isReady()
            while messages:
                count = ticks.read(messages, _TICKS_AT_A_TIME) if is_open and messages[0][:2] in starts else 0
                read += count
                if count < _TICKS_AT_A_TIME and messages:
                    read += 1
                    if logs or len(messages[0]) > MAX_MESSAGE:
                        fields = self._fields_of(messages.popleft(), logs)
                    else:  # the same as _fields_of, without a call: start-up has hundreds of messages
                        fields = messages.popleft().decode("utf-8", "backslashreplace").split("\0")
                        fields.pop()
                    if is_open:
                        try:
                            interpret(fields)
                        except asyncio.CancelledError:
                            log_cancelled()
                    else:
                        self._read_first(fields)
                        is_open = client.isReady()
                if clock() >= until:
                    break
            client.count_messages(read)
            call_shielded(client.packet_processed)
            self._slice_done(read - (self._decoder.undecoded - undecoded))
        finally:
            self.is_reading = was_reading

    def _slice_done(self, decoded: int) -> None:
        """A slice was read, and this many of its messages could be decoded."""
        if decoded > 0:
            self.last_message = self._clock()
        self._slices += 1
        if not self._slices % _TRIM_EVERY:
            for words in trim_maps(self._client.wrapper):
                self._hooks.incoming.limit_reached(words)
        self._hooks.incoming.slice_read(self.last_byte)

    def _read_first(self, fields: list[str]) -> None:
        """Read a message before the session is open: the handshake, the accounts, the next id."""
        client = self._client
        if client.take_version(fields):
            return
        opens = client.take_opening(fields)
        if opens:
            client.apiStart.emit()
        self._decoder.interpret(fields)
        if opens and client.isReady():
            self._hooks.incoming.session_opened()

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
                "Nothing was read from the gateway for %.1f s, because the program was busy with earlier messages. A"
                " gateway disconnects clients that read too slowly. Look for slow handlers of ticks and updates",
                paused,
            )

    def _cancel_turn(self) -> bool:
        """Cancel the next turn. Returns whether there was one."""
        upcoming, self._next_turn = self._next_turn, None
        if upcoming is not None:
            upcoming.cancel()
        return upcoming is not None

    def _check_opening(self) -> bool:
        """Whether the first frame is complete and the library can continue from it."""
        opening = classify_opening(self._opening_bytes)
        if opening in (Opening.HTTP, Opening.SSH, Opening.UNKNOWN):
            self._reject_peer(opening)
            return False
        end = 4 + int.from_bytes(self._opening_bytes[:4], "big")
        if opening is Opening.PARTIAL or len(self._opening_bytes) < end:
            return False
        fields = self._opening_bytes[4:end].split(b"\0")
        if len(fields) != 3:  # version, time, and the empty text after the last NUL
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
        detail = f"{what} answers, not TWS or IB Gateway; it began with {self._opening_bytes[:16]!r}"
        self._reject(Failure(FailureKind.NOT_A_GATEWAY, detail, looks_like=opening.value))

    def _reject(self, failure: Failure) -> None:
        self._has_ended = True
        self._opening_bytes = b""
        self._hooks.incoming.peer_rejected(failure)
