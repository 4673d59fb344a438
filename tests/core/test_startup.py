"""Start-up and restore: answered, overdue, asked once more, missing, late; subscriptions live or refused.

Over 300 lines, because all of it begins with the same session.
"""

import pytest

from ibkr.core import effects as do
from ibkr.core.facts import RowsUnreadable, StartupAnswered, SubscriptionsMoved, Timer
from ibkr.core.situation import Phase as P
from ibkr.core.state import ConnectionState as S
from ibkr.core.sync import NOT_CONNECTED


@pytest.fixture
def starting(rig):
    """A session that is up, its start-up requests are out, upstream known."""
    rig.connect()
    rig.open_session()
    rig.code(2104, "usfarm")
    rig.forget()
    return rig


def test_a_session_begins_with_start_up(rig):
    rig.connect()
    rig.forget()
    rig.open_session()
    assert rig.orders == [do.StartUp(1)]
    assert rig.delays == [(Timer.REQUEST, 10.0), (Timer.LIVENESS, 5.0), (Timer.UPSTREAM, 0.25)]
    assert (rig.state, rig.status.is_connected, rig.status.may_trade) == (S.SYNCING, False, False)
    assert rig.status.reason == "start-up: orders, positions and account values are being received"
    assert rig.status.may_trade_reason == "start-up has not ended: orders, executions and positions are not known yet"


def test_answered_in_full_it_is_announced_and_restored(starting):
    starting.subscriptions = 2
    starting.answer(*starting.names[:-1])
    assert (starting.state, starting.status.is_connected) == (S.SYNCING, False)
    starting.answer("executions")
    assert starting.orders == [
        do.Compare(1, NOT_CONNECTED, ()),
        do.Restore(1, same_session=False),
        do.Announce(1),
    ]
    assert (starting.machine.phase, starting.state) == (P.RESTORING, S.SYNCING)
    assert (starting.status.is_connected, starting.status.may_trade) == (True, True)
    assert starting.status.reason == "restore: subscriptions are being asked for again"
    assert set(starting.running) == {Timer.LIVENESS, Timer.RESTORE}


def test_with_nothing_to_restore_start_up_is_all(rig):
    rig.connect()
    rig.open_session(to_restore=False)
    rig.code(2104, "usfarm")
    rig.forget()
    rig.answer()
    assert rig.orders == [do.Compare(1, NOT_CONNECTED, ()), do.Announce(1), do.ReportGap(1)]
    assert rig.states == ["READY"]
    assert set(rig.running) == {Timer.LIVENESS}
    rig.code(1101)
    rig.forget()
    rig.answer()
    assert do.Restore(1, same_session=True) in rig.orders, "what was asked for in this session is forgotten too"


def test_restore_ends_when_all_are_live(starting):
    starting.subscriptions = 2
    starting.answer()
    starting.moved(1)
    assert starting.state is S.SYNCING
    starting.moved(0)
    assert starting.state is S.READY
    assert set(starting.running) == {Timer.LIVENESS}


def test_restore_never_waits_for_a_tick_longer_than_its_grace(starting):
    starting.subscriptions = 2
    starting.answer()
    starting.advance(0.249)
    assert starting.state is S.SYNCING
    starting.advance(0.002)
    assert starting.state is S.READY


def test_the_grace_begins_when_the_limiter_has_let_the_last_one_go(starting):
    """300 subscriptions take seven seconds to send: READY before that would be a lie."""
    starting.subscriptions = 300
    starting.answer()
    starting.fact(SubscriptionsMoved(1, 300, held_back=292))
    assert Timer.RESTORE not in starting.timers
    live(starting, 7.25)
    starting.fact(SubscriptionsMoved(1, 290, held_back=1))
    assert starting.state is S.SYNCING
    starting.forget()
    starting.fact(SubscriptionsMoved(1, 289))
    assert (Timer.RESTORE, 0.25) in starting.delays
    starting.fact(SubscriptionsMoved(1, 288))
    assert len(starting.delays) == 1, "one more that is live does not begin the grace anew"
    live(starting, 0.25)
    assert starting.state is S.READY


def test_with_nothing_to_restore_it_is_ready_at_once(starting):
    starting.answer()
    assert starting.states == ["SYNCING", "READY"]
    assert starting.status.reason == "session and upstream up"


def test_a_refused_subscription_degrades_and_is_named(starting):
    starting.subscriptions = 2
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
    assert starting.orders[-1] == do.AskAgain(1, ("account updates", "completed orders", "executions"), shared=False)
    assert (Timer.REQUEST, 10.0) in starting.delays
    assert starting.state is S.SYNCING


def live(rig, seconds):
    """Time passes on a socket that answers every probe."""
    for _ in range(round(seconds * 4)):
        rig.hear()
        rig.advance(0.25)


