"""The limiter: every message passes it, at the pace that the gateway allows, urgent messages first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ibkr.core.bucket import Bucket
from ibkr.core.urgency import Urgency

# IB cuts a client that goes on sending too fast; slower than this nothing would work any more.
_SLOWEST = 5.0
_SECOND = 1.05
"""The second of the gateway's limit, with room for messages that arrive closer together than they were sent."""


class _Held(NamedTuple):
    """A message that waits. The heap sorts by the first two fields, and no two numbers are equal."""

    urgency: Urgency
    number: int
    write: Callable[[], bool]
    drop: Callable[[], None] | None


class Limiter:
    """Writes messages in order of ``Urgency``, then of asking, as fast as the gateway takes them.

    Orders and cancels leave at once while fewer than ``limit`` messages have left in the last second. All others keep
    to ``rate`` a second, and to a burst of ``burst`` after a pause. Each order takes its share of that, so that the
    others make room. A gateway counts by connection: each session begins anew.
    """

    def __init__(self, rate: float, burst: int, limit: int = 0) -> None:
        self._rate, self._burst = rate, burst
        self._usual_limit = max(limit, math.ceil(rate) + burst)
        self._held: list[_Held] = []
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._start()

    def _start(self) -> None:
        self._bucket = Bucket(self._rate, self._burst)
        self._limit = self._usual_limit
        self._sent: deque[float] = deque()

    @property
    def rate(self) -> float:
        """Messages a second, now; orders may go faster."""
        return self._bucket.rate

    @property
    def is_holding(self) -> bool:
        """Whether any message waits."""
        return bool(self._held)

    @property
    def holds_orders(self) -> bool:
        """Whether an order or a cancel waits."""
        return bool(self._held) and self._held[0].urgency is Urgency.ORDER

    def begin(self) -> None:
        """A session begins, in the running loop: at the usual pace."""
        self.end()
        self._loop = asyncio.get_running_loop()
        self._start()

    def end(self) -> None:
        """The session is over: messages that wait are dropped."""
        held, self._held = sorted(self._held), []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for each in held:
            if each.drop is not None:
                each.drop()
        self._tell_waiters()

    def hurry(self) -> None:
        """Write the orders and cancels that wait, whatever the limit: the session is about to end."""
        while self.holds_orders:
            heapq.heappop(self._held).write()
        self._tell_waiters()

    async def orders_gone(self) -> None:
        """Wait until no order or cancel waits: each has left in its turn, or the session has ended."""
        while self.holds_orders:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def slow_down(self) -> None:
        """Half the pace for the rest of this session. Orders slow down less: cancels must not be held up for long."""
        self._bucket.rate = max(_SLOWEST, self._bucket.rate / 2)
        self._limit = max(math.ceil(self._usual_limit / 2), self._limit * 4 // 5)

    def sent(self) -> None:
        """Count a message that was written without the limiter."""
        self._sent.append(self._now())

    def send(self, write: Callable[[], bool], urgency: Urgency, drop: Callable[[], None] | None = None) -> None:
        """Call ``write`` now, or when its turn comes; it returns whether a message has left.

        ``drop`` is called in its place if the session ends before.
        """
        is_first = not self._held or self._held[0].urgency > urgency
        if is_first and self._wait(urgency) <= 0:
            self._write(write, urgency)
            return
        heapq.heappush(self._held, _Held(urgency, next(self._numbers), write, drop))
        if is_first:
            self._set_timer()

    def _write(self, write: Callable[[], bool], urgency: Urgency) -> None:
        now = self._now()
        self._sent.append(now)  # before the write: a listener of the library's throttle events may send, too
        self._bucket.take(now, may_owe=urgency is Urgency.ORDER)
        if not write():
            self._sent.pop()

    def _wait(self, urgency: Urgency) -> float:
        """Seconds until a message of this urgency may leave."""
        now, sent = self._now(), self._sent
        while sent and now - sent[0] >= _SECOND:
            sent.popleft()
        wait = sent[0] + _SECOND - now if len(sent) >= self._limit else 0.0
        return wait if urgency is Urgency.ORDER else max(wait, self._bucket.wait(now))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._loop is not None, "no session has begun"
        self._timer = self._loop.call_later(self._wait(self._held[0].urgency), self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        while self._held and self._wait(self._held[0].urgency) <= 0:
            held = heapq.heappop(self._held)
            self._write(held.write, held.urgency)
        if self._held and self._timer is None:
            self._set_timer()
        self._tell_waiters()

    def _tell_waiters(self) -> None:
        if self._waiters and not self.holds_orders:
            for waiter in self._waiters:
                if not waiter.done() and not waiter.get_loop().is_closed():
                    waiter.set_result(None)

    def _now(self) -> float:
        assert self._loop is not None, "no session has begun"
        return self._loop.time()
