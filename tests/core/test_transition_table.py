"""The transition table, and examples of the transitions that the random events in stateful/ rarely reach.

This file has over 300 lines because each event has a sample.
"""

from datetime import UTC, time
from typing import get_args

import pytest

from ibkr.core import effects as do
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.events import (
    ActiveStream,
    ActiveStreamsFound,
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectRequested,
    DisconnectRequested,
    Event,
    FarmStatusReceived,
    LimitReached,
    LostStream,
    PeerIdentified,
    ProbeAnswered,
    ProbeRequested,
    ReconnectRequested,
    RetryRequested,
    RowsNotDecoded,
    SessionOpened,
    StartupAnswered,
    StartupRefused,
    StartupRequested,
    SubscriptionsChanged,
    Timer,
    TimerFired,
    TransportClosed,
)
from ibkr.core.machine_state import Phase as P
from ibkr.core.maintenance_calendar import Calendar, Recurrence
from ibkr.core.states import Feed
from ibkr.core.transitions import TRANSITIONS, ignore_event


def test_it_knows_every_phase_every_event_and_every_timer():
    assert {phase for phase, _ in TRANSITIONS} == set(P)
    assert {trigger for _, trigger in TRANSITIONS} == (set(get_args(Event)) - {TimerFired}) | set(Timer)


@pytest.mark.parametrize("phase", list(P))
def test_the_caller_may_want_anything_at_any_time(phase):
    assert {(phase, ConnectRequested), (phase, DisconnectRequested), (phase, ReconnectRequested)} <= set(TRANSITIONS)
    assert TRANSITIONS[phase, DisconnectRequested].to == {P.IDLE}


def start_up(rig, attempts):
    rig.connect(attempts)
    rig.open_session()
    rig.code(2104, "usfarm")
    return rig


def reach_the_port(rig, attempts):
    rig.connect(attempts)
    rig.accept()


def miss_one_answer(rig):
    """Start-up ended without account values while upstream was down; now upstream is back."""
    rig.answers_probes = True
    start_up(rig, None)
    rig.code(1100)
    rig.answer(*[name for name in rig.names if name != "account updates"])
    rig.advance(10)
    rig.code(1102)
    assert rig.machine.phase is P.STARTUP
    rig.answer(*[name for name in rig.names if name != "account updates"])
    return rig


def lose(rig, how):
    match how:
        case "it ends":
            rig.end()
        case "its port moves":
            rig.code(1300, text="Please reconnect on the new port -4001")
        case "it falls silent":
            rig.advance(5 if rig.machine.phase is P.OPENING else 10)
    if rig.machine.phase is P.CLOSING:
        rig.end()


@pytest.mark.parametrize("how", ["it ends", "its port moves", "it falls silent"])
@pytest.mark.parametrize(("attempts", "to"), [(1, P.FAILED), (2, P.WAITING), (None, P.WAITING)])
@pytest.mark.parametrize("begin", [reach_the_port, start_up])
def test_a_first_session_that_does_not_come(rig, begin, attempts, to, how):
    begin(rig, attempts)
    lose(rig, how)
    assert rig.machine.phase is to


@pytest.mark.parametrize("wanted", [ReconnectRequested, RetryRequested])
def test_an_attempt_wanted_now_waits_for_the_end_of_the_last_socket(rig, wanted):
    reach_the_port(rig, None)
    rig.advance(5)
    assert rig.machine.phase is P.WAITING
    rig.event(wanted())
    assert (rig.machine.phase, len(rig.opened)) == (P.CLOSING, 1)


def test_the_last_answer_where_nothing_is_to_be_restored(rig):
    miss_one_answer(rig).answer("account updates")
    assert rig.machine.phase is P.UP


def test_an_answer_overdue_where_nothing_is_to_be_restored(rig):
    miss_one_answer(rig).advance(20)
    assert rig.machine.phase is P.UP


def test_a_restore_that_falls_silent(new_rig, bring):
    rig = new_rig(restore_grace=30.0)
    bring(rig, P.RESTORING)
    rig.advance(10)
    assert rig.machine.phase is P.CLOSING


@pytest.mark.parametrize("how", ["it ends", "its port moves", "it falls silent"])
@pytest.mark.parametrize("phase", [P.RESTORING, P.UP])
def test_a_session_lost_once_too_often(new_rig, bring, phase, how):
    rig = new_rig(flap_limit=1, restore_grace=30.0)
    bring(rig, phase)
    for to in (P.OPENING, P.WAITING):
        lose(rig, how)
        assert rig.machine.phase is to
        if to is P.OPENING:
            rig.open_session()
            rig.code(2104, "usfarm")
            rig.answer()
            assert rig.machine.phase is phase


