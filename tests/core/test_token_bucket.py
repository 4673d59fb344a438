"""The token bucket: a burst, then a rate, and never more than their sum in a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.core.priority import Priority, priority_of
from ibkr.core.token_bucket import TokenBucket


def test_a_burst_then_one_each_fortieth_of_a_second() -> None:
    bucket = TokenBucket(40.0, 8)
    assert [bucket.take(100.0) for _ in range(9)] == [True] * 8 + [False]
    assert bucket.wait(100.0) == pytest.approx(0.025)
    assert not bucket.take(100.024)
    assert bucket.take(100.025)
    assert not bucket.take(100.025)


def test_a_pause_fills_it_to_the_burst_and_no_further() -> None:
    bucket = TokenBucket(40.0, 8)
    assert bucket.take(0.0)
    assert bucket.wait(3600.0) == 0.0
    assert sum(bucket.take(3600.0) for _ in range(20)) == 8


def test_the_rate_may_change() -> None:
    bucket = TokenBucket(40.0, 1)
    assert bucket.take(0.0)
    bucket.rate = 5.0
    assert bucket.wait(0.0) == pytest.approx(0.2)


@given(st.lists(st.floats(0, 0.3), max_size=200))
def test_never_more_than_burst_and_rate_in_any_second(gaps: list[float]) -> None:
    bucket, now, taken = TokenBucket(40.0, 8), 0.0, []
    for gap in gaps:
        now += gap
        while bucket.take(now):
            taken.append(now)
        assert bucket.take(now + bucket.wait(now)), "the wait is long enough"
        taken.append(now := now + bucket.wait(now))
    for start in taken:
        assert sum(start <= at < start + 1 for at in taken) <= 48


@pytest.mark.parametrize(
    ("message", "urgency"),
    [
        ("3\x001\x00", Priority.ORDER),
        ("4\x001\x00", Priority.ORDER),
        ("58\x001\x00", Priority.ORDER),
        ("1\x0011\x00", Priority.OTHER),
        ("49\x001\x00", Priority.PROBE),
        ("7\x003\x00", Priority.BROKER_STATE),
        ("", Priority.OTHER),
    ],
)
def test_orders_and_their_cancels_go_first(message: str, urgency: Priority) -> None:
    assert priority_of(message) is urgency
    assert sorted(Priority) == [Priority.ORDER, Priority.PROBE, Priority.BROKER_STATE, Priority.OTHER]
