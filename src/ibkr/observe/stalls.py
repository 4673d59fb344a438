"""What goes to the log of an event loop that was blocked."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Callable

_logger = logging.getLogger("ibkr.connector")
_STALLS_EVERY = 60.0


class StallLog:
    """A sink for the seconds that an event loop was blocked: a WARNING a minute, and one for each that was longer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = -math.inf
        self._longest = 0.0
        self._untold = 0

    def __call__(self, seconds: float) -> None:
        now = self._clock()
        if now - self._told_at >= _STALLS_EVERY:
            self._longest = 0.0
        if seconds <= self._longest:
            self._untold += 1
            _logger.debug("The event loop was blocked for %.1f s again (%d)", seconds, self._untold)
            return
        before = f" ({self._untold} times more since this was last told)" if self._untold else ""
        self._told_at, self._longest, self._untold = now, seconds, 0
        _logger.warning(
            "The event loop was blocked, or not run, for %.1f s: nothing was received or sent in that time, it does not"
            " count as silence of the gateway. Look for time.sleep() or long work in the loop's thread%s",
            seconds,
            before,
        )


_stalls: weakref.WeakKeyDictionary[object, StallLog] = weakref.WeakKeyDictionary()


def tell_stall(loop: object, seconds: float) -> None:
    """Log a blockage of this event loop, once for however many connectors live in it."""
    _stalls.setdefault(loop, StallLog())(seconds)
