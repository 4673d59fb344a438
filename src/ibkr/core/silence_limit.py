"""How long a stream that ticked before may be silent."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from ibkr.core.policy import Policy


def silence_limit(ticks: Iterable[float], trouble_since: float, policy: Policy) -> float | None:
    """Seconds until a stream with these tick times is called silent, once upstream or its farm is back.

    ``None``: the stream ticked too rarely before the loss. Times are monotonic seconds, in order.
    """
    before = [tick for tick in ticks if trouble_since - policy.stream_history <= tick <= trouble_since]
    if len(before) < policy.stream_ticks:
        return None
    usual = _median([later - tick for tick, later in pairwise(before)]) if len(before) > 1 else 0.0
    return max(policy.stream_silence, policy.stream_silence_factor * usual)


def _median(values: list[float]) -> float:
    """Return the median. The module ``statistics`` would take a large part of our import time."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
