"""Answers one client from a recording: finds the recorded request for each request, and sends the recorded answers."""

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.message_catalog import CANCELLED_REQUEST, identify_message
from ibkr.proxy.message_ids import read_id, replace_ids
from ibkr.proxy.message_logger import message_line
from ibkr.proxy.recording_reader import Recording
from ibkr.proxy.recording_writer import to_json
from ibkr.proxy.response_script import (
    START,
    RecordedRequest,
    ResponseScript,
    changes_orders,
    is_answered,
    request_id,
    request_key,
)
from ibkr.wire import BadHello, FrameReader, FrameTooLong, frame, messages, parse_hello, version_frame

log = logging.getLogger("ibkr.proxy")

MAX_REQUEST = 1024 * 1024
"""The largest size of a request, in bytes."""

_NOT_RECORDED = "not in the recording"


class ReplayOwner(Protocol):
    """The replay that a connection belongs to."""

    recording: Recording
    script: ResponseScript
    speed: float
    missing: deque[str]

    def connection_opened(self, connection: "ReplayConnection") -> None:
        """Register the connection of a client."""

    def connection_closed(self, connection: "ReplayConnection") -> None:
        """Remove a connection that has ended."""


@dataclass(eq=False)
class PlayedRequest:
    """A recorded request whose answers are being sent, and the id of the client's request."""

    recorded: RecordedRequest
    number: int | None


