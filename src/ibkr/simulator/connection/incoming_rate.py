"""The limit on messages per second from one client, and what happens to messages above it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ibkr.simulator.faults.conditions import OnRate
from ibkr.simulator.gateway_state import ClientSession

log = logging.getLogger("ibkr.simulator")

BREACHES = 3
"""TWS closes the connection at this number of rejected bursts."""

MAX_WAITING = 1024 * 1024
"""Bytes of messages that may wait. If more wait, the gateway stops reading."""


class IncomingRateLimiter:
    """Passes the messages of one client to `handle` in order, within the rate limit."""

    def __init__(self, client: ClientSession, handle: Callable[[bytes], None]) -> None:
        self._client = client
        self._handle = handle
        self._queue: deque[bytes] = deque()
        self._handled_at: deque[float] = deque()
        self._breaches = 0
        self._breached_at = -1.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_waiting(self) -> bool:
        """Whether messages wait for the rate limit."""
        return bool(self._queue)

    def put(self, bodies: list[bytes]) -> None:
        """Add received messages."""
        self._queue.extend(bodies)
        self.process_queue()
        if self._queue and sum(map(len, self._queue)) > MAX_WAITING:
            self._client.transport.pause_reading()

    def process_queue(self) -> None:
        """Handle as many messages as the limit allows, and schedule the rest."""
        self.stop()
        limit, loop = self._client.state.rate_limit, self._client.state.loop
        while self._queue and self._client.is_reading:
            now = loop.time()
            while self._handled_at and self._handled_at[0] <= now - 1:
                self._handled_at.popleft()
            if limit.on_rate == OnRate.OFF:
                self._handle(self._queue.popleft())
            elif len(self._handled_at) < limit.rate:
                self._handled_at.append(now)
                self._handle(self._queue.popleft())
            elif limit.on_rate == OnRate.REJECT:
                self._queue.popleft()
                self._reject(limit.rate, now)
            else:
                self._timer = loop.call_at(self._handled_at[0] + 1, self._resume)
                return

    def stop(self) -> None:
        """Cancel the timer for waiting messages."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _resume(self) -> None:
        self.process_queue()
        if self._queue or not self._client.is_reading:
            return
        if self._client.has_left:
            self._client.close()
        else:
            self._client.transport.resume_reading()

    def _reject(self, rate: int, now: float) -> None:
        if now < self._breached_at + 1:  # the message belongs to the same burst, so it is not a new breach
            return
        self._breached_at = now
        self._breaches += 1
        # Sources: Lean pull request 913 for the text, and ib_insync pull request 35 for the end at the third breach.
        text = f"Max rate of messages per second has been exceeded:max={rate} rec={rate + 1} ({self._breaches})"
        self._client.send_error(-1, 100, text)
        if self._breaches == BREACHES:
            name = self._client.client_id
            log.warning("client %s disconnected: over %s messages a second, %s times", name, rate, BREACHES)
            self._client.close()
