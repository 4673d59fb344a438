"""Streams that used to tick must tick again once their upstream and farm are back."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.events import ActiveStream, ActiveStreamsFound, Timer
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import Feed


def watched(ready, *patience: float) -> None:
    ready.tickers = tuple(ActiveStream(number, each) for number, each in enumerate(patience, 1))


def test_after_1102_those_that_stay_silent_are_requested_once(ready):
    watched(ready, 5.0, 7.0)
    ready.answers_probes = True
    ready.advance(20)
    ready.code(1100)
    ready.advance(60)
    ready.forget()
    ready.link_back()
    back_at = ready.mono
    assert ready.orders[:1] == [do.FindActiveStreams(1, None, back_at - 60, "")]
    ready.advance(4.9)
    assert ready.asked == []
    ready.advance(0.2)
    assert ready.orders[-1] == do.RequestStreams(1, (1,), unless_since=back_at)
    ready.advance(60)
    assert ready.asked == [(1,), (2,)]
    assert Timer.WATCH not in ready.timers


def test_a_farm_that_is_back_watches_its_own_kind(ready):
    watched(ready, 5.0)
    ready.code(2103, "usfarm")
    ready.advance(0.7)
    assert Timer.WATCH not in ready.timers
    ready.code(2104, "usfarm")
    assert ready.orders[:1] == [do.FindActiveStreams(1, Feed.MARKET, 1000.0, "usfarm")]
    assert ready.state is S.READY
    ready.advance(5.1)
    assert ready.asked == [(1,)]
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
    assert ready.asked == []
    ready.code(2104, "usfarm")
    ready.advance(5.1)
    assert ready.asked == [(1,)]


def test_another_farm_does_not_end_the_watch(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.code(2103, "hkfarm")
    ready.advance(5.1)
    assert ready.asked == [(1,)]


def test_another_farm_that_flaps_takes_no_stream_from_the_watch(ready):
    """A stream stays in the watch when the other farm breaks again, and does not get more time."""
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
    assert ready.asked == [(1,)]
    ready.code(2104, "hkfarm")
    assert Timer.WATCH in ready.timers, "that is an event of its own"


def test_a_farm_that_1102_lists_was_broken_longer_than_upstream(ready):
    """Its streams have not ticked since then."""
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2103, "hkfarm")
    ready.advance(400)
    ready.code(1100)
    ready.code(1100)
    ready.advance(10)
    ready.forget()
    ready.link_back("All data farms are connected: usfarm; eufarm.")
    assert ready.orders[:2] == [
        do.FindActiveStreams(1, Feed.MARKET, 1000.0, "usfarm"),
        do.FindActiveStreams(1, None, 1400.0, ""),
    ]


def test_repeats_do_not_move_the_beginning_of_a_problem(ready):
    ready.code(2103, "usfarm")
    ready.advance(3)
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    assert ready.orders[:2] == [do.FindActiveStreams(1, Feed.MARKET, 1000.0, "usfarm")]
    ready.forget()
    ready.code(1100)
    ready.advance(1)
    ready.code(1100)
    ready.link_back()
    assert ready.orders[:1] == [do.FindActiveStreams(1, None, 1003.0, "")]


def test_upstream_lost_ends_every_watch(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.code(1100)
    ready.advance(30)
    assert ready.asked == []


def test_a_farm_that_is_back_while_upstream_is_down_is_of_no_use_yet(ready):
    watched(ready, 5.0)
    ready.answers_probes = True
    ready.code(1100)
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.advance(30)
    assert ready.asked == []
    ready.link_back()
    ready.advance(5.1)
    assert ready.asked == [(1,)]


@pytest.mark.parametrize("news", [(1100,), (1101,), (2103, "usfarm")])
def test_a_watch_that_is_answered_too_late_is_none(ready, news):
    ready.code(2103, "usfarm")
    ready.code(2104, "usfarm")
    ready.subscriptions = 1
    ready.code(*news)
    ready.event(ActiveStreamsFound(1, "usfarm", (ActiveStream(1, 5.0),)))
    assert Timer.WATCH not in ready.timers


def test_before_there_is_a_session_or_its_restore_nothing_is_watched(rig):
    rig.subscriptions = 1
    rig.connect()
    rig.code(2103, "usfarm")
    rig.code(2104, "usfarm")
    rig.open_session()
    rig.code(2103, "usfarm")
    rig.code(2104, "usfarm")
    assert not [order for order in rig.orders if isinstance(order, do.FindActiveStreams)]


def test_a_loss_that_ended_before_the_session_came_is_no_part_of_the_next(rig):
    rig.connect()
    rig.code(1100)
    rig.code(1102)
    rig.come_up()
    rig.advance(3)
    rig.code(1100)
    rig.forget()
    rig.link_back()
    assert rig.orders[0] == do.FindActiveStreams(1, None, rig.mono, "")


def test_1102_without_1100_watches_from_now(ready):
    ready.advance(3)
    ready.link_back()
    assert ready.orders[:1] == [do.FindActiveStreams(1, None, ready.mono, "")]


def test_1102_lists_the_farms_that_there_are(ready):
    ready.code(2103, "usfarm")
    ready.link_back("All data farms are connected: usfarm; eufarm.")
    ready.forget()
    ready.code(2104, "usfarm")
    assert ready.orders == [], "1102 has said so already"


def test_a_lost_session_watches_nothing(ready):
    ready.event(ActiveStreamsFound(1, "", (ActiveStream(1, 5.0),)))
    assert Timer.WATCH in ready.timers
    ready.end()
    assert Timer.WATCH not in ready.timers
    ready.event(ActiveStreamsFound(1, "", (ActiveStream(1, 5.0),)))
    assert Timer.WATCH not in ready.timers
