"""The gateway's messages about its link to IB: 1100, 1101, 1102, 2110."""

import pytest

from ibkr.core import effects as do
from ibkr.core.data_loss import DATA_LOST
from ibkr.core.events import Timer
from ibkr.core.machine_state import Phase as P
from ibkr.core.reconciliation import LINK_LOST
from ibkr.core.recovery import NOT_CONNECTED
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import UpstreamState

from .rig import NAMES

BOOKS = ("completed orders", "executions", "open orders", "positions")
ALL_BUT_ACCOUNT = ["positions", "open orders", "completed orders", "executions"]
SESSION = [P.STARTUP, P.RESTORING, P.UP]


@pytest.fixture(params=SESSION, ids=str)
def up(request, new_rig, bring):
    """A session in each of its phases."""
    rig = new_rig()
    bring(rig, request.param)
    rig.forget()
    return rig


@pytest.mark.parametrize("code", [1100, 2110])
def test_upstream_lost_degrades_and_keeps_the_socket(up, code):
    up.code(code)
    assert (up.state, up.status.upstream, up.status.may_trade) == (S.DEGRADED, UpstreamState.DOWN, False)
    assert up.status.reason == up.status.may_trade_reason == "the gateway has lost its link to IB's servers"
    assert up.status.is_connected is (up.machine.phase is not P.STARTUP)
    for _ in range(720):
        up.advance(5)
        up.hear()
    assert (up.state, up.socket, up.attempt) == (S.DEGRADED, 1, 1)


def test_repeats_are_one_event(ready):
    ready.code(1100)
    for _ in range(20):
        ready.advance(3)
        ready.hear()
        ready.code(1100)
    ready.code(2110)
    ready.link_back()
    assert ready.states == ["DEGRADED", "SYNCING", "READY"]
    assert len(ready.published) == 3
    assert ready.status.outages == 1


def test_1100_before_there_is_a_session_is_not_forgotten(rig):
    rig.connect()
    rig.code(1100)
    assert rig.state is S.CONNECTING
    rig.open_session()
    assert rig.state is S.DEGRADED
    assert Timer.UPSTREAM not in rig.timers
    rig.answer()
    assert (rig.state, rig.status.is_connected, rig.status.may_trade) == (S.DEGRADED, True, False)


def test_1101_starts_the_synchronisation_again_on_the_same_socket(up):
    up.code(1100)
    up.forget()
    up.code(1101)
    assert (up.state, up.machine.phase, up.status.may_trade) == (S.SYNCING, P.STARTUP, False)
    assert up.orders[:2] == [do.SendStartupRequests(1), do.RestoreSubscriptions(1, same_session=True)]
    assert up.delays[:2] == [(Timer.REQUEST, 10.0), (Timer.RESTORE, 0.25)]
    was_connected = up.status.is_connected
    cause = DATA_LOST if was_connected else NOT_CONNECTED
    outages = up.status.outages
    up.answer()
    announced = [] if was_connected else [do.EmitConnectedEvent(1)]
    since = [order for order in up.orders[2:] if not isinstance(order, do.FindActiveStreams)]
    assert since[: 1 + len(announced)] == [do.CompareBrokerState(1, cause, (), outages), *announced]
    assert (up.status.is_connected, up.status.may_trade) == (True, True)
    up.moved(0)
    assert up.state is S.READY


def test_1101_without_1100_does_the_same(ready):
    ready.code(1101)
    assert (ready.state, ready.status.is_connected) == (S.SYNCING, True)
    assert ready.orders[:2] == [do.SendStartupRequests(1), do.RestoreSubscriptions(1, same_session=True)]
    assert ready.status.outages == 1


def test_1101_forgets_every_answer(ready):
    ready.code(1101)
    ready.answer("positions", "open orders", "completed orders", "account updates")
    assert ready.state is S.SYNCING
    ready.answer("executions")
    assert ready.state is S.READY


