"""The rate limiter: sends every message no faster than the gateway allows, urgent messages first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

from ibkr.core.priority import Priority
from ibkr.core.token_bucket import TokenBucket

# Messages per second: the lowest rate that the limiter uses. The limiter slows down because IB disconnects a client
# that keeps sending too fast. But with a lower rate than this, nothing would work.
_SLOWEST = 5.0
_WINDOW = 1.1
"""The gateway's limit is counted over this many seconds: a little more than one second, because messages may arrive at
shorter intervals than they were sent.
"""


_IMMEDIATE = (Priority.ORDER, Priority.BROKER_STATE)
"""For these priorities, only the gateway's limit applies, not the usual rate. Other messages wait for these."""


class _Waiting(NamedTuple):
    """A waiting message. The heap sorts by the first two fields; numbers are unique."""

    urgency: Priority
    number: int
    write: Callable[[], object]
    drop: Callable[[str], None] | None
    group: Hashable
    refusal: Callable[[], str] | None


class RateLimiter:
    """Sends messages by priority, then in order of their requests, as fast as the gateway allows.

    Orders and cancels are sent immediately while fewer than ``limit`` messages were sent in the last second. For all
    other messages the limit is ``rate`` messages a second, and ``burst`` messages together after a pause. Orders are
    counted in this rate, so other messages wait for orders. A gateway counts per connection, so each session starts
    with a new count. Waiting messages of one ``group`` are sent together, with nothing in between, or not at all.
    """

    def __init__(self, rate: float, burst: int, limit: int = 0) -> None:
        self._rate, self._burst = rate, burst
        self._usual_limit = max(limit, math.ceil(rate) + burst)
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._start()

    def _start(self) -> None:
        self._bucket = TokenBucket(self._rate, self._burst)
        self._limit = self._usual_limit
        self._sent: deque[float] = deque()

    @property
    def rate(self) -> float:
        """The current rate in messages a second. Orders may be sent faster."""
        return self._bucket.rate

    @property
    def has_waiting(self) -> bool:
        """Whether any message is waiting."""
        return bool(self._waiting)

    @property
    def has_waiting_orders(self) -> bool:
        """Whether an order or a cancel is waiting."""
        return bool(self._waiting) and self._waiting[0].urgency is Priority.ORDER

    def begin(self) -> None:
        """Begin a session in the running loop, at the usual rate."""
        self.end()
        self._loop = asyncio.get_running_loop()
        self._start()

    def end(self) -> None:
        """End the session: drop the waiting messages."""
        message, self._waiting = sorted(self._waiting), []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for each in message:
            _drop(each, "the session has ended")
        self._wake_waiters()

    def send_orders_now(self) -> None:
        """Write waiting orders and cancels now, even above the limit: the session is about to end."""
        while self.has_waiting_orders:
            self._write_group(self._next_group())
        self._wake_waiters()

    async def wait_orders_sent(self) -> None:
        """Wait until no order or cancel is waiting: all were sent, or the session has ended."""
        while self.has_waiting_orders:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def slow_down(self) -> None:
        """Halve the rate for the rest of this session. Orders slow down less: a cancel must not wait for long."""
        self._bucket.rate = max(_SLOWEST, self._bucket.rate / 2)
        self._limit = max(math.ceil(self._usual_limit / 2), self._limit * 4 // 5)

    def count_sent(self) -> None:
        """Count a message that was written without the limiter."""
        self._sent.append(self._now())

    def send(
        self,
        write: Callable[[], object],
        urgency: Priority,
        drop: Callable[[str], None] | None = None,
        group: Hashable = None,
        refusal: Callable[[], str] | None = None,
    ) -> None:
        """Send a message now, or when the rate allows it.

        Args:
            write: Writes the message.
            urgency: Its priority.
            drop: Called instead of ``write``, with the reason, if the message is refused or the session has ended.
            group: Waiting messages of the same group are sent together. ``None``: the message has no group.
            refusal: Called right before ``write``. Returns why the message must not be sent, or an empty text.
        """
        is_first = not self._waiting or self._waiting[0].urgency > urgency
        message = _Waiting(urgency, next(self._numbers), write, drop, group, refusal)
        if is_first and self._delay(urgency, self._now()) <= 0:
            if reason := _refusal([message]):
                _drop(message, reason)
            else:
                self._write(message)
            return
        heapq.heappush(self._waiting, message)
        if is_first:
            self._start_timer()

    def _write(self, message: _Waiting) -> None:
        now = self._now()
        self._sent.append(now)  # before the write: a listener of the library's throttle events may send, too
        self._bucket.take(now, may_owe=message.urgency in _IMMEDIATE)
        message.write()

    def _delay(self, urgency: Priority, now: float, number: int = 1) -> float:
        """Seconds until ``number`` messages of this priority, but not more than the limit, may be sent together."""
        sent = self._sent
        while sent and now - sent[0] >= _WINDOW:
            sent.popleft()
        too_many = len(sent) + min(number, self._limit) - self._limit
        delay = sent[too_many - 1] + _WINDOW - now if too_many > 0 else 0.0
        return delay if urgency in _IMMEDIATE else max(delay, self._bucket.wait(now))

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._loop is not None, "no session has begun"
        self._timer = self._loop.call_later(
            self._delay(self._waiting[0].urgency, self._now(), len(self._next_group())), self._send_due
        )

    def _send_due(self) -> None:
        self._timer = None
        try:
            self._write_due()
        finally:  # also if one message cannot be written
            if self._waiting and self._timer is None:
                self._start_timer()
            self._wake_waiters()

    def _write_due(self) -> None:
        while self._waiting:
            group = self._next_group()
            if self._delay(self._waiting[0].urgency, self._now(), len(group)) > 0:
                break
            self._write_group(group)

    def _write_group(self, group: list[_Waiting]) -> None:
        """Write these waiting messages. If one of them must not be sent, drop all of them."""
        reason = _refusal(group)
        for message in group:
            if message not in self._waiting:  # a listener of the last write has ended the session
                return
            self._waiting.remove(message)
            heapq.heapify(self._waiting)
            if reason:
                _drop(message, reason)
            else:
                self._write(message)

    def _next_group(self) -> list[_Waiting]:
        """The messages that are sent next: the first waiting message, and the others of its group."""
        first = self._waiting[0]
        return [first] if first.group is None else sorted(each for each in self._waiting if each.group == first.group)

    def _wake_waiters(self) -> None:
        if self._waiters and not self.has_waiting_orders:
            for waiter in self._waiters:
                if not waiter.done() and not waiter.get_loop().is_closed():
                    waiter.set_result(None)

    def _now(self) -> float:
        assert self._loop is not None, "no session has begun"
        return self._loop.time()


def _refusal(group: list[_Waiting]) -> str:
    """Why one of these messages must not be sent, or an empty text."""
    reasons = (each.refusal() for each in group if each.refusal is not None)
    return next(filter(None, reasons), "")


def _drop(message: _Waiting, why: str) -> None:
    if message.drop is not None:
        message.drop(why)
