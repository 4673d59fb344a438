"""``TokenBucket``: limits how many messages are sent per second."""

from __future__ import annotations

import math

# Added to the tokens: without it, rounding could leave slightly less than one token after the wait.
_HAIR = 1e-9


class TokenBucket:
    """Has up to ``burst`` tokens, and gets ``rate`` new ones per second. In any second, at most their sum is taken.

    Times are monotonic seconds and never decrease.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = -math.inf

    def take(self, now: float, *, may_owe: bool = False) -> bool:
        """Take a token if there is one. ``may_owe``: take it in any case, and owe at most the tokens of one second."""
        self._fill(now)
        if self._tokens < 1.0 and not may_owe:
            return False
        self._tokens = max(self._tokens - 1.0, -self.rate)
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def _fill(self, now: float) -> None:
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self.rate + _HAIR)
        self._at = now
