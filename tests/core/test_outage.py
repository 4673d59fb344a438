"""An outage: the machine alone decides when it begins, its cause, and when it ends."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.attempt_failure import FailureKind
from ibkr.core.outage import OutageCause, Outcome, outage_cause
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import SessionState, UpstreamState


def gap_outages(rig) -> list[int]:
    """The outage of each comparison with the broker."""
    return [order.outage for order in rig.orders if isinstance(order, do.CompareBrokerState)]


def test_it_begins_with_the_loss_of_ready_and_ends_with_ready(rig):
    rig.connect()
    rig.come_up()
    assert (rig.state, rig.status.outage, rig.status.outages) == (S.READY, None, 0)
    rig.advance(3)
    rig.end("reset")
    begun = rig.status.outage
    assert (begun.number, begun.began_at, begun.cause) == (1, rig.now.wall, OutageCause.SESSION_LOST)
    assert (begun.reason, begun.last_error, begun.seconds) == ("session lost: reset", "", None)
    assert (begun.is_over, rig.status.outages) == (False, 1)
    rig.advance(0.5)
    rig.refuse(FailureKind.UNREACHABLE, "nothing listens")
    more = rig.status.outage
    assert (more.last_error, more.began_at) == ("unreachable: nothing listens", begun.began_at)
    rig.advance(1)
    rig.come_up()
    ended = rig.status.outage
    assert (ended.seconds, ended.outcome, ended.is_over) == (1.5, Outcome.RECOVERED, True)
    assert ended.last_error == "unreachable: nothing listens"
    assert ended.to_dict() == {
        "began_at": "2026-03-02T14:30:03.000+00:00",
        "ended_at": "2026-03-02T14:30:04.500+00:00",
        "seconds": 1.5,
        "cause": "session_lost",
        "reason": "session lost: reset",
        "last_error": "unreachable: nothing listens",
        "outcome": "recovered",
    }
    rig.advance(1)
    rig.code(2103, "cashfarm")
    assert rig.status.outage is ended, "it stays the last one"


def test_each_has_a_number(ready):
    for number in (1, 2):
        ready.code(1100)
        assert (ready.status.outage.number, ready.status.outages) == (number, number)
        ready.link_back()
        assert ready.status.outage.outcome is Outcome.RECOVERED
        ready.advance(1)


def test_a_connection_that_was_never_ready_has_none(rig):
    rig.connect(1)
    rig.refuse()
    assert (rig.state, rig.status.outage) == (S.FAILED, None)


def test_who_disconnects_has_none_and_ends_one_under_way(ready):
    ready.disconnect()
    assert ready.status.outage is None
    ready.end()
    ready.connect()
    ready.come_up()
    ready.code(1100)
    ready.advance(2)
    ready.disconnect()
    outage = ready.status.outage
    assert (outage.cause, outage.outcome, outage.seconds) == (OutageCause.UPSTREAM_LOST, Outcome.DISCONNECTED, 2.0)


def test_it_lasts_while_it_is_given_up_and_until_a_new_connect_has_come_up(ready):
    ready.machine.break_off("internal error", ready.now, socket_gone=True)
    outage = ready.status.outage
    assert (outage.cause, outage.reason, outage.is_over) == (OutageCause.FAILED, "internal error", False)
    ready.socket = None
    ready.timers.clear()
    ready.connect()
    assert ready.status.outage == outage
    ready.come_up()
    assert (ready.status.outage.number, ready.status.outage.outcome) == (1, Outcome.RECOVERED)


@pytest.mark.parametrize("how", ["session", "data"])
def test_who_compares_is_told_the_outage(ready, how):
    if how == "session":
        ready.end("reset")
        ready.come_up()
    else:
        ready.code(1101)
        ready.answer()
    assert (ready.state, gap_outages(ready)) == (S.READY, [1])


def test_a_gap_after_disconnect_is_part_of_no_outage(ready):
    ready.code(1100)
    ready.link_back()
    ready.disconnect()
    ready.end()
    ready.forget()
    ready.connect()
    ready.come_up()
    assert gap_outages(ready) == [0], "the last outage was over before the gap began"


def test_a_gap_that_began_with_an_outage_is_part_of_it_though_the_program_disconnected_in_it(ready):
    ready.end("reset")
    ready.disconnect()
    ready.end()
    ready.forget()
    ready.connect()
    ready.come_up()
    assert gap_outages(ready) == [1]
    ready.disconnect()
    ready.end()
    ready.connect()
    ready.come_up()
    assert gap_outages(ready) == [1, 0]


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, -60.0])
def test_a_clock_that_jumps_makes_it_neither_longer_nor_shorter(ready, jump):
    ready.code(1100)
    ready.advance(2)
    ready.ahead = jump
    ready.advance(3)
    ready.link_back()
    outage = ready.status.outage
    assert outage.seconds == 5.0
    assert (outage.ended_at - outage.began_at).total_seconds() == 5.0


@pytest.mark.parametrize(
    ("state", "more", "cause"),
    [
        (S.RECONNECTING, {}, "session_lost"),
        (S.DEGRADED, {"session": SessionState.SUSPECT}, "session_lost"),
        (S.DEGRADED, {"upstream": UpstreamState.DOWN}, "upstream_lost"),
        (S.SYNCING, {"upstream": UpstreamState.UP}, "data_lost"),
        (S.DEGRADED, {"upstream": UpstreamState.UP}, "incomplete"),
        (S.FAILED, {}, "failed"),
    ],
)
def test_causes(state, more, cause):
    in_session = state in (S.DEGRADED, S.SYNCING)
    fields = {
        "state": state,
        "session": SessionState.UP if in_session else SessionState.NONE,
        "upstream": UpstreamState.UNKNOWN,
    }
    assert outage_cause(fields | more) == cause