def test_streams_that_ended_twice_while_start_up_goes_on(rig):
    miss_one_answer(rig)
    for req_id in (1, 2):
        rig.event(SubscriptionsChanged(1, 0, (), (LostStream(req_id, Feed.MARKET, "AAPL"),)))
    rig.advance(1)
    assert rig.machine.phase is P.STARTUP
    assert rig.orders[-2:] == [do.RequestStreams(1, (1,)), do.RequestStreams(1, (2,))]


def test_what_is_missing_is_requested_while_a_restore_goes_on(new_rig):
    rig = new_rig(restore_grace=30.0, missing_every=5.0)
    rig.answers_probes = True
    rig.subscriptions = 1
    start_up(rig, None).answer("open orders", "executions")
    rig.advance(25)
    assert rig.machine.phase is P.RESTORING
    assert do.ResendStartupRequests(1, ("account updates", "completed orders", "positions"), shared=True) in rig.orders


def test_a_maintenance_window_that_begins_in_a_restore(new_rig, bring):
    window = Recurrence("reset", frozenset(range(7)), time(14, 30, 5), time(15), UTC)
    rig = new_rig(restore_grace=30.0, calendar=Calendar([window]))
    bring(rig, P.RESTORING)
    rig.advance(5)
    assert rig.machine.phase is P.RESTORING
    assert rig.status.maintenance.name == "reset"


def test_a_restore_that_takes_long_raises_the_alert(new_rig, bring):
    rig = new_rig(restore_grace=30.0, outage_alert_after=4.0)
    bring(rig, P.RESTORING)
    rig.advance(4)
    assert rig.machine.phase is P.RESTORING
    assert rig.status.alert


def test_upstream_is_assumed_while_a_restore_goes_on(new_rig):
    rig = new_rig(restore_grace=30.0)
    rig.subscriptions = 1
    rig.connect()
    rig.open_session()
    rig.answer()
    rig.advance(0.25)
    assert (rig.machine.phase, rig.status.upstream) == (P.RESTORING, "assumed")


@pytest.mark.parametrize("phase", [P.STARTUP, P.RESTORING, P.UP])
def test_a_second_1101_waits_its_turn_in_any_phase(new_rig, bring, phase):
    rig = new_rig(restore_grace=30.0)
    rig.answers_probes = True
    bring(rig, phase)
    rig.subscriptions = 1 if phase is P.RESTORING else 0
    rig.forget()
    rig.code(1101)
    rig.code(1101)
    rig.answer()
    assert rig.machine.phase is P.STARTUP
    rig.event(SubscriptionsChanged(1, 3, held_back=2))
    rig.advance(2)
    restore = do.RestoreSubscriptions(1, same_session=True)
    assert (rig.machine.phase, rig.orders.count(do.SendStartupRequests(1))) == (P.STARTUP, 2)
    assert rig.orders.count(restore) == 1, "what is held back goes first"
    rig.event(SubscriptionsChanged(1, 0))
    assert rig.orders.count(restore) == 2


@pytest.mark.parametrize(("code", "phase"), [(1101, P.RESTORING), (1102, P.UP)])
def test_start_up_may_end_without_what_waits_its_turn(new_rig, bring, code, phase):
    rig = new_rig(request_timeout=0.1)
    rig.answers_probes = True
    bring(rig, P.UP)
    for _ in range(2):
        rig.code(code)
    rig.code(1100)
    rig.advance(0.5)
    assert (rig.machine.phase, rig.status.may_trade) == (phase, False)
    rig.forget()
    rig.advance(0.6)
    assert (do.SendStartupRequests(1) in rig.orders) is (code == 1101)
    rig.code(1102)
    rig.advance(1)
    rig.answer()
    rig.moved(0)
    assert (rig.machine.phase, rig.status.may_trade) == (P.UP, True)


@pytest.mark.parametrize("timer", [Timer.WATCH, Timer.STREAMS])
def test_streams_are_minded_while_those_of_handlers_are_restored(new_rig, timer):
    rig = new_rig(restore_grace=30.0)
    rig.answers_probes = True
    rig.tickers = (ActiveStream(1, 1.0),) if timer is Timer.WATCH else ()
    rig.connect()
    rig.event(SessionOpened(1, 178, ("DU1234567",), rig.names, to_restore_later=True))
    if timer is Timer.STREAMS:
        rig.event(SubscriptionsChanged(1, 0, (LostStream(1, Feed.MARKET, "AAPL (200)", 200, 1),)))
    rig.subscriptions = 1
    rig.answer()
    assert (rig.machine.phase, timer in rig.timers) == (P.RESTORING, True)
    rig.advance(1.1)
    assert rig.machine.phase is P.RESTORING
    asked = rig.asked
    assert asked == ([(1,)] if timer is Timer.WATCH else []), "those are about to be asked for anyway"


