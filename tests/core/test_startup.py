"""Start-up and restore: answers, deadlines, second requests, late answers; live and refused subscriptions.

This file has over 300 lines because all tests start with the same session.
"""

import pytest

from ibkr.core import effects as do
from ibkr.core.events import (
    RetryRequested,
    RowsNotDecoded,
    SessionOpened,
    StartupAnswered,
    StartupRefused,
    SubscriptionsChanged,
    Timer,
)
from ibkr.core.machine_state import Phase as P
from ibkr.core.recovery import NOT_CONNECTED
from ibkr.core.states import ConnectionState as S

BOOKS = ("completed orders", "executions", "open orders", "positions")


@pytest.fixture
def starting(rig):
    """A session whose start-up requests are sent, with upstream known."""
    rig.connect()
    rig.open_session()
    rig.code(2104, "usfarm")
    rig.forget()
    return rig


@pytest.fixture
def restoring(rig):
    """A session that has started in the same way, with two subscriptions that are being restored."""
    rig.subscriptions = 2
    rig.connect()
    rig.open_session()
    rig.code(2104, "usfarm")
    rig.forget()
    return rig


def test_a_session_begins_with_start_up_and_restore_at_once(rig):
    rig.connect()
    rig.subscriptions = 1
    rig.forget()
    rig.open_session()
    assert rig.orders == [
        do.SendStartupRequests(1),
        do.RestoreSubscriptions(1, same_session=False, with_handlers=False),
    ]
    assert rig.delays == [
        *((Timer.REQUEST, 10.0), (Timer.LIVENESS, 5.0), (Timer.UPSTREAM, 0.25), (Timer.RESTORE, 0.25)),
    ]
    assert (rig.state, rig.status.is_connected, rig.status.may_trade) == (S.SYNCING, False, False)
    assert rig.status.reason == "start-up: orders, positions and account values are being received"
    assert rig.status.may_trade_reason == "start-up has not ended: orders, executions and positions are not known yet"


def test_answered_in_full_it_is_announced(restoring):
    starting = restoring
    starting.answer(*starting.names[:-1])
    assert (starting.state, starting.status.is_connected) == (S.SYNCING, False)
    starting.answer("executions")
    assert starting.orders == [do.CompareBrokerState(1, NOT_CONNECTED, ()), do.EmitConnectedEvent(1)]
    assert (starting.machine.phase, starting.state) == (P.RESTORING, S.SYNCING)
    assert (starting.status.is_connected, starting.status.may_trade) == (True, True)
    assert starting.status.reason == "restore: subscriptions are being requested again"
    assert set(starting.running) == {Timer.LIVENESS, Timer.RESTORE}


def test_with_nothing_to_restore_start_up_is_all(rig):
    rig.connect()
    rig.open_session(to_restore=False)
    rig.code(2104, "usfarm")
    rig.forget()
    rig.answer()
    assert rig.orders == [do.CompareBrokerState(1, NOT_CONNECTED, ()), do.EmitConnectedEvent(1), do.ReportGap(1)]
    assert rig.states == ["READY"]
    assert set(rig.running) == {Timer.LIVENESS}
    rig.forget()
    rig.code(1101)
    assert do.RestoreSubscriptions(1, same_session=True) in rig.orders, (
        "what was asked for in this session is forgotten too"
    )


def test_what_handlers_had_requested_is_restored_after_they_had_their_say(rig):
    rig.subscriptions = 1
    rig.connect()
    rig.event(SessionOpened(1, 178, ("DU1234567",), rig.names, to_restore_later=True))
    rig.code(2104, "usfarm")
    rig.moved(0)
    rig.forget()
    rig.answer()
    assert rig.orders[-2:] == [do.EmitConnectedEvent(1), do.RestoreSubscriptions(1, same_session=False)]
    assert (rig.machine.phase, rig.state) == (P.RESTORING, S.SYNCING)
    rig.moved(0)
    assert rig.state is S.READY


def test_nothing_holds_back_the_restore(restoring):
    restoring.moved(0)
    assert (restoring.machine.phase, Timer.RESTORE in restoring.timers) == (P.STARTUP, False)
    restoring.answer()
    assert restoring.states == ["READY"]
    assert not [order for order in restoring.orders if isinstance(order, do.RestoreSubscriptions)]


