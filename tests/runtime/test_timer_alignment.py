"""align_due lets the timers of many connectors fire at the same time, so that their loop wakes up only once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibkr.runtime.driver import align_due


@given(st.floats(0, 1e7), st.floats(1e-4, 100))
def test_never_earlier_and_no_more_than_the_slack_later(due: float, slack: float) -> None:
    assert due - 1e-6 <= align_due(due, slack) <= due + slack + 1e-6


@given(st.floats(0, 1e7))
def test_two_hundred_within_a_second_wake_the_loop_some_twenty_times(began: float) -> None:
    assert len({align_due(began + each / 200, 0.05) for each in range(200)}) <= 22


def test_what_must_be_on_time_is() -> None:
    assert align_due(12.34, 0.0) == 12.34
