"""What the gateway says of its own link: 1100, 1101, 1102, 2110."""

import pytest

from ibkr.core import effects as do
from ibkr.core.facts import Timer
from ibkr.core.situation import Phase as P
from ibkr.core.state import ConnectionState as S
from ibkr.core.state import UpstreamState
from ibkr.core.sync import DATA_LOST, NOT_CONNECTED

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
    ready.code(1102)
    assert ready.states == ["DEGRADED", "READY"]
    assert len(ready.published) == 2
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


def test_1101_starts_the_synchronisation_anew_on_the_same_socket(up):
    up.code(1100)
    up.forget()
    up.code(1101)
    assert (up.state, up.machine.phase, up.status.may_trade) == (S.SYNCING, P.STARTUP, False)
    assert up.orders == [do.StartUp(1)]
    assert Timer.RESTORE not in up.timers
    assert up.delays == [(Timer.REQUEST, 10.0)]
    was_connected = up.status.is_connected
    cause = DATA_LOST if was_connected else NOT_CONNECTED
    outages = up.status.outages
    up.subscriptions = 1
    up.answer()
    announced = [] if was_connected else [do.Announce(1)]
    assert up.orders[1:] == [do.Compare(1, cause, (), outages), do.Restore(1, same_session=True), *announced], (
        "it forgot what was asked for in start-up too"
    )
    assert (up.state, up.status.is_connected, up.status.may_trade) == (S.SYNCING, True, True)
    up.moved(0)
    assert up.state is S.READY


def test_1101_without_1100_does_the_same(ready):
    ready.code(1101)
    assert (ready.state, ready.status.is_connected) == (S.SYNCING, True)
    assert ready.orders == [do.StartUp(1)]
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
    assert rig.orders == [do.StartUp(1)]
    rig.answer("completed orders", "account updates", "executions")
    assert rig.state is S.SYNCING
    rig.answer("positions", "open orders")
    assert rig.state is S.READY


def test_1102_is_ready_at_once(ready):
    ready.code(1100)
    ready.forget()
    ready.code(1102)
    assert (ready.state, ready.orders, ready.delays) == (S.READY, [do.Watch(1, None, 1000.0, "")], [])


def test_1102_in_restore_goes_on_restoring(new_rig, bring):
    rig = new_rig()
    bring(rig, P.RESTORING)
    rig.code(1100)
    rig.code(1102)
    assert (rig.state, rig.machine.phase) == (S.SYNCING, P.RESTORING)
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
    assert rig.orders == [do.AskAgain(1, ("account updates", "completed orders", "open orders"), shared=True)]
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


def test_missing_while_upstream_is_down_counts_for_nothing_and_is_asked_for_again(rig):
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
    assert rig.orders.count(do.AskAgain(1, ("account updates",), shared=False)) == 1
    assert (rig.state, rig.status.reason) == (S.DEGRADED, "start-up unanswered: account updates")


def test_streams_that_1102_left_running_are_not_asked_for_again(rig):
    overdue_while_down(rig)
    rig.code(1102)
    rig.answer()
    assert not [order for order in rig.orders if isinstance(order, do.Restore)]
    assert rig.status.attempt == 0


def test_trading_does_not_wait_for_account_values_after_1102(rig):
    overdue_while_down(rig)
    rig.code(1102)
    rig.answer(*ALL_BUT_ACCOUNT)
    assert (rig.state, rig.status.may_trade) == (S.SYNCING, True)


def test_what_was_told_while_upstream_was_down_is_asked_for_again_before_it_is_compared(rig):
    rig.connect()
    rig.open_session()
    rig.code(1100)
    rig.answer()
    assert (rig.state, rig.machine.phase, rig.status.is_connected) == (S.DEGRADED, P.UP, True)
    assert not [order for order in rig.orders if isinstance(order, do.Compare | do.ReportGap)]
    rig.code(1102)
    assert rig.orders[-1] == do.AskAgain(1, tuple(sorted(ALL_BUT_ACCOUNT)), shared=True)
    rig.forget()
    rig.answer("open orders", "executions")
    assert (rig.state, rig.status.may_trade) == (S.SYNCING, False)
    rig.answer("positions", "completed orders")
    assert (rig.state, rig.status.may_trade) == (S.READY, True)
    assert [type(order) for order in rig.orders] == [do.Compare, do.ReportGap]


def test_1102_interrupts_a_restore_when_answers_lack_and_restores_after_them(rig):
    rig.subscriptions = 1
    overdue_while_down(rig)
    assert rig.machine.phase is P.RESTORING
    rig.code(1102)
    assert (rig.machine.phase, Timer.RESTORE in rig.timers) == (P.STARTUP, False)
    rig.answer()
    assert rig.orders[-1] == do.Restore(1, same_session=True)
    rig.moved(0)
    assert rig.state is S.READY


def test_upstream_of_a_new_session_is_waited_for_and_then_assumed(rig):
    rig.connect()
    rig.open_session()
    rig.answer()
    assert (rig.state, rig.status.upstream) == (S.SYNCING, UpstreamState.UNKNOWN)
    assert rig.status.reason == "waiting for the gateway to say how its link to IB's servers is"
    assert rig.status.may_trade
    rig.advance(0.25)
    assert (rig.state, rig.status.upstream) == (S.READY, UpstreamState.ASSUMED)
    assert rig.status.reason == "session up; upstream assumed, the gateway has not said"
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
