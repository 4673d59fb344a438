"""How long a stream that used to tick may be silent."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from ibkr.core.policy import Policy


def patience_for(ticks: Iterable[float], trouble_since: float, policy: Policy) -> float | None:
    """Seconds of silence that a stream with these tick times deserves once its trouble is over.

    None: it ticked too seldom in the time before the trouble to be missed. Times are monotonic seconds, in order.
    """
    before = [tick for tick in ticks if trouble_since - policy.stream_history <= tick <= trouble_since]
    if len(before) < policy.stream_ticks:
        return None
    usual = _median([later - tick for tick, later in pairwise(before)]) if len(before) > 1 else 0.0
    return max(policy.stream_silence, policy.stream_silence_factor * usual)


def _median(values: list[float]) -> float:
    """To import ``statistics``, and with it fractions, would be a good part of what it costs to import all of this."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