def test_a_restore_that_had_its_time_in_start_up_is_over(restoring):
    restoring.advance(0.3)
    restoring.answer()
    assert restoring.state is S.READY


def test_a_refused_request_is_an_answer_and_is_named(starting):
    starting.answer(*[name for name in starting.names if name != "account updates"])
    starting.event(StartupRefused(1, "account updates", "subscribed to a different account", 2101))
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, True)
    assert starting.status.reason == "start-up refused: account updates (2101: subscribed to a different account)"
    assert starting.status.codes == (2101,)
    starting.forget()
    live(starting, 8)
    again = do.ResendStartupRequests(1, ("account updates",), shared=True)
    assert starting.orders == [again] * 3, "after 1, 2 and 4 s"
    starting.answer("account updates")
    assert starting.state is S.READY
    live(starting, 120)
    assert len(starting.orders) == 3


@pytest.mark.parametrize("name", ["executions", "open orders", "positions"])
def test_what_is_refused_of_the_books_is_compared_as_not_known_and_holds_nothing_back(starting, name):
    starting.answer(*[each for each in starting.names if each != name])
    starting.event(StartupRefused(1, name, "not now", 322))
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, True)
    assert do.CompareBrokerState(1, NOT_CONNECTED, (name,)) in starting.orders


def test_refused_in_start_up_and_others_still_awaited(starting):
    starting.event(StartupRefused(1, "account updates", "no", 2101))
    assert starting.machine.phase is P.STARTUP
    starting.event(StartupRefused(1, "not asked for", "no", 2101))
    starting.answer("positions", "open orders", "completed orders", "executions")
    assert starting.state is S.DEGRADED


def test_what_streamed_and_is_refused_later_is_lost(ready):
    ready.event(StartupRefused(1, "account updates", "unsubscribed", 2100))
    assert ready.state is S.DEGRADED
    ready.answers_probes = True
    ready.advance(1.1)
    assert do.ResendStartupRequests(1, ("account updates",), shared=True) in ready.orders
    ready.code(1100)
    ready.forget()
    ready.advance(10)
    assert not [order for order in ready.orders if isinstance(order, do.ResendStartupRequests)]
    ready.code(1102)
    assert ready.orders[-1] == do.RequestBrokerState(1, tuple(sorted(("account updates", *BOOKS))))
    ready.answer()
    assert ready.state is S.READY


def test_an_execution_refused_late_is_compared(starting):
    starting.answer(*starting.names[:-1])
    live(starting, 20)
    starting.event(StartupRefused(1, "executions", "no", 322))
    assert do.CompareBrokerState(1, NOT_CONNECTED, ("executions",)) in starting.orders
    assert starting.status.may_trade


def test_restore_ends_when_all_are_live(restoring):
    starting = restoring
    starting.answer()
    starting.moved(1)
    assert starting.state is S.SYNCING
    starting.moved(0)
    assert starting.state is S.READY
    assert set(starting.running) == {Timer.LIVENESS}


def test_restore_never_waits_for_a_tick_longer_than_its_grace(restoring):
    starting = restoring
    starting.answer()
    starting.advance(0.249)
    assert starting.state is S.SYNCING
    starting.advance(0.002)
    assert starting.state is S.READY


def test_the_grace_begins_when_the_limiter_has_let_the_last_one_go(restoring):
    starting = restoring
    starting.answer()
    starting.event(SubscriptionsChanged(1, 300, held_back=292))
    assert Timer.RESTORE not in starting.timers
    live(starting, 7.25)
    starting.event(SubscriptionsChanged(1, 290, held_back=1))
    assert starting.state is S.SYNCING
    starting.forget()
    starting.event(SubscriptionsChanged(1, 289))
    assert (Timer.RESTORE, 0.25) in starting.delays
    starting.event(SubscriptionsChanged(1, 288))
    assert len(starting.delays) == 1, "one more that is live does not begin the grace anew"
    live(starting, 0.25)
    assert starting.state is S.READY


def test_with_nothing_to_restore_it_is_ready_at_once(starting):
    starting.answer()
    assert starting.states == ["READY"]
    assert starting.status.reason == "session and upstream up"


