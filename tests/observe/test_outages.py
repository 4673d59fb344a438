"""What a sink is told of outages: each once, and of those that the machine names alone."""

from dataclasses import replace

import pytest

from ibkr.core.outage import OutageCause, Outcome
from ibkr.core.state import ConnectionState as S
from ibkr.observe.outages import OutageWatch


@pytest.fixture
def hear(tell):
    """Gives what a watch makes of a status."""
    watch = OutageWatch()

    def one(status):
        return tell(watch, status)

    one.watch = watch
    return one


def test_an_outage_begins_with_the_loss_of_ready_and_ends_with_ready(at, hear):
    assert hear(at(0, S.CONNECTING)) is None
    assert hear(at(1, S.SYNCING)) is None
    assert hear(at(2, S.READY)) is None
    begun = hear(at(10, S.RECONNECTING, "session lost: reset"))
    assert begun == hear.watch.current
    assert (begun.cause, begun.reason, begun.seconds) == (OutageCause.SESSION_LOST, "session lost: reset", None)
    assert hear(at(10, S.RECONNECTING, "session lost: reset; refused")) is None
    more = hear(at(10, S.RECONNECTING, last_error="unreachable: nothing listens"))
    assert (more.last_error, more.began_at) == ("unreachable: nothing listens", begun.began_at)
    assert hear(at(12, S.SYNCING)) is None
    ended = hear(at(12.5, S.READY))
    assert (ended.seconds, ended.outcome, ended.last_error) == (2.5, Outcome.RECOVERED, "unreachable: nothing listens")
    assert hear.watch.current is None
    assert hear(at(13, S.READY)) is None


def test_who_disconnects_has_no_outage_and_ends_one_under_way(at, hear):
    hear(at(0, S.READY))
    assert hear(at(1, S.DISCONNECTED)) is None
    hear(at(2, S.READY))
    hear(at(3, S.FAILED))
    assert hear.watch.current.cause is OutageCause.FAILED
    assert hear(at(5, S.DISCONNECTED)).outcome is Outcome.DISCONNECTED


@pytest.fixture
def outage(at, hear):
    """One that is over."""
    hear(at(0, S.READY))
    hear(at(1, S.RECONNECTING))
    return hear(at(2, S.READY))


def test_who_begins_to_listen_in_an_outage_is_told_it(at, outage):
    watch = OutageWatch()
    lasting = replace(outage, ended_at=None, outcome=None)
    assert watch.tell(replace(at(1.5, S.RECONNECTING), outage=lasting)) == watch.current == lasting
    assert watch.tell(replace(at(2, S.READY), outage=outage)) == outage


def test_who_begins_to_listen_after_it_is_not(at, outage):
    watch = OutageWatch()
    assert watch.tell(replace(at(2, S.READY), outage=outage)) is None
    assert watch.current is None


def test_with_a_status_lost_on_the_way_its_end_is_told_still(at, outage):
    watch = OutageWatch()
    watch.tell(at(0, S.READY))
    assert watch.tell(replace(at(2, S.READY), outage=outage)) == outage
