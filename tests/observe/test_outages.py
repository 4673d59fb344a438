"""Outages, as a row of statuses shows them."""

import pytest

from ibkr.core.state import ConnectionState as S
from ibkr.core.state import SessionState, UpstreamState
from ibkr.observe.outages import OutageCause, OutageWatch, Outcome, cause_of


def test_an_outage_begins_with_the_loss_of_ready_and_ends_with_ready(at):
    watch = OutageWatch()
    assert watch.tell(at(0, S.CONNECTING)) is None
    assert watch.tell(at(1, S.SYNCING)) is None
    assert watch.tell(at(2, S.READY)) is None
    begun = watch.tell(at(10, S.RECONNECTING, "session lost: reset"))
    assert begun == watch.current
    assert (begun.cause, begun.reason, begun.seconds) == (OutageCause.SESSION_LOST, "session lost: reset", None)
    assert watch.tell(at(10, S.RECONNECTING, "session lost: reset; refused")) is None
    more = watch.tell(at(10, S.RECONNECTING, last_error="unreachable: nothing listens"))
    assert (more.last_error, more.began_at) == ("unreachable: nothing listens", begun.began_at)
    assert watch.tell(at(12, S.SYNCING)) is None
    ended = watch.tell(at(12.5, S.READY))
    assert (ended.seconds, ended.outcome, ended.last_error) == (2.5, Outcome.RECOVERED, "unreachable: nothing listens")
    assert watch.current is None
    assert ended.to_dict() == {
        "began_at": "2026-03-02T14:30:10.000+00:00",
        "ended_at": "2026-03-02T14:30:12.500+00:00",
        "seconds": 2.5,
        "cause": "session_lost",
        "reason": "session lost: reset",
        "last_error": "unreachable: nothing listens",
        "outcome": "recovered",
    }


def test_who_disconnects_has_no_outage_and_ends_one_under_way(at):
    watch = OutageWatch()
    watch.tell(at(0, S.READY))
    assert watch.tell(at(1, S.DISCONNECTED)) is None
    watch.tell(at(2, S.READY))
    watch.tell(at(3, S.FAILED))
    assert watch.current.cause is OutageCause.FAILED
    assert watch.tell(at(5, S.DISCONNECTED)).outcome is Outcome.DISCONNECTED


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
def test_causes(at, state, more, cause):
    assert cause_of(at(0, state, **more)) == cause
