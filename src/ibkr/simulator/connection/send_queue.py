"""The send queue of one connection. Faults make it send late, slowly, in pieces, in batches, or not at all."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

_PIECES_PER_SECOND = 50


@dataclass(frozen=True, slots=True)
class SendProfile:
    """How bytes are sent. `delay` and `every` are in seconds, `rate` in bytes per second.

    With `every`, all bytes of one interval are sent in one write at its end. With `is_split`, each byte is its own
    write.
    """

    delay: float = 0.0
    rate: float = math.inf
    every: float = 0.0
    is_split: bool = False

    def due(self, now: float) -> float:
        """Return when bytes that are queued now may be sent. The rate can delay them further."""
        due = now + self.delay
        return math.ceil(due / self.every) * self.every if self.every else due

    @property
    def piece(self) -> int:
        """Bytes of one write. 0 means all."""
        if self.is_split:
            return 1
        return 0 if self.rate == math.inf else max(1, int(self.rate / _PIECES_PER_SECOND))


IMMEDIATE = SendProfile()


@dataclass(slots=True)
class _QueuedData:
    due: float
    data: memoryview
    profile: SendProfile


class SendQueue:
    """Sends bytes in order, each with the profile with which they were queued. Sends nothing while frozen.

    `waiting` is the number of bytes that the transport does not have yet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self.waiting = 0
        self._loop = loop
        self._transport = transport
        self._queue: deque[_QueuedData] = deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False
        self._closing = False

    def put(self, data: bytes, profile: SendProfile = IMMEDIATE, later: float = 0.0) -> None:
        """Queue `data`. It is sent by its profile, at least `later` seconds from now, and after all earlier data."""
        if self._closing or self._transport.is_closing():
            return
        if profile is IMMEDIATE and not later and not self._queue and not self._frozen:
            self._transport.write(data)
            return
        self._queue.append(_QueuedData(profile.due(self._loop.time() + later), memoryview(data), profile))
        self.waiting += len(data)
        if self._timer is None:
            self._flush()

    @property
    def last_due(self) -> float:
        """The event loop's time at which all queued data may be sent. 0 if nothing waits."""
        return max((item.due for item in self._queue), default=0.0)

    def freeze(self) -> None:
        """Stop sending."""
        self._frozen = True
        self._stop_timer()

    def thaw(self) -> None:
        """Continue to send. Begin with the messages that are due."""
        self._frozen = False
        self._flush()

    def flush_now(self) -> None:
        """Send everything now, because the faults are over."""
        for item in self._queue:
            item.due, item.profile = 0.0, IMMEDIATE
        self._free_at = 0.0
        self._flush()

    def close_when_sent(self) -> None:
        """Close the connection when all data is sent. Accept no more data."""
        self._closing = True
        self._flush()

    def drop(self) -> None:
        """Forget the queued data, because the connection has ended."""
        self._queue.clear()
        self.waiting = 0
        self._closing = True
        self._stop_timer()

    def _flush(self) -> None:
        self._stop_timer()
        if self._frozen:
            return
        self._write(self._take())
        if self._queue:
            self._timer = self._loop.call_at(max(self._queue[0].due, self._free_at), self._flush)
        elif self._closing:
            self._transport.close()

    def _take(self) -> bytes:
        """Return what to send now in one write: all that is due, or one piece if the profile sends in pieces."""
        now = self._loop.time()
        taken: list[memoryview] = []
        while self._queue and max(self._queue[0].due, self._free_at) <= now:
            head = self._queue[0]
            size = head.profile.piece or len(head.data)
            taken.append(head.data[:size])
            head.data = head.data[size:]
            if not head.data:
                self._queue.popleft()
            if head.profile.piece:
                self._free_at = now + len(taken[-1]) / head.profile.rate
                break
        return b"".join(taken)

    def _write(self, data: bytes) -> None:
        if data:
            self.waiting -= len(data)
            self._transport.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