def test_a_refused_subscription_degrades_and_is_named(restoring):
    starting = restoring
    starting.answer()
    starting.moved(0, "AAPL (354: not subscribed)", "MSFT (200: unknown)")
    assert starting.state is S.DEGRADED
    assert starting.status.reason == "subscriptions refused: AAPL (354: not subscribed); MSFT (200: unknown)"
    assert (starting.status.is_connected, starting.status.may_trade) == (True, True)
    starting.moved(0, "MSFT (200: unknown)")
    assert starting.status.reason == "subscriptions refused: MSFT (200: unknown)"
    starting.moved(0)
    assert starting.state is S.READY


def test_a_subscription_cancelled_in_start_up_changes_nothing(starting):
    starting.moved(0)
    assert (starting.machine.phase, starting.state) == (P.STARTUP, S.SYNCING)


def test_a_subscription_cancelled_while_an_attempt_is_under_way_changes_nothing(ready):
    ready.end()
    ready.moved(0)
    assert (ready.machine.phase, ready.state) == (P.OPENING, S.RECONNECTING)


def test_overdue_it_is_asked_once_more_never_sharing_a_key_that_still_pends(starting):
    starting.answer("positions", "open orders")
    starting.forget()
    live(starting, 10)
    assert starting.orders[-1] == do.ResendStartupRequests(
        1, ("account updates", "completed orders", "executions"), shared=False
    )
    assert (Timer.REQUEST, 10.0) in starting.delays
    assert starting.state is S.SYNCING


def live(rig, seconds):
    """Time passes, and the gateway answers every probe."""
    for _ in range(round(seconds * 4)):
        rig.hear()
        rig.advance(0.25)


def test_still_missing_it_degrades_and_is_named(starting):
    starting.answer(*[name for name in starting.names if name not in ("positions", "account updates")])
    live(starting, 19.75)
    assert starting.state is S.SYNCING
    live(starting, 0.25)
    assert starting.state is S.DEGRADED
    assert starting.status.reason == "start-up requests without an answer: account updates, positions"
    assert (starting.status.is_connected, starting.status.may_trade) == (True, False)
    asked = [order for order in starting.orders if isinstance(order, do.ResendStartupRequests)]
    assert len(asked) == 1
    live(starting, 59.75)
    assert asked == [order for order in starting.orders if isinstance(order, do.ResendStartupRequests)], (
        "once more, not twice"
    )


def test_what_is_missing_is_requested_now_and_then_until_it_comes(starting):
    """A missing answer must not force anybody to restart the gateway."""
    starting.answer(*[name for name in starting.names if name != "positions"])
    live(starting, 20)
    starting.forget()
    live(starting, 120)
    assert starting.orders == [do.ResendStartupRequests(1, ("positions",), shared=True)] * 2
    starting.answer("positions")
    assert starting.state is S.READY
    live(starting, 120)
    assert len(starting.orders) == 2


def test_what_is_missing_is_not_requested_while_upstream_is_down(starting):
    starting.answer(*[name for name in starting.names if name != "positions"])
    live(starting, 20)
    starting.code(1100)
    starting.forget()
    live(starting, 120)
    assert starting.orders == []
    starting.code(1102)
    assert starting.orders == [do.FindActiveStreams(1, None, 1020.0, ""), do.RequestBrokerState(1, BOOKS)]


@pytest.mark.parametrize("name", ["open orders", "executions"])
def test_without_orders_or_executions_nothing_is_traded(starting, name):
    starting.answer(*[each for each in starting.names if each != name])
    live(starting, 20)
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, False)
    assert starting.status.may_trade_reason == f"not yet known: {name}"


def test_positions_hold_orders_back_and_come_late(starting):
    starting.answer(*[each for each in starting.names if each != "positions"])
    live(starting, 20)
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, False)
    assert starting.status.may_trade_reason == "not yet known: positions"
    starting.answer("positions")
    assert (starting.state, starting.status.may_trade) == (S.READY, True)


@pytest.mark.parametrize("waits_for", ["policy", "accounts"])
def test_positions_hold_no_orders_back_where_they_are_not_wanted_or_cannot_be_told(new_rig, waits_for):
    rig = new_rig(require_positions=waits_for != "policy")
    rig.connect()
    rig.open_session(accounts=tuple(f"U{number}" for number in range(51 if waits_for == "accounts" else 1)))
    rig.answer(*[each for each in rig.names if each != "positions"])
    live(rig, 20)
    assert (rig.state, rig.status.may_trade) == (S.DEGRADED, True)


