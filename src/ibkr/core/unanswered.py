"""Reactions to attempts that get no answer: nothing answers the SYN, or the port accepts and stays silent."""

from __future__ import annotations

from ibkr.core.attempts import fail
from ibkr.core.effects import DiscardUnsent, Look, StartTimer
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import PeerSeen, Timer, TimerFired
from ibkr.core.situation import Phase
from ibkr.core.step import Step

_LOOK = 1.0
"""Seconds that a look at what the port speaks may take."""


def attempt_timed_out(step: Step, fact: TimerFired) -> None:
    """Nothing has answered the SYN in time, or the port that accepted has used the whole timeout.

    Time that our own loop was blocked is no silence of the gateway's, whose answer may still be unread: once, it is
    given back.
    """
    s = step.situation
    left = s.attempt_started + step.identity.timeout - step.now.mono
    if fact.has_socket and left > 0:  # from here on it may take that long to speak
        step.do(StartTimer(Timer.ATTEMPT, left))
    elif fact.late > step.policy.lateness_tolerance and not s.session.lateness_forgiven:
        s.session.lateness_forgiven = True
        step.do(StartTimer(Timer.ATTEMPT, min(fact.late, step.identity.timeout)))
    elif fact.has_socket:
        _stayed_silent(step)
    else:
        detail = f"no answer to the TCP connection for {step.syn_limit:g} s"
        fail(step, Failure(FailureKind.UNREACHABLE, detail, unanswered=True))


def _stayed_silent(step: Step) -> None:
    """Before ``connect()`` may fail because of this, look once at what the port speaks."""
    s = step.situation
    step.do(DiscardUnsent(s.attempt, True))
    if s.had_session or s.looked:
        fail(step, _silent(step))
        return
    s.looked = True
    s.phase = Phase.LOOKING
    step.end_socket(abort=True)  # first: some servers serve one client at a time
    step.do(Look(s.attempt, s.port), StartTimer(Timer.ATTEMPT, min(_LOOK, step.identity.timeout)))


def peer_seen(step: Step, fact: PeerSeen) -> None:
    """The look has ended: the port speaks something else, or nothing that we know."""
    fail(step, fact.failure or _silent(step))


def look_overdue(step: Step, _fact: TimerFired) -> None:
    """The look has found nothing in its time."""
    fail(step, _silent(step))


def _silent(step: Step) -> Failure:
    return Failure(FailureKind.SILENT, f"the port accepted, then said nothing for {step.identity.timeout:g} s")
