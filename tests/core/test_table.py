"""The table as a whole, and those of its ways that chance seldom goes (see stateful/)."""

from datetime import UTC, time
from typing import get_args

import pytest

from ibkr.core import effects as do
from ibkr.core.calendar import Calendar, Recurrence
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import (
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectWanted,
    DisconnectWanted,
    EndedStream,
    Fact,
    FarmsTold,
    Heard,
    PeerSeen,
    ProbeWanted,
    ReconnectWanted,
    RetryWanted,
    RowsUnreadable,
    SessionOpened,
    StartupAnswered,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
    Timer,
    TimerFired,
    TransportEnded,
    WatchedStream,
)
from ibkr.core.situation import Phase as P
from ibkr.core.state import Feed
from ibkr.core.table import TABLE, nothing


def test_it_knows_every_phase_every_fact_and_every_timer():
    assert {phase for phase, _ in TABLE} == set(P)
    assert {trigger for _, trigger in TABLE} == (set(get_args(Fact)) - {TimerFired}) | set(Timer)


@pytest.mark.parametrize("phase", list(P))
def test_the_caller_may_want_anything_at_any_time(phase):
    assert {(phase, ConnectWanted), (phase, DisconnectWanted), (phase, ReconnectWanted)} <= set(TABLE)
    assert TABLE[phase, DisconnectWanted].to == {P.IDLE}


def start_up(rig, attempts):
    rig.connect(attempts)
    rig.open_session()
    rig.code(2104, "usfarm")
    return rig


def reach_the_port(rig, attempts):
    rig.connect(attempts)
    rig.accept()


def miss_one_answer(rig):
    """Start-up ended without account values while upstream was down; now it is back."""
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


@pytest.mark.parametrize("wanted", [ReconnectWanted, RetryWanted])
def test_an_attempt_wanted_now_waits_for_the_end_of_the_last_socket(rig, wanted):
    reach_the_port(rig, None)
    rig.advance(5)
    assert rig.machine.phase is P.WAITING
    rig.fact(wanted())
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
        rig.fact(SubscriptionsMoved(1, 0, (), (EndedStream(req_id, Feed.MARKET, "AAPL"),)))
    rig.advance(1)
    assert rig.machine.phase is P.STARTUP
    assert rig.orders[-2:] == [do.AskStreams(1, (1,)), do.AskStreams(1, (2,))]


def test_what_is_missing_is_asked_for_while_a_restore_goes_on(new_rig):
    rig = new_rig(restore_grace=30.0, missing_every=5.0)
    rig.answers_probes = True
    rig.subscriptions = 1
    start_up(rig, None).answer("open orders", "executions")
    rig.advance(25)
    assert rig.machine.phase is P.RESTORING
    assert do.AskAgain(1, ("account updates", "completed orders", "positions"), shared=True) in rig.orders


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


WITHOUT_CONSEQUENCE = [row for row, where in TABLE.items() if where.react is nothing]
SAMPLES = {
    ReconnectWanted: lambda attempt: ReconnectWanted(),
    RetryWanted: lambda attempt: RetryWanted(),
    ProbeWanted: lambda attempt: ProbeWanted(),
    ClockJumped: lambda attempt: ClockJumped(60.0),
    CodeReceived: lambda attempt: CodeReceived(attempt, 1100, ""),
    FarmsTold: lambda attempt: FarmsTold(attempt, ((2103, "Market data farm connection is broken:usfarm"),)),
    SessionOpened: lambda attempt: SessionOpened(attempt, 178, ("DU1234567",)),
    AttemptFailed: lambda attempt: AttemptFailed(attempt, Failure(FailureKind.SILENT, "late")),
    PeerSeen: lambda attempt: PeerSeen(attempt, Failure(FailureKind.NOT_A_GATEWAY, "late")),
    StartupAsked: lambda attempt: StartupAsked(attempt, ("positions",)),
    RowsUnreadable: lambda attempt: RowsUnreadable(attempt, ("positions",)),
    TransportEnded: lambda attempt: TransportEnded(attempt, "EOF"),
    StartupAnswered: lambda attempt: StartupAnswered(attempt, ("positions",), True),
    SubscriptionsMoved: lambda attempt: SubscriptionsMoved(attempt, 3, ("AAPL",)),
    StreamsWatched: lambda attempt: StreamsWatched(attempt, "", (WatchedStream(1, 5.0),)),
    Heard: Heard,
}


@pytest.mark.parametrize(("phase", "fact"), WITHOUT_CONSEQUENCE, ids=lambda each: getattr(each, "__name__", str(each)))
def test_what_is_without_consequence_has_none(new_rig, bring, phase, fact):
    rig = new_rig()
    bring(rig, phase)
    rig.forget()
    attempt = rig.opened[-1][0] if rig.opened else 0
    assert rig.fact(SAMPLES[fact](attempt)) == []
    assert (rig.machine.phase, rig.published) == (phase, [])
