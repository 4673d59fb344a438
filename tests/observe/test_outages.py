"""A sink gets each outage once, and only the outages that the machine names."""

from dataclasses import replace

import pytest

from ibkr.core.outage import OutageCause, Outcome
from ibkr.core.states import ConnectionState as S
from ibkr.observe.outage_tracker import OutageTracker


@pytest.fixture
def hear(tell):
    """Return what a tracker reports for a status."""
    tracker = OutageTracker()

    def one(status):
        return tell(tracker, status)

    one.tracker = tracker
    return one


def test_an_outage_begins_with_the_loss_of_ready_and_ends_with_ready(at, hear):
    assert hear(at(0, S.CONNECTING)) is None
    assert hear(at(1, S.SYNCING)) is None
    assert hear(at(2, S.READY)) is None
    begun = hear(at(10, S.RECONNECTING, "session lost: reset"))
    assert begun == hear.tracker.current
    assert (begun.cause, begun.reason, begun.seconds) == (OutageCause.SESSION_LOST, "session lost: reset", None)
    assert hear(at(10, S.RECONNECTING, "session lost: reset; refused")) is None
    more = hear(at(10, S.RECONNECTING, last_error="unreachable: nothing listens"))
    assert (more.last_error, more.began_at) == ("unreachable: nothing listens", begun.began_at)
    assert hear(at(12, S.SYNCING)) is None
    ended = hear(at(12.5, S.READY))
    assert (ended.seconds, ended.outcome, ended.last_error) == (2.5, Outcome.RECOVERED, "unreachable: nothing listens")
    assert hear.tracker.current is None
    assert hear(at(13, S.READY)) is None


def test_who_disconnects_has_no_outage_and_ends_one_under_way(at, hear):
    hear(at(0, S.READY))
    assert hear(at(1, S.DISCONNECTED)) is None
    hear(at(2, S.READY))
    hear(at(3, S.FAILED))
    assert hear.tracker.current.cause is OutageCause.FAILED
    assert hear(at(5, S.DISCONNECTED)).outcome is Outcome.DISCONNECTED


@pytest.fixture
def outage(at, hear):
    """An outage that is over."""
    hear(at(0, S.READY))
    hear(at(1, S.RECONNECTING))
    return hear(at(2, S.READY))


def test_who_begins_to_listen_in_an_outage_is_told_it(at, outage):
    tracker = OutageTracker()
    lasting = replace(outage, ended_at=None, outcome=None)
    assert tracker.update(replace(at(1.5, S.RECONNECTING), outage=lasting)) == tracker.current == lasting
    assert tracker.update(replace(at(2, S.READY), outage=outage)) == outage


def test_who_begins_to_listen_after_it_is_not(at, outage):
    tracker = OutageTracker()
    assert tracker.update(replace(at(2, S.READY), outage=outage)) is None
    assert tracker.current is None


def test_with_a_status_lost_on_the_way_its_end_is_reported_still(at, outage):
    tracker = OutageTracker()
    tracker.update(at(0, S.READY))
    assert tracker.update(replace(at(2, S.READY), outage=outage)) == outage