@pytest.mark.parametrize("name", ["open orders", "executions", "positions"])
def test_an_answer_with_a_row_that_cannot_be_decoded_is_missing(starting, name):
    starting.answer(*[each for each in starting.names if each != name])
    starting.event(RowsNotDecoded(1, (name,)))
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, False)
    assert starting.status.reason == f"could not be decoded, the log has the rows: {name}"
    starting.forget()
    live(starting, 60)
    assert starting.orders == [do.ResendStartupRequests(1, (name,), shared=True)]
    starting.answer(name)
    assert (starting.state, starting.status.may_trade) == (S.READY, True)


def test_a_live_row_that_cannot_be_decoded_takes_the_permission_away_until_it_is_reported_again(ready):
    ready.forget()
    ready.event(RowsNotDecoded(1, ("executions",)))
    assert (ready.state, ready.status.may_trade) == (S.DEGRADED, False)
    live(ready, 1)
    assert ready.orders == [do.ResendStartupRequests(1, ("executions",), shared=True)]
    ready.event(RowsNotDecoded(1, ("executions",)))
    live(ready, 30)
    assert len(ready.orders) == 1, "what stays unreadable is not asked for each second"
    ready.answer("executions")
    assert (ready.state, ready.status.may_trade) == (S.READY, True)


@pytest.mark.parametrize("name", ["completed orders", "account updates"])
def test_may_trade_is_about_orders_and_positions(starting, name):
    starting.answer(*[each for each in starting.names if each != name])
    live(starting, 20)
    assert (starting.state, starting.status.may_trade, starting.status.may_trade_reason) == (S.DEGRADED, True, "")
    unknown = (name,) if name == "completed orders" else ()
    assert do.CompareBrokerState(1, NOT_CONNECTED, unknown) in starting.orders, "of account values nothing is compared"


def test_a_late_answer_serves(starting):
    starting.answer(*starting.names[:-1])
    live(starting, 20)
    assert starting.state is S.DEGRADED
    assert starting.orders[-1] == do.EmitConnectedEvent(1)
    starting.answer("executions")
    assert (starting.state, starting.status.may_trade) == (S.READY, True)
    assert starting.orders[-2:] == [do.CompareBrokerState(1, NOT_CONNECTED, ()), do.ReportGap(1)], (
        "and compared once, late"
    )


def test_a_late_answer_serves_while_subscriptions_are_restored(restoring):
    starting = restoring
    starting.event(SubscriptionsChanged(1, 2, held_back=1))
    starting.answer(*starting.names[:-1])
    live(starting, 20)
    starting.event(StartupAnswered(1, ("executions",)))
    assert (starting.machine.phase, starting.status.may_trade) == (P.RESTORING, True)
    assert starting.orders[-1] == do.CompareBrokerState(1, NOT_CONNECTED, ())
    starting.moved(0)
    assert starting.orders[-1] == do.ReportGap(1)
    assert starting.state is S.READY


def test_an_answer_between_the_two_askings_serves(starting):
    starting.answer(*starting.names[:-1])
    live(starting, 12)
    starting.answer("executions")
    assert starting.state is S.READY
    assert Timer.REQUEST not in starting.timers


def test_a_read_only_answer_is_an_answer(starting):
    starting.answer("open orders", "completed orders", read_only=True)
    starting.answer("positions", "account updates", "executions")
    assert starting.state is S.READY
    assert (starting.status.read_only, starting.status.may_trade) == (True, False)
    assert starting.status.reason == "session and upstream up; the gateway's API is read-only"
    assert "Read-Only API setting" in starting.status.may_trade_reason
    assert do.CompareBrokerState(1, NOT_CONNECTED, ("completed orders", "open orders")) in starting.orders, (
        "it told no orders"
    )


def test_a_program_that_said_readonly_may_not_trade(new_rig):
    rig = new_rig(readonly=True)
    rig.names = ("positions", "executions")
    rig.connect()
    rig.come_up()
    assert (rig.state, rig.status.may_trade, rig.status.read_only) == (S.READY, False, True)
    assert rig.status.may_trade_reason == "this program was configured with readonly = true"
    assert do.CompareBrokerState(1, NOT_CONNECTED, ("completed orders", "open orders")) in rig.orders


