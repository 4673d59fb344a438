"""The way out of one connection: at once, later (delay), or not now (freeze)."""

import asyncio
from collections import deque


class Outbox:
    """Bytes leave in the order they were put, each `delay` seconds after it was, none while frozen.

    `waiting` is the number of bytes not yet handed to the transport.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self.waiting = 0
        self._loop = loop
        self._transport = transport
        self._queue: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False
        self._closing = False

    def put(self, data: bytes, delay: float = 0.0) -> None:
        """Send `data`, `delay` seconds from now at the earliest."""
        if self._closing or self._transport.is_closing():
            return
        if not delay and not self._queue and not self._frozen:
            self._transport.write(data)
            return
        self._queue.append((self._loop.time() + delay, data))
        self.waiting += len(data)
        self._flush()

    def freeze(self) -> None:
        """Hold everything back."""
        self._frozen = True
        self._stop_timer()

    def thaw(self) -> None:
        """Let go of what has become due."""
        self._frozen = False
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
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            data = self._queue.popleft()[1]
            self.waiting -= len(data)
            self._transport.write(data)
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._flush)
        elif self._closing:
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
