"""The table as a whole, and those of its ways that chance seldom goes (see stateful/)."""

from typing import get_args

import pytest

from ibkr.core.facts import ConnectWanted, DisconnectWanted, Fact, ReconnectWanted, Timer, TimerFired
from ibkr.core.situation import Phase as P
from ibkr.core.table import TABLE


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


def miss_one_answer(rig):
    """Start-up ended without account values while upstream was down; now it is back."""
    rig.answers_probes = True
    start_up(rig, None)
    rig.code(1100)
    rig.answer(*[name for name in rig.names if name != "account updates"])
    rig.advance(10)
    rig.code(1102)
    assert rig.machine.phase is P.STARTUP
    return rig


@pytest.mark.parametrize(("attempts", "to"), [(1, P.FAILED), (2, P.WAITING), (None, P.WAITING)])
def test_a_first_start_up_that_is_lost(rig, attempts, to):
    start_up(rig, attempts).end()
    assert rig.machine.phase is to


@pytest.mark.parametrize(("attempts", "to"), [(1, P.FAILED), (2, P.WAITING), (None, P.WAITING)])
def test_a_first_start_up_that_falls_silent(rig, attempts, to):
    start_up(rig, attempts).advance(10)
    assert rig.machine.phase is to


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


@pytest.mark.parametrize("phase", [P.RESTORING, P.UP])
def test_a_session_lost_once_too_often(new_rig, bring, phase):
    rig = new_rig(flap_limit=1)
    bring(rig, phase)
    for to in (P.OPENING, P.WAITING):
        rig.end()
        assert rig.machine.phase is to
        if to is P.OPENING:
            rig.open_session()
            rig.code(2104, "usfarm")
            rig.answer()
            assert rig.machine.phase is phase