def test_the_last_answer_may_have_a_row_that_cannot_be_decoded(new_rig):
    rig = new_rig(restore_grace=30.0)
    rig.subscriptions = 1
    start_up(rig, None).answer("positions", "open orders", "completed orders", "executions")
    rig.event(RowsNotDecoded(1, ("account updates",)))
    assert rig.machine.phase is P.RESTORING


@pytest.mark.parametrize("phase", [P.RESTORING, P.UP])
def test_the_last_answer_may_be_a_refusal(new_rig, phase):
    rig = new_rig(restore_grace=30.0)
    rig.subscriptions = 1 if phase is P.RESTORING else 0
    start_up(rig, None).answer("positions", "open orders", "completed orders", "executions")
    rig.event(StartupRefused(1, "account updates", "no", 2101))
    assert rig.machine.phase is phase


NO_SESSION = {P.IDLE, P.FAILED, P.IDENTIFYING, P.CLOSING, P.WAITING}
"""The phases without a current attempt or session. An event of an old one has no effect (``ignore_event``)."""

NO_CONSEQUENCE = {
    ReconnectRequested: {P.IDLE, P.FAILED, P.OPENING, P.IDENTIFYING, P.CLOSING},
    RetryRequested: {P.IDLE, P.FAILED, P.OPENING, P.IDENTIFYING, P.CLOSING},
    ProbeRequested: NO_SESSION | {P.OPENING},
    ClockJumped: {P.IDLE, P.FAILED},
    SubscriptionsChanged: NO_SESSION | {P.OPENING},
    RowsNotDecoded: NO_SESSION | {P.OPENING},
    PeerIdentified: set(P) - {P.IDENTIFYING},
    **dict.fromkeys(
        (CodeReceived, FarmStatusReceived, LimitReached, SessionOpened, AttemptFailed, TransportClosed), NO_SESSION
    ),
    **dict.fromkeys((StartupRequested, StartupAnswered, StartupRefused, ActiveStreamsFound, ProbeAnswered), NO_SESSION),
}


def test_only_these_events_have_no_consequence():
    assert {row for row, transition in TRANSITIONS.items() if transition.react is ignore_event} == {
        (phase, trigger) for trigger, phases in NO_CONSEQUENCE.items() for phase in phases
    }


SAMPLES = {
    ReconnectRequested: lambda attempt: ReconnectRequested(),
    RetryRequested: lambda attempt: RetryRequested(),
    ProbeRequested: lambda attempt: ProbeRequested(),
    ClockJumped: lambda attempt: ClockJumped(60.0),
    CodeReceived: lambda attempt: CodeReceived(attempt, 1100, ""),
    FarmStatusReceived: lambda attempt: FarmStatusReceived(attempt, ((2103, "Market data farm is broken:usfarm"),)),
    SessionOpened: lambda attempt: SessionOpened(attempt, 178, ("DU1234567",)),
    AttemptFailed: lambda attempt: AttemptFailed(attempt, Failure(FailureKind.SILENT, "late")),
    PeerIdentified: lambda attempt: PeerIdentified(attempt, Failure(FailureKind.NOT_A_GATEWAY, "late")),
    StartupRequested: lambda attempt: StartupRequested(attempt, ("positions",)),
    StartupRefused: lambda attempt: StartupRefused(attempt, "positions", "no", 322),
    LimitReached: lambda attempt: LimitReached(attempt, "too much"),
    RowsNotDecoded: lambda attempt: RowsNotDecoded(attempt, ("positions",)),
    TransportClosed: lambda attempt: TransportClosed(attempt, "EOF"),
    StartupAnswered: lambda attempt: StartupAnswered(attempt, ("positions",), True),
    SubscriptionsChanged: lambda attempt: SubscriptionsChanged(attempt, 3, ("AAPL",)),
    ActiveStreamsFound: lambda attempt: ActiveStreamsFound(attempt, "", (ActiveStream(1, 5.0),)),
    ProbeAnswered: ProbeAnswered,
}


@pytest.mark.parametrize(
    ("phase", "event"),
    [(phase, trigger) for trigger, phases in NO_CONSEQUENCE.items() for phase in sorted(phases)],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_what_is_without_consequence_has_none(new_rig, bring, phase, event):
    rig = new_rig()
    bring(rig, phase)
    rig.forget()
    attempt = rig.opened[-1][0] if rig.opened else 0
    assert rig.event(SAMPLES[event](attempt)) == []
    assert (rig.machine.phase, rig.published) == (phase, [])
