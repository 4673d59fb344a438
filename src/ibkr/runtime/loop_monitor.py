"""Detects that an event loop was blocked or that the computer slept.

Each loop has one timer, even if many connectors use it.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Protocol

PERIOD = 0.4
"""Seconds between checks. Waking up a sleeping process is most of the work of an idle connector."""

_BLOCKED = 0.5
"""Seconds. Every longer blockage is detected; some shorter ones are, too."""
_CLOCK_JUMP = 1.0


class MonitorListener(Protocol):
    """Is called after a blockage or a clock jump."""

    def blocked(self, seconds: float) -> None:
        """The loop did not run for this many seconds, accurate to half a period."""

    def jumped(self, seconds: float) -> None:
        """The wall clock moved ahead of the monotonic clock by this many seconds."""


_monitors: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopMonitor] = weakref.WeakKeyDictionary()


def monitor_of(loop: asyncio.AbstractEventLoop) -> LoopMonitor:
    """The monitor of a loop. It checks the loop while it has listeners."""
    if loop not in _monitors:
        _monitors[loop] = LoopMonitor(loop)
    return _monitors[loop]


class LoopMonitor:
    """Checks one loop periodically while it has listeners.

    ``checked_at`` is the wall time of the last check, in seconds since the epoch.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A strong reference would keep the loop in the dictionary forever.
        self._loop = weakref.ref(loop)
        self._listeners: dict[MonitorListener, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop_time = self.checked_at = 0.0

    def add(self, listener: MonitorListener) -> None:
        """Add a listener."""
        self._listeners[listener] = None
        if self._timer is None:
            self._schedule_check()

    def remove(self, listener: MonitorListener) -> None:
        """Remove a listener."""
        self._listeners.pop(listener, None)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule_check(self) -> None:
        loop = self._loop()
        assert loop is not None, "a timer of the loop has fired"
        self._loop_time, self.checked_at = loop.time(), time.time()
        self._timer = loop.call_at(self._loop_time + PERIOD, self._check)

    def _check(self) -> None:
        loop = self._loop()
        assert loop is not None, "a timer of the loop has fired"
        passed, by_wall = loop.time() - self._loop_time, time.time() - self.checked_at
        self._schedule_check()
        if passed < _BLOCKED and by_wall - passed <= _CLOCK_JUMP:
            return
        for listener in list(self._listeners):
            if passed >= _BLOCKED:
                listener.blocked(passed - PERIOD / 2)  # the blockage began somewhere between two checks
            if by_wall - passed > _CLOCK_JUMP:
                listener.jumped(by_wall - passed)
