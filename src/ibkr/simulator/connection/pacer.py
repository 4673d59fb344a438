"""How many messages a second the gateway takes from one client, and what it does with those above."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ibkr.simulator.faults.conditions import OnRate
from ibkr.simulator.session import Session

log = logging.getLogger("ibkr.simulator")

BREACHES = 3
"""Rejected bursts after which TWS cuts the connection."""

MAX_WAITING = 1024 * 1024
"""Bytes of messages that may wait; with more, nothing more is read."""


class Pacer:
    """Hands the messages of one client to `handle` in their order, as the gateway's limit allows."""

    def __init__(self, client: Session, handle: Callable[[bytes], None]) -> None:
        self._client = client
        self._handle = handle
        self._queue: deque[bytes] = deque()
        self._taken: deque[float] = deque()
        self._breaches = 0
        self._breached_at = -1.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether messages wait for the rate."""
        return bool(self._queue)

    def put(self, bodies: list[bytes]) -> None:
        """Messages have come."""
        self._queue.extend(bodies)
        self.go_on()
        if self._queue and sum(map(len, self._queue)) > MAX_WAITING:
            self._client.transport.pause_reading()

    def go_on(self) -> None:
        """Hand on what may be; the rest, later."""
        self.stop()
        limit, loop = self._client.hub.rate_limit, self._client.hub.loop
        while self._queue and self._client.is_reading:
            now = loop.time()
            while self._taken and self._taken[0] <= now - 1:
                self._taken.popleft()
            if limit.on_rate == OnRate.OFF:
                self._handle(self._queue.popleft())
            elif len(self._taken) < limit.rate:
                self._taken.append(now)
                self._handle(self._queue.popleft())
            elif limit.on_rate == OnRate.REJECT:
                self._queue.popleft()
                self._reject(limit.rate, now)
            else:
                self._timer = loop.call_at(self._taken[0] + 1, self._caught_up)
                return

    def stop(self) -> None:
        """No more is handed on by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _caught_up(self) -> None:
        self.go_on()
        if self._queue or not self._client.is_reading:
            return
        if self._client.has_left:
            self._client.close()
        else:
            self._client.transport.resume_reading()

    def _reject(self, rate: int, now: float) -> None:
        if now < self._breached_at + 1:  # the same burst
            return
        self._breached_at = now
        self._breaches += 1
        # As users quote it: Lean pull request 913; that the third one is the last: ib_insync pull request 35.
        text = f"Max rate of messages per second has been exceeded:max={rate} rec={rate + 1} ({self._breaches})"
        self._client.send_error(-1, 100, text)
        if self._breaches == BREACHES:
            log.warning("client %s cut: over %s messages a second, %s times", self._client.client_id, rate, BREACHES)
            self._client.close()