def test_a_new_session_begins_knowing_nothing(starting):
    starting.answer(read_only=True)
    starting.moved(0, "AAPL (354)")
    starting.end()
    starting.open_session(version=176, accounts=("DU1234567", "DU8"))
    assert (starting.status.read_only, dict(starting.status.farms), starting.status.upstream) == (False, {}, "unknown")
    assert (starting.status.server_version, starting.status.accounts) == (176, ("DU1234567", "DU8"))
    assert not starting.status.is_connected
    starting.code(2104, "usfarm")
    starting.forget()
    starting.answer()
    assert starting.orders == [
        do.CompareBrokerState(2, "the gateway closed the connection", (), outage=1),
        do.EmitConnectedEvent(2),
        do.ReportGap(2),
    ]
    assert starting.state is S.READY


def test_orders_may_be_sent_as_soon_as_orders_executions_and_positions_are_known(starting):
    starting.answer("open orders", "executions")
    assert not starting.status.may_trade
    starting.answer("positions")
    assert (starting.state, starting.status.may_trade, starting.status.is_connected) == (S.SYNCING, True, False)
    assert starting.orders == [do.CompareBrokerState(1, NOT_CONNECTED, ("completed orders",))]
    starting.answer("completed orders", "account updates")
    assert starting.state is S.READY
    assert starting.orders[1:] == [do.EmitConnectedEvent(1), do.ReportGap(1)]


# --- read-only during a session, and executions that never come --------------------------------------

READ_ONLY = "Error validating request.-'bH' : cause - The API interface is currently in Read-Only mode."


def test_read_only_in_mid_session_ends_trading_at_once_and_says_how_to_come_back(ready):
    ready.code(321, text="Invalid account code")
    assert ready.status.may_trade, "another reason to refuse a request"
    ready.code(321, text=READ_ONLY)
    assert (ready.state, ready.status.may_trade, ready.status.read_only) == (S.READY, False, True)
    assert "call retry_now()" in ready.status.may_trade_reason


def test_retry_now_asks_whether_it_still_is(ready):
    ready.code(321, text=READ_ONLY)
    ready.forget()
    ready.event(RetryRequested())
    assert (ready.orders, ready.state) == ([do.RequestBrokerState(1, BOOKS)], S.SYNCING)
    ready.answer("open orders", "completed orders", read_only=True)
    ready.answer("positions", "executions")
    assert (ready.state, ready.status.may_trade, ready.status.read_only) == (S.READY, False, True)
    ready.advance(1)
    ready.event(RetryRequested())
    ready.answer()
    assert (ready.state, ready.status.may_trade, ready.status.read_only) == (S.READY, True, False)
    ready.forget()
    ready.event(RetryRequested())
    assert ready.orders == [], "nothing is in doubt"


def test_it_is_asked_by_itself_only_if_the_policy_wants_that(new_rig, bring):
    for every, times in ((0.0, 0), (30.0, 2)):
        rig = new_rig(read_only_every=every)
        bring(rig, P.UP)
        rig.answers_probes = True
        rig.code(321, text=READ_ONLY)
        rig.forget()
        for _ in range(2):
            rig.advance(30)
            rig.answer(read_only=True)
        assert rig.orders.count(do.RequestBrokerState(1, BOOKS)) == times


def test_without_executions_it_may_trade_if_the_policy_says_so(new_rig):
    rig = new_rig(require_executions=False)
    rig.connect()
    rig.open_session()
    rig.code(2104, "usfarm")
    rig.answer(*[each for each in rig.names if each != "executions"])
    assert not rig.status.may_trade
    live(rig, 20)
    assert (rig.state, rig.status.may_trade) == (S.DEGRADED, True)
    assert do.CompareBrokerState(1, NOT_CONNECTED, ("executions",)) in rig.orders


def test_it_is_not_asked_while_upstream_is_down(new_rig, bring):
    rig = new_rig(read_only_every=30.0)
    bring(rig, P.UP)
    rig.answers_probes = True
    rig.code(321, text=READ_ONLY)
    rig.code(1100)
    rig.forget()
    rig.advance(100)
    assert not [order for order in rig.orders if isinstance(order, do.RequestBrokerState)]
