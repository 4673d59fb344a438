"""The ledger: wanted, sent, live, refused."""

import pytest

from ibkr.core.ledger import Ledger, Standing


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.want(11, "AAPL")
    ledger.want(12, "MSFT")
    return ledger


def test_asked_for_in_order(ledger):
    ledger.want(5, "ES")
    assert ledger.ids() == [11, 12, 5]
    assert ledger.ids(Standing.WANTED) == [11, 12, 5]
    assert (ledger.pending, ledger.refused) == (0, ())


def test_sent_waits_for_its_first_message_then_is_live(ledger):
    ledger.sent(11)
    assert (ledger.pending, ledger.ids(Standing.SENT), ledger.ids(Standing.WANTED)) == (1, [11], [12])
    assert ledger.live(11)
    assert (ledger.pending, ledger.ids(Standing.LIVE)) == (0, [11])
    assert not ledger.live(11), "only the first message is news"


@pytest.mark.parametrize("req_id", [12, 99], ids=["not sent", "unknown"])
def test_a_message_that_was_not_awaited_changes_nothing(ledger, req_id):
    assert not ledger.live(req_id)
    assert not ledger.refuse(req_id, "354")
    assert ledger.ids(Standing.WANTED) == [11, 12]


def test_refused_when_first_asked_for_is_dropped(ledger):
    ledger.sent(11)
    assert ledger.refuse(11, "354: not subscribed")
    assert (ledger.ids(), ledger.refused, ledger.pending) == ([12], (), 0)


def test_what_ran_before_and_is_refused_now_is_named(ledger):
    ledger.sent(11)
    ledger.live(11)
    ledger.unsend()
    ledger.sent(11)
    assert ledger.refuse(11, "354: not subscribed")
    assert (ledger.ids(Standing.REFUSED), ledger.refused) == ([11], ("AAPL (354: not subscribed)",))
    ledger.unsend()
    assert (ledger.ids(Standing.WANTED), ledger.refused) == ([11, 12], ())


def test_forgotten_when_cancelled(ledger):
    ledger.forget(11)
    ledger.forget(99)
    assert ledger.ids() == [12]
    ledger.clear()
    assert ledger.ids() == []


def test_it_goes_on_under_another_id(ledger):
    ledger.sent(11)
    ledger.live(11)
    ledger.unsend()
    ledger.move(11, 31)
    ledger.sent(31)
    assert not ledger.live(11)
    assert ledger.refuse(31, "200")
    assert ledger.refused == ("AAPL (200)",), "that it ran is remembered"
