"""How many messages may be sent now: a bucket of tokens that fills at a rate."""

from __future__ import annotations

import math

# What is lost to rounding must not make the wait for a token end just before it.
_HAIR = 1e-9


class Bucket:
    """Holds up to ``burst`` tokens, ``rate`` new ones a second. In any second no more than their sum are taken.

    Times are monotonic seconds; they never go back.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = -math.inf

    def take(self, now: float, *, may_owe: bool = False) -> bool:
        """Take a token, if there is one. With ``may_owe`` take it in any case, and owe at most a second's worth."""
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
