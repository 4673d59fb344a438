"""The way out of one connection: at once, or as a fault wants it: later, slowly, in pieces, in lumps, not now."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

_PIECES_PER_SECOND = 50


@dataclass(frozen=True, slots=True)
class Flow:
    """How bytes leave. `delay` and `every` are in seconds, `rate` in bytes per second.

    With `every`, all that falls into the same stretch of time leaves in one write at its end. With `is_split` each
    byte is a write of its own.
    """

    delay: float = 0.0
    rate: float = math.inf
    every: float = 0.0
    is_split: bool = False

    def due(self, now: float) -> float:
        """When bytes that are put now may leave, as far as the rate allows."""
        due = now + self.delay
        return math.ceil(due / self.every) * self.every if self.every else due

    @property
    def piece(self) -> int:
        """Bytes of one write; 0 means all."""
        if self.is_split:
            return 1
        return 0 if self.rate == math.inf else max(1, int(self.rate / _PIECES_PER_SECOND))


AT_ONCE = Flow()


@dataclass(slots=True)
class _Waiting:
    due: float
    data: memoryview
    flow: Flow


class Outbox:
    """Bytes leave in the order they were put, each as its flow says, none while frozen.

    `waiting` is the number of bytes not yet handed to the transport.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self.waiting = 0
        self._loop = loop
        self._transport = transport
        self._queue: deque[_Waiting] = deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False
        self._closing = False

    def put(self, data: bytes, flow: Flow = AT_ONCE, later: float = 0.0) -> None:
        """Send `data` as the flow wants it, not before `later` seconds, and after all that was put before."""
        if self._closing or self._transport.is_closing():
            return
        if flow is AT_ONCE and not later and not self._queue and not self._frozen:
            self._transport.write(data)
            return
        self._queue.append(_Waiting(flow.due(self._loop.time() + later), memoryview(data), flow))
        self.waiting += len(data)
        if self._timer is None:
            self._flush()

    @property
    def last_due(self) -> float:
        """The time of the loop at which all that waits may have left; 0 if nothing waits."""
        return max((item.due for item in self._queue), default=0.0)

    def freeze(self) -> None:
        """Hold everything back."""
        self._frozen = True
        self._stop_timer()

    def thaw(self) -> None:
        """Let go of what has become due."""
        self._frozen = False
        self._flush()

    def hurry(self) -> None:
        """The faults are over: what waits leaves now."""
        for item in self._queue:
            item.due, item.flow = 0.0, AT_ONCE
        self._free_at = 0.0
        self._flush()

    def close_after(self) -> None:
        """Close the connection as soon as all that was put is sent; nothing more is taken."""
        self._closing = True
        self._flush()

    def drop(self) -> None:
        """Forget what waits; the connection has ended."""
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
        """What leaves now, in one write: all that is due, or one piece where the flow is cut into pieces."""
        now = self._loop.time()
        taken: list[memoryview] = []
        while self._queue and max(self._queue[0].due, self._free_at) <= now:
            head = self._queue[0]
            size = head.flow.piece or len(head.data)
            taken.append(head.data[:size])
            head.data = head.data[size:]
            if not head.data:
                self._queue.popleft()
            if head.flow.piece:
                self._free_at = now + len(taken[-1]) / head.flow.rate
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