def test_still_missing_it_degrades_and_is_named(starting):
    starting.answer(*[name for name in starting.names if name not in ("positions", "account updates")])
    live(starting, 19.75)
    assert starting.state is S.SYNCING
    live(starting, 0.25)
    assert starting.state is S.DEGRADED
    assert starting.status.reason == "start-up unanswered: account updates, positions"
    assert (starting.status.is_connected, starting.status.may_trade) == (True, False)
    asked = [order for order in starting.orders if isinstance(order, do.AskAgain)]
    assert len(asked) == 1
    live(starting, 59.75)
    assert asked == [order for order in starting.orders if isinstance(order, do.AskAgain)], "once more, not twice"


def test_what_is_missing_is_asked_for_now_and_then_until_it_comes(starting):
    """No gateway should have to be restarted for one answer."""
    starting.answer(*[name for name in starting.names if name != "positions"])
    live(starting, 20)
    starting.forget()
    live(starting, 120)
    assert starting.orders == [do.AskAgain(1, ("positions",), shared=True)] * 2
    starting.answer("positions")
    assert starting.state is S.READY
    live(starting, 120)
    assert len(starting.orders) == 2


def test_what_is_missing_is_not_asked_for_while_upstream_is_down(starting):
    starting.answer(*[name for name in starting.names if name != "positions"])
    live(starting, 20)
    starting.code(1100)
    starting.forget()
    live(starting, 120)
    assert starting.orders == []
    starting.code(1102)
    assert starting.orders == [do.Watch(1, None, 1020.0, ""), do.AskAgain(1, ("positions",), shared=True)]


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
    starting.fact(RowsUnreadable(1, (name,)))
    assert (starting.state, starting.status.may_trade) == (S.DEGRADED, False)
    assert starting.status.reason == f"could not be decoded, the log has the rows: {name}"
    starting.forget()
    live(starting, 60)
    assert starting.orders == [do.AskAgain(1, (name,), shared=True)]
    starting.answer(name)
    assert (starting.state, starting.status.may_trade) == (S.READY, True)


def test_a_live_row_that_cannot_be_decoded_takes_the_permission_away_until_it_is_told_anew(ready):
    ready.forget()
    ready.fact(RowsUnreadable(1, ("executions",)))
    assert (ready.state, ready.status.may_trade) == (S.DEGRADED, False)
    live(ready, 1)
    assert ready.orders == [do.AskAgain(1, ("executions",), shared=True)]
    ready.fact(RowsUnreadable(1, ("executions",)))
    live(ready, 30)
    assert len(ready.orders) == 1, "what stays unreadable is not asked for each second"
    ready.answer("executions")
    assert (ready.state, ready.status.may_trade) == (S.READY, True)


@pytest.mark.parametrize("name", ["completed orders", "account updates"])
def test_may_trade_is_about_orders_and_positions(starting, name):
    starting.answer(*[each for each in starting.names if each != name])
    live(starting, 20)
    assert (starting.state, starting.status.may_trade, starting.status.may_trade_reason) == (S.DEGRADED, True, "")
    assert do.Compare(1, NOT_CONNECTED, (name,)) in starting.orders


def test_a_late_answer_serves(starting):
    starting.answer(*starting.names[:-1])
    live(starting, 20)
    assert starting.state is S.DEGRADED
    assert starting.orders[-2:] == [do.Restore(1, same_session=False), do.Announce(1)]
    starting.answer("executions")
    assert (starting.state, starting.status.may_trade) == (S.READY, True)
    assert starting.orders[-2:] == [do.Compare(1, NOT_CONNECTED, ()), do.ReportGap(1)], "and compared once, late"


def test_a_late_answer_serves_while_subscriptions_are_restored(starting):
    starting.subscriptions = 1
    starting.answer(*starting.names[:-1])
    live(starting, 20)
    starting.fact(StartupAnswered(1, ("executions",)))
    assert (starting.machine.phase, starting.status.may_trade) == (P.RESTORING, True)
    assert starting.orders[-1] == do.Compare(1, NOT_CONNECTED, ())
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
    assert do.Compare(1, NOT_CONNECTED, ("completed orders", "open orders")) in starting.orders, "it told no orders"


def test_a_program_that_said_readonly_may_not_trade(new_rig):
    rig = new_rig(readonly=True)
    rig.names = ("positions", "executions")
    rig.connect()
    rig.come_up()
    assert (rig.state, rig.status.may_trade, rig.status.read_only) == (S.READY, False, True)
    assert rig.status.may_trade_reason == "this program was configured with readonly = true"
    assert do.Compare(1, NOT_CONNECTED, ("completed orders", "open orders")) in rig.orders


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
        do.Compare(2, "the gateway closed the connection", (), outage=1),
        do.Restore(2, same_session=False),
        do.Announce(2),
        do.ReportGap(2),
    ]
    assert starting.state is S.READY
