"""The states of subscriptions: wanted, sent, live, refused.

This file has over 300 lines because every test starts with the same two subscriptions.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.core.events import LostStream
from ibkr.core.states import Feed
from ibkr.core.stats import SubscriptionCounts
from ibkr.core.subscription_tracker import SubscriptionStage, SubscriptionTracker


@pytest.fixture
def ledger():
    ledger = SubscriptionTracker()
    ledger.want(11, "AAPL", "market data", Feed.MARKET)
    ledger.want(12, "MSFT", "market data", Feed.MARKET)
    return ledger


def send(ledger: SubscriptionTracker, req_id: int) -> None:
    ledger.queued(req_id)
    assert ledger.sent(req_id)


def test_requested_in_order(ledger):
    ledger.want(5, "ES", "market data", Feed.MARKET)
    assert ledger.ids() == [11, 12, 5]
    assert ledger.ids(SubscriptionStage.WANTED) == [11, 12, 5]
    assert (ledger.pending, ledger.refused) == (0, ())


def test_sent_waits_for_its_first_message_then_is_live(ledger):
    send(ledger, 11)
    assert (ledger.pending, ledger.ids(SubscriptionStage.SENT), ledger.ids(SubscriptionStage.WANTED)) == (1, [11], [12])
    assert ledger.live(11)
    assert (ledger.pending, ledger.ids(SubscriptionStage.LIVE)) == (0, [11])
    assert not ledger.live(11), "only the first message is news"


@pytest.mark.parametrize("req_id", [12, 99], ids=["not sent", "unknown"])
def test_a_message_that_was_not_awaited_changes_nothing(ledger, req_id):
    assert not ledger.live(req_id)
    assert not ledger.refuse(req_id, "354")
    assert ledger.ids(SubscriptionStage.WANTED) == [11, 12]


def test_restored_is_what_was_requested_before_and_runs_again(ledger):
    send(ledger, 11)
    assert ledger.restored == ()
    ledger.mark_all_unsent()
    assert ledger.restored == ()
    send(ledger, 11)
    send(ledger, 12)
    assert ledger.restored == ("AAPL",), "the other is new"


def test_refused_when_first_requested_is_dropped(ledger):
    send(ledger, 11)
    assert ledger.refuse(11, "354: not subscribed")
    assert (ledger.ids(), ledger.refused, ledger.pending) == ([12], (), 0)


def test_accepted_but_quiet_and_refused_after_the_gateway_lost_it_stays_on_the_list(ledger):
    send(ledger, 11)
    ledger.mark_all_unsent()
    send(ledger, 11)
    assert ledger.refuse(11, "no security definition", 200)
    assert [stream.req_id for stream in ledger.refused] == [11]


def test_a_stream_that_keeps_ending_soon_counts_its_tries_until_it_runs_for_a_minute(ledger):
    def run(asked_at: float, ended_at: float) -> int:
        ledger.queued(11, asked_at)
        ledger.sent(11)
        ledger.live(11)
        assert ledger.end(11, "ended", 10182, now=ended_at)
        return ledger.ended[0].tries

    assert [run(at, at + 1.0) for at in (100.0, 102.0, 104.0)] == [0, 1, 2]
    assert run(110.0, 170.0) == 0
    assert run(171.0, 172.0) == 1
    ledger.reset_tries(11)
    assert run(173.0, 174.0) == 0


def test_what_ran_before_and_is_refused_now_is_named(ledger):
    send(ledger, 11)
    ledger.live(11)
    ledger.mark_all_unsent()
    send(ledger, 11)
    assert ledger.refuse(11, "not subscribed", 354)
    assert (ledger.ids(SubscriptionStage.REFUSED), ledger.refused) == (
        [11],
        (LostStream(11, Feed.MARKET, "AAPL (354: not subscribed)", 354, 1),),
    )
    ledger.mark_all_unsent()
    assert (ledger.ids(SubscriptionStage.WANTED), ledger.refused) == ([11, 12], ())


def test_what_ran_has_run_in_every_session(ledger):
    send(ledger, 11)
    assert not ledger.has_run(11)
    ledger.live(11)
    ledger.mark_all_unsent()
    assert ledger.has_run(11)
    assert not ledger.has_run(99)


def test_forgotten_when_cancelled(ledger):
    ledger.forget(11)
    ledger.forget(99)
    assert ledger.ids() == [12]


def test_it_goes_on_under_another_id(ledger):
    send(ledger, 11)
    ledger.live(11)
    ledger.mark_all_unsent()
    ledger.move(11, 31)
    send(ledger, 31)
    assert not ledger.live(11)
    assert ledger.refuse(31, "200")
    assert ledger.refused == (LostStream(31, Feed.MARKET, "AAPL (200)", None, 1),), "that it ran is remembered"


def test_what_is_held_back_is_pending_but_not_sent(ledger):
    ledger.queued(11)
    ledger.queued(12)
    assert (ledger.held_back, ledger.pending) == (2, 2)
    assert ledger.sent(11)
    assert not ledger.sent(11), "only the first leaving is news"
    assert (ledger.held_back, ledger.pending) == (1, 2)
    ledger.forget(12)
    assert not ledger.sent(12), "cancelled meanwhile"
    assert (ledger.held_back, ledger.pending) == (0, 1)


def test_what_the_gateway_ends_is_named_until_it_is_requested_again(ledger):
    assert not ledger.end(11, "10182"), "it was not sent"
    send(ledger, 11)
    assert ledger.end(11, "failed", 10182)
    assert ledger.ended == (LostStream(11, Feed.MARKET, "AAPL (10182: failed)", 10182, 1, ran=False),)
    assert not ledger.end(11, "failed", 10182), "it is over already"
    send(ledger, 11)
    assert ledger.ended == ()


def test_withheld_until_it_ticks_or_its_session_is_over(ledger):
    for over in (ledger.ticked, lambda _: ledger.mark_all_unsent()):
        assert ledger.withhold(11)
        assert not ledger.withhold(11), "told once"
        ledger.queued(11)
        ledger.mark_all_unsent(new_session=False)
        assert [stream.words for stream in ledger.withheld] == ["AAPL"], "asked for again it is so still"
        assert ledger[11].state == "withheld"
        over(11)
        assert ledger.withheld == ()
    assert not ledger.ticked(11)
    assert not ledger.withhold(99)


def test_refused_for_now_it_stays_on_the_list_though_it_never_ran(ledger):
    send(ledger, 11)
    assert ledger.refuse(11, "no lines", 101, for_now=True)
    assert ledger.refused == (LostStream(11, Feed.MARKET, "AAPL (101: no lines)", 101, 1, ran=False),)


def test_refused_and_requested_again_it_counts_as_refused_until_it_is_taken(ledger):
    send(ledger, 11)
    ledger.refuse(11, "no lines", 101, for_now=True)
    send(ledger, 11)
    assert ledger.refused == (LostStream(11, Feed.MARKET, "AAPL (101: no lines)", 101, 2, ran=False, is_asked=True),)
    assert (ledger[11].state, ledger.restored) == ("refused", ())
    assert ledger.refuse(11, "no lines", 101), "once more"
    assert not ledger.accept(11)
    send(ledger, 11)
    assert ledger.accept(11)
    assert not ledger.accept(11)
    assert (ledger.refused, ledger[11].state) == ((), "sent")
    assert not ledger.accept(99)


def test_words_about_a_stream_and_then_an_error_are_a_refusal_of_the_first_request(ledger):
    send(ledger, 11)
    ledger.live(11)
    ledger.doubt_first(11)
    assert ledger.refuse(11, "not subscribed", 354)
    assert 11 not in ledger
    ledger.doubt_first(11)
    send(ledger, 12)
    ledger.live(12)
    ledger.mark_all_unsent()
    send(ledger, 12)
    ledger.live(12)
    ledger.doubt_first(12)
    assert ledger.is_live(12), "it ran in the session before"


def test_silent_is_what_was_requested_in_vain(ledger):
    send(ledger, 11)
    ledger.live(11)
    ledger.ticked(11)
    ledger.silence(11, 7.0)
    assert ledger[11].state == "live"
    ledger.queued(11, 100.0)
    ledger.sent(11)
    assert ledger[11].state == "silent"
    assert ledger.silent == (LostStream(11, Feed.MARKET, "AAPL", None, 2, 107.0),)
    ledger.reset_tries(11)
    assert ledger[11].tries == 0
    assert ledger.ticked(11)
    assert (ledger.silent, ledger[11].state) == ((), "sent")


def test_what_has_changed_for_a_program_is_noted(ledger):
    assert list(ledger.changed) == [11, 12]
    ledger.changed.clear()
    ledger.queued(11)
    assert list(ledger.changed) == [], "wanted and queued look the same"
    ledger.sent(11)
    ledger.move(11, 31)
    assert list(ledger.changed) == [31]
    ledger.forget(31)
    assert list(ledger.changed) == []
    ledger.move(12, 13)
    assert ledger.is_pending(13) is ledger.is_live(13) is ledger.is_pending(99) is ledger.is_live(99) is False


def test_a_stream_that_ends_is_requested_at_once_if_it_ticked(ledger):
    send(ledger, 11)
    ledger.live(11)
    assert ledger.end(11, "10182")
    assert ledger.ended[0].tries == 0
    send(ledger, 11)
    ledger.live(11)
    ledger.end(11, "10182", has_ticked=False)
    assert ledger.ended[0].tries == 1


def test_each_has_a_label_and_a_kind(ledger):
    ledger.want("news bulletins", "bulletins", "news", None)
    assert (ledger.label(12), ledger.kind("news bulletins")) == ("MSFT", "news")
    assert "news bulletins" in ledger
    assert 99 not in ledger
    with pytest.raises(KeyError):
        ledger.label(99)
    with pytest.raises(KeyError):
        ledger.kind(99)


def test_the_gateway_is_asked_from_when_it_is_queued_until_it_refuses(ledger):
    assert not ledger.is_asked(11)
    ledger.queued(11)
    assert ledger.is_asked(11)
    ledger.sent(11)
    ledger.live(11)
    assert ledger.is_asked(11)
    ledger.end(11, "10182")
    assert ledger.is_asked(11)
    ledger.mark_all_unsent()
    assert not ledger.is_asked(11)
    send(ledger, 11)
    ledger.refuse(11, "354")
    assert not ledger.is_asked(11)


STEPS = ["want", "queued", "sent", "live", "refuse", "end", "forget", "move", "unsend", "withhold", "ticked"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(1, 4),
        )
    )
)
def test_what_it_counts_is_what_it_holds(steps):
    ledger = SubscriptionTracker()
    for step, req_id in steps:
        match step:
            case "want":
                ledger.want(req_id, "AAPL", "PnL" if req_id > 2 else "market data", Feed.MARKET)
            case "refuse" | "end":
                getattr(ledger, step)(req_id, "why")
            case "queued" | "move" if req_id not in ledger.ids():
                continue
            case "withhold" if req_id <= 2:
                continue
            case "move":
                ledger.move(req_id, req_id + 10 * (1 + max(ledger.ids())))
            case "unsend":
                ledger.mark_all_unsent()
            case _:
                getattr(ledger, step)(req_id)
        assert ledger.held_back == len(ledger.ids(SubscriptionStage.QUEUED))
        assert ledger.pending == len(ledger.ids(SubscriptionStage.QUEUED, SubscriptionStage.SENT))
        silenced = {"PnL"} if ledger.withheld else set()
        pending = {ledger.kind(key) for key in ledger.ids(SubscriptionStage.QUEUED, SubscriptionStage.SENT)}
        assert set(ledger.awaited) == pending | silenced
        assert len(ledger.refused) >= len(ledger.ids(SubscriptionStage.REFUSED))
        assert ledger.changed.keys() <= set(ledger.ids())
        assert len(ledger.ended) == len(ledger.ids(SubscriptionStage.ENDED))


def test_the_standings_count_each_subscription_once(ledger):
    for req_id in (13, 14, 15, 16):
        ledger.want(req_id, f"{req_id}", "market data", Feed.MARKET)
        send(ledger, req_id)
    ledger.live(14)
    ledger.live(15)
    ledger.end(15, "10182")
    ledger.live(16)
    ledger.mark_all_unsent()
    for req_id in (13, 14, 16):
        send(ledger, req_id)
    ledger.live(14)
    ledger.refuse(16, "354")
    ledger.queued(12)
    assert ledger.counts == SubscriptionCounts(wanted=3, sent=1, live=1, refused=1)
    assert len(ledger.ids()) == 6


def test_what_cannot_even_be_requested_is_refused_and_holds_nothing_up(ledger):
    send(ledger, 11)
    ledger.live(11)
    ledger.mark_all_unsent()
    ledger.queued(11)
    assert ledger.refuse(11, "ValueError('no such field')")
    assert (ledger.ids(SubscriptionStage.REFUSED), ledger.held_back) == ([11], 0)