class ReplayConnection(asyncio.Protocol):
    """The connection of one client."""

    def __init__(self, replay: ReplayOwner) -> None:
        self._replay = replay
        self._script = replay.script
        self._opening = b""
        self._frames: FrameReader | None = None
        self._reader = Cleaner(keeps_private=True)
        self._log_cleaner = Cleaner()
        self._unanswered: list[RecordedRequest] = list(self._script.requests)
        self._answered: list[RecordedRequest] = []
        self._id_map: dict[int, int] = {}
        self._client_id: int | None = None
        self._is_started = False
        self._queue: list[tuple[float, int, bytes, PlayedRequest]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._end_at = math.inf

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self._loop = asyncio.get_running_loop()
        self._replay.connection_opened(self)

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            rest = self._read_hello(data)
            if rest is None:
                return
            data = rest
        assert self._frames is not None
        try:
            bodies = self._frames.feed(data)
        except FrameTooLong as error:
            log.warning("a client sent an invalid frame, its connection is closed: %s", str(error))
            self.end()
            return
        for body in bodies:
            if not self._transport.is_closing():
                self._handle_request(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()
        self._replay.connection_closed(self)

    def end(self) -> None:
        """Close the connection."""
        self._transport.abort()

    # --- requests ---------------------------------------------------------------------------------

    def _read_hello(self, data: bytes) -> bytes | None:
        """Return the bytes after the hello; None while the hello is incomplete, or if it is refused."""
        self._opening += data
        try:
            parsed = parse_hello(self._opening)
        except BadHello as error:
            log.warning("not an API client, closed: %s", error)
            self.end()
            return None
        if parsed is None:
            return None
        hello, used = parsed
        version = self._script.version
        if not hello.min_version <= version <= hello.max_version:
            log.warning(
                "closed a client that supports versions %s to %s: the recording has version %s. Make a recording with"
                " this client",
                hello.min_version,
                hello.max_version,
                version,
            )
            self._transport.close()
            return None
        self._frames = FrameReader(MAX_REQUEST)
        self._transport.write(version_frame(version, self._replay.recording.header.connection_time))
        return self._opening[used:]

    def _handle_request(self, body: bytes) -> None:
        version = self._script.version
        read = self._reader.clean(body, version, is_request=True)
        fields = to_json(read.fields or {})
        shown = message_line(read.name, self._log_cleaner.clean(body, version, is_request=True).fields)
        log.info("-> %s", shown)
        if read.name == START:
            if not self._is_started:
                self._start(fields.get("client_id"))
            return
        if not self._is_started:
            return
        number = request_id(fields)
        if read.name in CANCELLED_REQUEST:
            self._cancel(CANCELLED_REQUEST[read.name], number)
        recorded = self._match(read.name, fields, number)
        if recorded is not None:
            self._play(recorded, number)
        elif is_answered(read.name) and read.name not in CANCELLED_REQUEST:
            self._reject(read.name, shown, number)

    def _start(self, client_id: int | None) -> None:
        self._is_started = True
        self._client_id = client_id
        self._play(self._script.start, None)
        recording = self._replay.recording
        if recording.ended_at is not None and "gateway" in recording.end:
            self._end_at = self._loop.time() + (recording.ended_at - self._script.start.at) / self._replay.speed
            self._schedule()

    def _match(self, name: str, fields: dict[str, object], number: int | None) -> RecordedRequest | None:
        """Find the recorded request to use: the most similar unused request, otherwise the most similar used one."""
        key = request_key(name, fields)
        fitting = [
            recorded for recorded in self._unanswered if recorded.name == name and self._is_match(recorded, key, number)
        ]
        if fitting:
            best = max(fitting, key=lambda recorded: recorded.similarity(fields))  # the first, if several are equal
            self._unanswered.remove(best)
            self._answered.append(best)
            return best
        if changes_orders(name):
            return None
        again = [
            recorded for recorded in self._answered if recorded.name == name and self._is_match(recorded, key, number)
        ]
        return max(reversed(again), key=lambda recorded: recorded.similarity(fields), default=None)

    def _is_match(self, recorded: RecordedRequest, key: object, number: int | None) -> bool:
        if recorded.needs_earlier_id and (recorded.number is None or self._id_map.get(recorded.number) != number):
            return False
        return recorded.key == key

    def _reject(self, name: str, said: str, number: int | None) -> None:
        self._replay.missing.append(said)
        log.warning("%s: %s", _NOT_RECORDED, said)
        body = messages.ERROR.encode(
            self._script.version,
            req_id=-1 if number is None else number,
            code=201 if changes_orders(name) else 322,
            text=f"{name} is {_NOT_RECORDED}",
            advanced_order_reject="",
            error_time=int(time.time() * 1000),
        )
        self._transport.write(frame(body))

    # --- answers ----------------------------------------------------------------------------------

    def _play(self, recorded: RecordedRequest, number: int | None) -> None:
        if recorded.number is not None and number is not None:
            self._id_map[recorded.number] = number
        playback, now, speed = PlayedRequest(recorded, number), self._loop.time(), self._replay.speed
        for played in recorded.answers:
            heapq.heappush(self._queue, (now + played.delay / speed, next(self._order), played.body, playback))
        self._schedule()

    def _cancel(self, name: str, number: int | None) -> None:
        """Stop the stream of this request."""
        self._queue = [each for each in self._queue if (each[3].recorded.name, each[3].number) != (name, number)]
        heapq.heapify(self._queue)

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._queue[0][0] if self._queue else self._end_at
        if due < math.inf:
            self._timer = self._loop.call_at(due, self._send_due)

    def _send_due(self) -> None:
        self._timer = None
        now, out = self._loop.time(), []
        while self._queue and self._queue[0][0] <= now:
            _, _, body, playback = heapq.heappop(self._queue)
            out.append(frame(self._replace_ids(body, playback)))
        if out:
            self._transport.write(b"".join(out))
        if now >= self._end_at and not self._queue:
            self._transport.close()
            return
        self._schedule()

    def _replace_ids(self, body: bytes, playback: PlayedRequest) -> bytes:
        """Replace the recorded ids in a message by the ids that this client uses."""
        version = self._script.version

        def change(name: str, number: int) -> int:
            if name == "client_id":
                is_ours = number == self._script.client_id and self._client_id is not None
                return cast(int, self._client_id) if is_ours else number
            if number == playback.recorded.number and playback.number is not None:
                return playback.number
            return number if number == 0 else self._id_map.get(number, number)

        info = identify_message(body, version, is_request=False)
        if info.name == "nextValidId" or (read_id(info, version, "req_id") == -1 and info.name == "error"):
            return body
        return replace_ids(info, body, version, change)
