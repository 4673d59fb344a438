"""Single streams: ended by the gateway, withheld, or silent although what they come over is back."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.facts import EndedStream, StreamsWatched, SubscriptionsMoved, Timer, WatchedStream
from ibkr.core.state import ConnectionState as S
from ibkr.core.state import Feed

AAPL = EndedStream(1, Feed.MARKET, "AAPL (10182: failed)")
BARS = EndedStream(2, Feed.HISTORY, "AAPL bars (10182: failed)")


def ended(rig, *streams: EndedStream) -> None:
    rig.fact(SubscriptionsMoved(rig.attempt, 0, (), streams))


def asked(rig) -> list[tuple[int, ...]]:
    return [order.req_ids for order in rig.orders if isinstance(order, do.AskStreams)]


# --- ended ---------------------------------------------------------------------------------------


def test_what_the_gateway_ends_is_asked_for_again_at_once(ready):
    ended(ready, AAPL, BARS)
    assert ready.orders == [do.AskStreams(1, (1, 2))]
    assert (ready.state, ready.published) == (S.READY, [])


def test_again_and_again_it_is_asked_for_once_a_second(ready):
    for number in range(5):
        ended(ready, EndedStream(number, Feed.MARKET, "AAPL"))
        ready.advance(0.1)
    assert asked(ready) == [(0,)]
    assert (ready.state, ready.status.reason) == (S.DEGRADED, "subscriptions ended by the gateway: AAPL")
    assert ready.status.may_trade
    ready.advance(0.5)
    assert asked(ready) == [(0,), (4,)]
    assert ready.state is S.READY


@pytest.mark.parametrize(("down", "back"), [((1100,), (1102,)), ((2103, "usfarm"), (2104, "usfarm"))])
def test_it_is_asked_for_when_upstream_and_farm_are_up(ready, down, back):
    ready.code(*down)
    ended(ready, AAPL)
    assert asked(ready) == []
    assert ready.state is S.DEGRADED
    ready.code(*back)
    assert asked(ready) == [(1,)]
    assert ready.state is S.READY


@pytest.mark.parametrize("code", [2108, 2119])
def test_a_farm_that_is_broken_no_more_is_enough(ready, code):
    ready.code(2103, "usfarm")
    ended(ready, AAPL)
    ready.code(code, "usfarm")
    assert asked(ready) == [(1,)]
    assert ready.state is S.READY


def test_a_farm_of_another_kind_does_not_matter(ready):
    ready.code(2105, "ushmds")
    ended(ready, AAPL, BARS)
    assert asked(ready) == [(1,)]
    ready.code(2106, "ushmds")
    assert asked(ready) == [(1,)], "a second has not passed"
    ready.advance(1)
    assert asked(ready) == [(1,), (2,)]


def test_what_restore_asks_for_is_not_asked_for_twice(rig):
    rig.connect()
    rig.open_session()
    ended(rig, AAPL)
    assert asked(rig) == []
    rig.code(2104, "usfarm")
    rig.answer()
    assert asked(rig) == [], "the restore has told nothing of it"


def test_after_1101_all_is_asked_for_anyway(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ready.code(1101)
    assert ready.orders == [do.StartUp(1)]
    ready.answer()
    assert asked(ready) == []


def test_cancelled_by_the_caller_it_is_asked_for_no_more(ready):
    ready.code(1100)
    ended(ready, AAPL)
    ended(ready)
    ready.code(1102)
    assert asked(ready) == []


# --- withheld, too fast --------------------------------------------------------------------------


def test_a_competing_session_is_told_and_loses_nothing(ready):
    ready.fact(SubscriptionsMoved(1, 0, withheld=("AAPL", "MSFT")))
    assert ready.state is S.READY
    assert ready.status.reason == (
        "session and upstream up; market data withheld while this user is logged in elsewhere (10197): AAPL, MSFT"
    )
    ready.fact(SubscriptionsMoved(1, 0))
    assert ready.status.reason == "session and upstream up"
    assert asked(ready) == []


def test_too_many_messages_are_counted_slowed_and_said(ready):
    ready.code(100)
    assert ready.orders == [do.SlowDown(1)]
    assert ready.status.reason.endswith("the gateway said once that messages come too fast (100)")
    ready.code(100)
    assert ready.status.reason.endswith("the gateway said 2 times that messages come too fast (100)")
    assert ready.state is S.READY


# --- watched -------------------------------------------------------------------------------------


def watched(ready, *patience: float) -> None:
    ready.tickers = tuple(WatchedStream(number, each) for number, each in enumerate(patience, 1))


def test_after_1102_those_that_stay_silent_are_asked_for_once(ready):
    watched(ready, 5.0, 7.0)
    ready.answers_probes = True
    ready.advance(20)
    ready.code(1100)
    ready.advance(60)
    ready.forget()
    ready.code(1102)
    back_at = ready.mono
    assert ready.orders == [do.Watch(1, None, back_at - 60, "")]
    ready.advance(4.9)
    assert asked(ready) == []
    ready.advance(0.2)
    assert ready.orders[-1] == do.AskStreams(1, (1,), unless_since=back_at)
    ready.advance(60)
    assert asked(ready) == [(1,), (2,)]
    assert Timer.WATCH not in ready.timers


def test_a_farm_that_is_back_watches_its_own_kind(ready):
    watched(ready, 5.0)
    ready.code(2103, "usfarm")
    ready.advance(0.7)
    assert Timer.WATCH not in ready.timers
    ready.code(2104, "usfarm")
    assert ready.orders == [do.Watch(1, Feed.MARKET, 1000.0, "usfarm")]
    assert ready.state is S.READY
    ready.advance(5.1)
    assert asked(ready) == [(1,)]
    ready.code(2105, "ushmds")
    ready.code(2106, "ushmds")
    assert ready.orders[-1].feed is Feed.HISTORY


def test_contract_definitions_stream_nothing(ready):
    ready.code(2157, "secdefnj")
    ready.code(2158, "secdefnj")
    assert ready.orders == []


def test_a_farm_that_was_not_broken_is_no_event(ready):
    ready.code(2104, "usfarm")
    ready.code(2119, "usfarm")
    ready.code(2104, "usfarm")
    assert ready.orders == []


def test_while_it_is_down_again_nothing_is_asked(ready):
    watched(ready, 5.0)
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.advance(3)
    ready.code(2103, "usfarm")
    ready.answers_probes = True
    ready.advance(30)
    assert asked(ready) == []
    ready.code(2104, "usfarm")
    ready.advance(5.1)
    assert asked(ready) == [(1,)]


def test_another_farm_does_not_end_the_watch(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.code(2103, "hkfarm")
    ready.advance(5.1)
    assert asked(ready) == [(1,)]


def test_another_farm_that_flaps_takes_no_stream_from_the_watch(ready):
    """Neither by breaking again, nor by giving the stream more time."""
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    for _ in range(2):
        ready.advance(2)
        ready.code(2103, "hkfarm")
        ready.code(2104, "hkfarm")
    ready.code(2103, "hkfarm")
    ready.advance(1.1)
    assert asked(ready) == [(1,)]
    ready.code(2104, "hkfarm")
    assert Timer.WATCH in ready.timers, "that is an event of its own"


def test_a_farm_that_1102_lists_was_broken_longer_than_upstream(ready):
    """What it carried has not ticked since then."""
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2103, "hkfarm")
    ready.advance(400)
    ready.code(1100)
    ready.code(1100)
    ready.advance(10)
    ready.forget()
    ready.code(1102, text="All data farms are connected: usfarm; eufarm.")
    assert ready.orders == [do.Watch(1, Feed.MARKET, 1000.0, "usfarm"), do.Watch(1, None, 1400.0, "")]


def test_repeats_do_not_move_the_beginning_of_a_trouble(ready):
    ready.code(2103, "usfarm")
    ready.advance(3)
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    assert ready.orders == [do.Watch(1, Feed.MARKET, 1000.0, "usfarm")]
    ready.forget()
    ready.code(1100)
    ready.advance(1)
    ready.code(1100)
    ready.code(1102)
    assert ready.orders == [do.Watch(1, None, 1003.0, "")]


def test_upstream_lost_ends_every_watch(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.code(1100)
    ready.advance(30)
    assert asked(ready) == []


def test_a_farm_that_is_back_while_upstream_is_down_is_of_no_use_yet(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(1100)
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.advance(30)
    assert asked(ready) == []
    ready.code(1102)
    ready.advance(5.1)
    assert asked(ready) == [(1,)]


@pytest.mark.parametrize("news", [(1100,), (1101,), (2103, "usfarm")])
def test_a_watch_that_is_answered_too_late_is_none(ready, news):
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.code(*news)
    ready.fact(StreamsWatched(1, "usfarm", (WatchedStream(1, 5.0),)))
    assert Timer.WATCH not in ready.timers


def test_before_there_is_a_session_or_its_restore_nothing_is_watched(rig):
    rig.connect()
    rig.code(2103, "usfarm")
    rig.code(2104, "usfarm")
    rig.open_session()
    rig.code(2103, "usfarm")
    rig.code(2104, "usfarm")
    assert not [order for order in rig.orders if isinstance(order, do.Watch)]


def test_a_loss_that_ended_before_the_session_came_is_no_part_of_the_next(rig):
    rig.connect()
    rig.code(1100)
    rig.code(1102)
    rig.come_up()
    rig.advance(3)
    rig.code(1100)
    rig.code(1102)
    assert rig.orders[-1] == do.Watch(1, None, rig.mono, "")


def test_1102_without_1100_watches_from_now(ready):
    ready.advance(3)
    ready.code(1102)
    assert ready.orders == [do.Watch(1, None, ready.mono, "")]


def test_1102_lists_the_farms_that_there_are(ready):
    ready.code(2103, "usfarm")
    ready.code(1102, text="All data farms are connected: usfarm; eufarm.")
    ready.forget()
    ready.code(2104, "usfarm")
    assert ready.orders == [], "1102 has said so already"


def test_a_lost_session_watches_nothing(ready):
    ready.fact(StreamsWatched(1, "", (WatchedStream(1, 5.0),)))
    assert Timer.WATCH in ready.timers
    ready.end()
    assert Timer.WATCH not in ready.timers
    ready.fact(StreamsWatched(1, "", (WatchedStream(1, 5.0),)))
    assert Timer.WATCH not in ready.timers