def test_1101_in_start_up_asks_everything_again(rig):
    rig.connect()
    rig.open_session()
    rig.answer("positions", "open orders")
    rig.advance(6)
    rig.hear()
    rig.forget()
    rig.code(1101)
    assert rig.orders[:2] == [do.SendStartupRequests(1), do.RestoreSubscriptions(1, same_session=True)]
    rig.answer("completed orders", "account updates", "executions")
    assert rig.state is S.SYNCING
    rig.answer("positions", "open orders")
    assert rig.state is S.READY


def test_1102_asks_for_the_books_again_and_compares_them(ready):
    ready.code(1100)
    ready.forget()
    ready.code(1102)
    assert (ready.state, ready.status.may_trade) == (S.SYNCING, False)
    assert ready.orders == [do.FindActiveStreams(1, None, 1000.0, ""), do.RequestBrokerState(1, BOOKS)]
    ready.forget()
    ready.answer("open orders", "positions")
    assert (ready.state, ready.status.may_trade, ready.orders) == (S.SYNCING, False, [])
    ready.answer("completed orders", "executions")
    assert (ready.state, ready.status.may_trade) == (S.READY, True)
    assert ready.orders == [do.CompareBrokerState(1, LINK_LOST, (), 1), do.ReportGap(1)]


def test_after_1102_executions_are_requested_again_twice_because_they_may_come_late(ready):
    ready.code(1100)
    ready.link_back()
    ready.forget()
    for seconds in (10.0, 50.0):
        ready.answers_probes = True
        ready.advance(seconds - 0.1)
        assert not [order for order in ready.orders if isinstance(order, do.RequestBrokerState)]
        ready.advance(0.1)
        assert [order for order in ready.orders if isinstance(order, do.RequestBrokerState)] == [
            do.RequestBrokerState(1, BOOKS, is_late=True)
        ]
        assert (ready.state, ready.status.may_trade) == (S.READY, True)
        ready.answer("open orders")
        assert do.AmendGapReport(1) not in ready.orders
        ready.answer("executions")
        assert ready.orders[-1] == do.AmendGapReport(1)
        ready.forget()
        ready.answer("executions")
        assert ready.orders == [], "nobody has asked"
    ready.advance(100)
    assert not [order for order in ready.orders if isinstance(order, do.RequestBrokerState)]


def test_there_is_no_late_look_while_upstream_is_down_again(ready):
    ready.answers_probes = True
    ready.code(1100)
    ready.link_back()
    ready.code(1100)
    ready.forget()
    ready.advance(70)
    assert not [order for order in ready.orders if isinstance(order, do.RequestBrokerState)]


def test_1102_in_restore_goes_on_restoring(new_rig, bring):
    rig = new_rig()
    bring(rig, P.RESTORING)
    rig.code(1100)
    rig.code(1102)
    assert (rig.state, rig.machine.phase) == (S.SYNCING, P.STARTUP)
    rig.answer()
    assert (rig.state, rig.machine.phase) == (S.SYNCING, P.RESTORING)
    assert len([order for order in rig.orders if isinstance(order, do.RestoreSubscriptions)]) == 1
    rig.moved(0)
    assert rig.state is S.READY


def test_1102_asks_for_what_start_up_still_lacks_shared_keys_included(rig):
    rig.connect()
    rig.open_session()
    rig.answer("positions", "executions")
    rig.code(1100)
    rig.advance(8)
    rig.hear()
    rig.forget()
    rig.code(1102)
    assert rig.orders[-1] == do.RequestBrokerState(1, tuple(sorted(NAMES)))
    assert (Timer.REQUEST, 10.0) in rig.delays
    assert rig.state is S.SYNCING


def overdue_while_down(rig):
    """Start-up ended without account values, while upstream was down."""
    rig.connect()
    rig.open_session()
    rig.code(1100)
    rig.answer(*ALL_BUT_ACCOUNT)
    for _ in range(4):
        rig.advance(2.5)
        rig.hear()
    rig.forget()


def test_missing_while_upstream_is_down_counts_for_nothing_and_is_requested_again(rig):
    overdue_while_down(rig)
    assert (rig.state, rig.machine.phase) == (S.DEGRADED, P.UP)
    assert "unanswered" not in rig.status.reason
    rig.code(1102)
    assert rig.states == ["SYNCING"]
    rig.answer()
    assert rig.state is S.READY


