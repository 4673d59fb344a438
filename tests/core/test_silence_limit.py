"""How long a stream that used to tick may be silent."""

from __future__ import annotations

import pytest

from ibkr.core.policy import Policy
from ibkr.core.silence_limit import silence_limit

POLICY = Policy()
LOST = 1000.0


def every(seconds: float, number: int, until: float = LOST) -> list[float]:
    return [until - seconds * each for each in reversed(range(number))]


def test_ten_ticks_in_five_minutes_are_missed() -> None:
    assert silence_limit(every(0.1, 10), LOST, POLICY) == 5.0
    assert silence_limit(every(0.1, 9), LOST, POLICY) is None
    assert silence_limit([], LOST, POLICY) is None


def test_a_slow_one_may_be_silent_for_five_times_its_median() -> None:
    assert silence_limit(every(20.0, 12), LOST, POLICY) == pytest.approx(100.0)
    uneven = [*every(0.1, 11, LOST - 200), LOST - 100, LOST]
    assert silence_limit(uneven, LOST, POLICY) == 5.0


def test_what_ticked_earlier_or_after_the_problem_began_does_not_count() -> None:
    assert silence_limit(every(0.1, 50, LOST - 301), LOST, POLICY) is None
    assert silence_limit(every(0.1, 50, LOST + 60), LOST, POLICY) is None
    assert silence_limit([*every(0.1, 10), LOST + 1, LOST + 2], LOST, POLICY) == 5.0


def test_a_single_tick_may_be_enough() -> None:
    assert silence_limit([LOST], LOST, Policy(stream_ticks=1)) == 5.0
