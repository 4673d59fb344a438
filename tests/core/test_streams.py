"""Single streams: ended by the gateway, or withheld."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.facts import EndedStream, SubscriptionsMoved
from ibkr.core.state import ConnectionState as S
from ibkr.core.state import Feed

AAPL = EndedStream(1, Feed.MARKET, "AAPL (10182: failed)")
BARS = EndedStream(2, Feed.HISTORY, "AAPL bars (10182: failed)")


def ended(rig, *streams: EndedStream) -> None:
    rig.fact(SubscriptionsMoved(rig.attempt, 0, (), streams))


# --- ended ---------------------------------------------------------------------------------------


def test_what_the_gateway_ends_is_asked_for_again_at_once(ready):
    ended(ready, AAPL, BARS)
    assert ready.orders == [do.AskStreams(1, (1, 2))]
    assert (ready.state, ready.published) == (S.READY, [])


def test_again_and_again_it_is_asked_for_once_a_second(ready):
    for number in range(5):
        ended(ready, EndedStream(number, Feed.MARKET, "AAPL"))
        ready.advance(0.1)
    assert ready.asked == [(0,)]
    assert (ready.state, ready.status.reason) == (S.DEGRADED, "subscriptions ended by the gateway: AAPL")
    assert ready.status.may_trade
    ready.advance(0.5)
    assert ready.asked == [(0,), (4,)]
    assert ready.state is S.READY


@pytest.mark.parametrize(("down", "back"), [((1100,), (1102,)), ((2103, "usfarm"), (2104, "usfarm"))])
def test_it_is_asked_for_when_upstream_and_farm_are_up(ready, down, back):
    ready.code(*down)
    ended(ready, AAPL)
    assert ready.asked == []
    assert ready.state is S.DEGRADED
    ready.code(*back)
    assert ready.asked == [(1,)]
    assert ready.state is S.READY


@pytest.mark.parametrize("code", [2108, 2119])
def test_a_farm_that_is_broken_no_more_is_enough(ready, code):
    ready.code(2103, "usfarm")
    ended(ready, AAPL)
    ready.code(code, "usfarm")
    assert ready.asked == [(1,)]
    assert ready.state is S.READY


def test_a_farm_of_another_kind_does_not_matter(ready):
    ready.code(2105, "ushmds")
    ended(ready, AAPL, BARS)
    assert ready.asked == [(1,)]
    ready.code(2106, "ushmds")
    assert ready.asked == [(1,)], "a second has not passed"
    ready.advance(1)
    assert ready.asked == [(1,), (2,)]


def test_what_restore_asks_for_is_not_asked_for_twice(rig):
    rig.connect()
    rig.open_session()
    ended(rig, AAPL)
    assert rig.asked == []
    rig.code(2104, "usfarm")
    rig.answer()
    assert rig.asked == [], "the restore has told nothing of it"


def test_after_1101_all_is_asked_for_anyway(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ready.code(1101)
    assert ready.orders == [do.StartUp(1)]
    ready.answer()
    assert ready.asked == []


def test_cancelled_by_the_caller_it_is_asked_for_no_more(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ended(ready)
    ready.code(1102)
    assert ready.asked == []


# --- withheld, too fast --------------------------------------------------------------------------


def test_a_competing_session_is_told_and_loses_nothing(ready):
    ready.fact(SubscriptionsMoved(1, 0, withheld=("AAPL", "MSFT")))
    assert ready.state is S.READY
    assert ready.status.reason == (
        "session and upstream up; market data withheld while this user is logged in elsewhere (10197): AAPL, MSFT"
    )
    ready.fact(SubscriptionsMoved(1, 0))
    assert ready.status.reason == "session and upstream up"
    assert ready.asked == []


def test_too_many_messages_are_counted_slowed_and_said(ready):
    ready.code(100)
    assert ready.orders == [do.SlowDown(1)]
    assert ready.status.reason.endswith("the gateway said once that messages come too fast (100)")
    ready.code(100)
    assert ready.status.reason.endswith("the gateway said 2 times that messages come too fast (100)")
    assert ready.state is S.READY