def test_the_rest_after_1102_may_be_overdue_again(rig):
    overdue_while_down(rig)
    rig.code(1102)
    rig.answer(*ALL_BUT_ACCOUNT)
    for _ in range(8):
        rig.advance(2.5)
        rig.hear()
    assert rig.orders.count(do.ResendStartupRequests(1, ("account updates",), shared=False)) == 1
    assert (rig.state, rig.status.reason) == (S.DEGRADED, "start-up requests without an answer: account updates")


def test_streams_that_1102_left_running_are_not_requested_again(rig):
    overdue_while_down(rig)
    rig.code(1102)
    rig.answer()
    assert not [order for order in rig.orders if isinstance(order, do.RestoreSubscriptions)]
    assert rig.status.attempt == 0


def test_trading_does_not_wait_for_account_values_after_1102(rig):
    overdue_while_down(rig)
    rig.code(1102)
    rig.answer(*ALL_BUT_ACCOUNT)
    assert (rig.state, rig.status.may_trade) == (S.SYNCING, True)


def test_what_was_told_while_upstream_was_down_is_requested_again_before_it_is_compared(rig):
    rig.connect()
    rig.open_session()
    rig.code(1100)
    rig.answer()
    assert (rig.state, rig.machine.phase, rig.status.is_connected) == (S.DEGRADED, P.UP, True)
    assert not [order for order in rig.orders if isinstance(order, do.CompareBrokerState | do.ReportGap)]
    rig.code(1102)
    assert rig.orders[-1] == do.RequestBrokerState(1, BOOKS)
    rig.forget()
    rig.answer("open orders", "executions")
    assert (rig.state, rig.status.may_trade) == (S.SYNCING, False)
    rig.answer("positions", "completed orders")
    assert (rig.state, rig.status.may_trade) == (S.READY, True)
    assert [type(order) for order in rig.orders] == [do.CompareBrokerState, do.ReportGap]


def test_1102_interrupts_no_restore_when_answers_lack(new_rig):
    rig = new_rig(restore_grace=30.0)
    rig.subscriptions = 1
    overdue_while_down(rig)
    assert rig.machine.phase is P.RESTORING
    rig.code(1102)
    assert (rig.machine.phase, Timer.RESTORE in rig.timers) == (P.STARTUP, True)
    rig.answer()
    assert (rig.machine.phase, rig.orders.count(do.RestoreSubscriptions(1, same_session=True))) == (P.RESTORING, 0)
    rig.moved(0)
    assert rig.state is S.READY


def test_upstream_of_a_new_session_is_waited_for_and_then_assumed(rig):
    rig.connect()
    rig.open_session()
    rig.answer()
    assert (rig.state, rig.status.upstream) == (S.SYNCING, UpstreamState.UNKNOWN)
    assert rig.status.reason == "waiting for the gateway to report its link to IB's servers"
    assert rig.status.may_trade
    rig.advance(0.25)
    assert (rig.state, rig.status.upstream) == (S.READY, UpstreamState.ASSUMED)
    assert rig.status.reason == "session up; upstream assumed, the gateway has not reported it"
    rig.code(2104, "usfarm")
    assert (rig.state, rig.status.upstream) == (S.READY, UpstreamState.UP)


@pytest.mark.parametrize("code", [2103, 2104, 2105, 2106, 2107, 2108, 2119, 2157, 2158, 1101, 1102])
def test_the_first_word_of_any_of_its_links_makes_upstream_known(rig, code):
    rig.connect()
    rig.open_session()
    rig.code(code, "usfarm")
    assert rig.status.upstream is UpstreamState.UP
    assert Timer.UPSTREAM not in rig.timers


def test_a_farm_notice_does_not_bring_back_a_lost_upstream(ready):
    ready.code(1100)
    ready.code(2104, "usfarm")
    assert (ready.state, ready.status.upstream) == (S.DEGRADED, UpstreamState.DOWN)


@pytest.mark.parametrize("code", [321, 326, 10090, 10167, 10197, 99999])
def test_codes_without_a_reaction_change_nothing_in_a_session(ready, code):
    ready.code(code, text="whatever")
    assert (ready.orders, ready.published) == ([], [])
