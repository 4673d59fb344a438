"""Single streams: ended by the gateway, or withheld."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.events import LostStream, SubscriptionsChanged
from ibkr.core.frozen_record import replace
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import Feed

AAPL = LostStream(1, Feed.MARKET, "AAPL (10182: failed)")
BARS = LostStream(2, Feed.HISTORY, "AAPL bars (10182: failed)")


def ended(rig, *streams: LostStream) -> None:
    rig.event(SubscriptionsChanged(rig.attempt, 0, (), streams))


# --- ended ---------------------------------------------------------------------------------------


def test_what_the_gateway_ends_is_requested_again_at_once(ready):
    ended(ready, AAPL, BARS)
    assert ready.orders == [do.RequestStreams(1, (1, 2))]
    assert (ready.state, ready.published) == (S.READY, [])


def test_a_stream_that_keeps_ending_is_requested_once_a_second(ready):
    for number in range(5):
        ended(ready, LostStream(number, Feed.MARKET, "AAPL"))
        ready.advance(0.1)
    assert ready.asked == [(0,)]
    assert (ready.state, ready.status.reason) == (S.DEGRADED, "subscriptions ended by the gateway: AAPL")
    assert ready.status.may_trade
    ready.advance(0.5)
    assert ready.asked == [(0,), (4,)]
    assert ready.state is S.READY


@pytest.mark.parametrize(("down", "back"), [((1100,), (1102,)), ((2103, "usfarm"), (2104, "usfarm"))])
def test_it_is_requested_when_upstream_and_farm_are_up(ready, down, back):
    ready.code(*down)
    ended(ready, AAPL)
    assert ready.asked == []
    assert ready.state is S.DEGRADED
    ready.code(*back)
    ready.answer()
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


def test_what_restore_asks_for_is_not_requested_twice(rig):
    rig.subscriptions = 1
    rig.connect()
    rig.open_session()
    rig.event(SubscriptionsChanged(1, 1, (), (AAPL,)))
    rig.code(2104, "usfarm")
    rig.answer()
    assert rig.asked == [], "the restore has told nothing of it"


def test_after_1101_all_is_requested_anyway(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ready.code(1101)
    assert ready.orders[:2] == [do.SendStartupRequests(1), do.RestoreSubscriptions(1, same_session=True)]
    ready.answer()
    assert ready.asked == []


def test_cancelled_by_the_caller_it_is_requested_no_more(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ended(ready)
    ready.code(1102)
    assert ready.asked == []


# --- withheld, too fast --------------------------------------------------------------------------


def test_a_competing_session_is_reported_and_loses_nothing(ready):
    ready.event(
        SubscriptionsChanged(1, 0, withheld=(LostStream(1, Feed.MARKET, "AAPL"), LostStream(2, Feed.MARKET, "MSFT")))
    )
    assert ready.state is S.READY
    assert ready.status.reason == (
        "session and upstream up; market data withheld while this user is logged in elsewhere (10197): AAPL, MSFT"
    )
    ready.event(SubscriptionsChanged(1, 0))
    assert ready.status.reason == "session and upstream up"
    assert ready.asked == []


def test_too_many_messages_are_counted_slowed_and_said(ready):
    ready.code(100)
    assert ready.orders == [do.ReduceSendRate(1)]
    assert ready.status.reason.endswith("the gateway reported once that messages come too fast (100)")
    ready.code(100)
    assert ready.status.reason.endswith("the gateway reported 2 times that messages come too fast (100)")
    assert ready.state is S.READY


# --- refused, silent: asked for again with growing waits --------------------------------------------


def lost(rig, **streams: LostStream) -> None:
    """The session reports these streams: ``refused=``, ``silent=`` ..."""
    rig.event(SubscriptionsChanged(rig.attempt, 0, **{name: (stream,) for name, stream in streams.items()}))


def refused(tries: int, **more: object) -> LostStream:
    return LostStream(1, Feed.MARKET, "AAPL (200: unknown)", 200, tries, **more)


def test_what_is_refused_is_requested_again_with_waits_that_double_and_end_in_five_minutes(ready):
    ready.answers_probes = True
    waits = []
    for tries in range(1, 11):
        lost(ready, refused=refused(tries))
        assert ready.state is S.DEGRADED
        since, asked = ready.mono, len(ready.asked)
        while len(ready.asked) == asked:
            ready.advance(0.5)
        waits.append(ready.mono - since)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 300, 300, 300], abs=1)
    lost(ready)
    assert ready.state is S.READY
    ready.advance(600)
    assert len(ready.asked) == 10


def test_refused_when_first_requested_it_is_reported_and_no_outage(ready):
    lost(ready, refused=refused(1, ran=False))
    assert ready.state is S.READY
    assert ready.status.reason.endswith("; subscriptions refused for now, and requested again: AAPL (200: unknown)")


def test_silent_is_reported_and_no_outage(ready):
    lost(ready, silent=LostStream(1, Feed.MARKET, "AAPL", None, 1, 1005.0))
    assert ready.published == [], "it was asked for once"
    ready.advance(4.9)
    assert ready.asked == []
    ready.advance(0.2)
    assert ready.asked == [(1,)]
    lost(ready, silent=LostStream(1, Feed.MARKET, "AAPL", None, 2, 1010.0))
    assert ready.state is S.READY
    assert ready.status.reason == "session and upstream up; silent since they were requested again: AAPL"


def test_requested_again_and_not_refused_for_a_second_it_is_taken(ready):
    lost(ready, refused=refused(2, is_asked=True))
    assert ready.state is S.DEGRADED
    ready.advance(1.1)
    assert ready.asked == [(1,)], "which the session takes for that"


def test_what_is_withheld_is_requested_now_and_then(ready):
    ready.answers_probes = True
    lost(ready, withheld=LostStream(1, Feed.MARKET, "AAPL"))
    ready.advance(59)
    assert ready.asked == []
    ready.advance(2)
    assert ready.asked == [(1,)]


@pytest.mark.parametrize(("down", "back"), [((1100,), (1102,)), ((2103, "usfarm"), (2104, "usfarm"))])
def test_what_is_back_has_it_requested_at_once_and_counted_again(ready, down, back):
    ready.answers_probes = True
    ready.code(*down)
    lost(ready, refused=refused(9), silent=LostStream(2, Feed.HISTORY, "bars", None, 9))
    ready.advance(10)
    ready.forget()
    ready.code(*back)
    keys = (1, 2) if back == (1102,) else (1,)
    assert [order for order in ready.orders if isinstance(order, do.RequestStreams)] == [
        do.RequestStreams(1, keys, anew=True)
    ]


@pytest.mark.parametrize(("down", "back"), [((1100,), (1102,)), ((2105, "ushmds"), (2106, "ushmds"))])
def test_what_the_gateway_has_ended_often_is_requested_at_once_when_its_farm_or_upstream_is_back(ready, down, back):
    ready.answers_probes = True
    ready.code(*down)
    ended(ready, replace(BARS, tries=9))
    ready.advance(10)
    ready.forget()
    ready.code(*back)
    assert [order for order in ready.orders if isinstance(order, do.RequestStreams)] == [
        do.RequestStreams(1, (2,), anew=True)
    ]
    ended(ready, replace(BARS, tries=1))
    asked = len(ready.asked)
    ready.advance(0.9)
    assert len(ready.asked) == asked
    ready.advance(0.2)
    assert len(ready.asked) == asked + 1, "the waits begin again"


def test_bars_whose_updates_another_farm_delivers_are_requested_when_that_farm_is_back(ready):
    """The farm of historical bars sends the bars. The farm of market data sends their updates."""
    ready.code(2103, "usfarm")
    ended(ready, replace(BARS, tries=9))
    ready.code(2104, "usfarm")
    assert ready.asked == [(2,)]


@pytest.mark.parametrize("how", ["refused", "ended"])
def test_a_farm_that_connects_on_demand_is_back(ready, how):
    """It stays inactive (2108) until something is requested from it."""
    ready.answers_probes = True
    ready.code(2108, "usfarm")
    ready.code(2103, "usfarm")
    lost(ready, **{how: refused(9)})
    ready.code(2108, "usfarm")
    assert ready.asked == [(1,)]
    lost(ready, **{how: refused(9)})
    ready.code(2108, "usfarm")
    ready.advance(2)
    assert ready.asked == [(1,)], "a second notice tells nothing new"


@pytest.mark.parametrize("how", ["refused", "ended"])
def test_pacing_holds_back_even_what_is_back(ready, how):
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    lost(ready, **{how: refused(9, earliest=1015.0)})
    ready.code(2104, "usfarm")
    ready.advance(14.9)
    assert ready.asked == []
    ready.advance(0.2)
    assert ready.asked == [(1,)]


def test_a_returned_and_an_ended_stream_are_requested_together(ready):
    ready.code(1100)
    ready.event(SubscriptionsChanged(1, 0, (refused(9),), (LostStream(2, None, "PnL (321: no)", 321),)))
    ready.forget()
    ready.code(1102)
    assert [(order.req_ids, order.anew) for order in ready.orders if isinstance(order, do.RequestStreams)] == [
        ((1, 2), True)
    ]


def test_a_farm_that_stays_broken_may_be_that_of_other_streams(ready):
    ready.answers_probes = True
    ready.code(2103, "hkfarm")
    ended(ready, AAPL)
    ready.advance(59)
    assert ready.asked == []
    ready.advance(2)
    assert ready.asked == [(1,)]


@pytest.mark.parametrize(("refused_in", "taken_after"), [(0.1, 1.0), (1.3, 2.6)])
def test_a_refused_stream_is_accepted_only_after_the_time_that_its_refusals_take(ready, refused_in, taken_after):
    asked = LostStream(1, Feed.MARKET, "AAPL (200)", 200, 2, is_asked=True, refused_in=refused_in)
    ready.event(SubscriptionsChanged(ready.attempt, 1, (asked,)))
    ready.advance(taken_after - 0.1)
    assert ready.asked == []
    ready.advance(0.2)
    assert ready.asked == [(1,)]
