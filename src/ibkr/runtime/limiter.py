"""The limiter: all that is sent passes here, at the pace that the gateway allows, what is urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import TypeAlias

from ibkr.core.bucket import Bucket
from ibkr.core.urgency import Urgency

Write: TypeAlias = Callable[[], None]

# IB cuts a client that goes on sending too fast; slower than this nothing would work any more.
_SLOWEST = 5.0


class Limiter:
    """Holds writes back, in order of ``Urgency``, then of asking, and lets them go at ``rate`` a second.

    ``burst`` may go at once when nothing went for a while, and in each new session: a gateway counts by connection.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._bucket = Bucket(rate, burst)
        self._held: list[tuple[Urgency, int, Write]] = []
        self._count = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float:
        """Messages a second, now."""
        return self._bucket.rate

    @property
    def is_holding(self) -> bool:
        """Whether anything waits."""
        return bool(self._held)

    @property
    def _holds_orders(self) -> bool:
        return bool(self._held) and self._held[0][0] is Urgency.ORDER

    def begin(self) -> None:
        """A session begins, in the running loop: at the usual pace."""
        self.end()
        self._loop = asyncio.get_running_loop()
        self._bucket = Bucket(self._rate, self._burst)

    def end(self) -> None:
        """The session is over: what waits will never go."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hurry(self) -> None:
        """Orders go at once, and cancels with them: the session is about to end."""
        while self._holds_orders:
            heapq.heappop(self._held)[2]()

    async def orders_gone(self) -> None:
        """Wait until no order waits: all have gone, each in its turn, or the session has ended."""
        while self._holds_orders:
            assert self._loop is not None, "what waits was sent in a session"
            await asyncio.sleep(self._bucket.wait(self._loop.time()))

    def slow_down(self) -> None:
        """Half the pace for the rest of this session."""
        self._bucket.rate = max(_SLOWEST, self._bucket.rate / 2)

    def send(self, write: Write, urgency: Urgency) -> None:
        """Call ``write`` now, or when its turn comes."""
        assert self._loop is not None, "no session has begun"
        if not self.is_holding and self._bucket.take(self._loop.time()):
            write()
            return
        heapq.heappush(self._held, (urgency, next(self._count), write))
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._timer = self._loop.call_later(self._bucket.wait(self._loop.time()), self._go_on)

    def _go_on(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._timer = None
        while self.is_holding and self._bucket.take(self._loop.time()):
            heapq.heappop(self._held)[2]()
        if self.is_holding and self._timer is None:
            self._wait()
