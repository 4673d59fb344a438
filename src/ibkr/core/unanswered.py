"""Reactions to attempts that get no answer: nothing answers the SYN, or the port accepts and says nothing."""

from __future__ import annotations

from ibkr.core.attempts import NO_DETAIL, fail
from ibkr.core.effects import DiscardUnsent, Look, StartTimer
from ibkr.core.facts import PeerSeen, SocketEnded, Timer, TimerFired
from ibkr.core.failure import Failure, FailureKind
from ibkr.core.situation import Phase
from ibkr.core.step import Step

_LOOK = 1.0
"""Seconds that a look at what the port speaks may take."""


def attempt_timed_out(step: Step, fact: TimerFired) -> None:
    """Nothing has answered the SYN in time, or the port that accepted has used the whole timeout.

    Time that our own loop was blocked is no silence of the gateway's, whose answer may still be unread: once, it is
    given back. For an answer to the SYN, one turn of the loop would do.
    """
    s = step.situation
    left = s.attempt_started + step.identity.timeout - step.now.mono
    if fact.has_socket and left > 0:  # from here on it may take that long to speak
        step.do(StartTimer(Timer.ATTEMPT, left))
    elif fact.late > step.policy.lateness_tolerance and not s.session.lateness_forgiven:
        s.session.lateness_forgiven = True
        longest = step.identity.timeout if fact.has_socket else step.policy.lateness_tolerance
        step.do(StartTimer(Timer.ATTEMPT, min(fact.late, longest)))
    elif fact.has_socket:
        step.do(DiscardUnsent(s.attempt, True))
        detail = f"the port accepted, then said nothing for {step.identity.timeout:g} s"
        _said_nothing(step, Failure(FailureKind.SILENT, detail))
    else:
        detail = f"no answer to the TCP connection for {step.syn_limit:g} s"
        fail(step, Failure(FailureKind.UNREACHABLE, detail, unanswered=True))


def socket_ended_in_attempt(step: Step, fact: SocketEnded) -> None:
    """The peer closed before there was a session."""
    step.situation.socket_open = False
    failure = Failure(FailureKind.CLOSED, fact.detail or NO_DETAIL, before_any_byte=fact.before_any_byte)
    s = step.situation
    is_last = s.budget is not None and s.attempts_made >= s.budget
    if fact.before_any_byte and is_last:  # unlike silence it costs no time, so the attempts come first
        _said_nothing(step, failure)
    else:
        fail(step, failure)


def _said_nothing(step: Step, failure: Failure) -> None:
    """Before ``connect()`` may fail because of this, look once at what the port speaks."""
    s = step.situation
    if s.had_session or s.looked is not None:
        fail(step, failure)
        return
    s.looked = failure
    s.phase = Phase.LOOKING
    step.end_socket(abort=True)  # first: some servers serve one client at a time
    step.do(Look(s.attempt, s.port), StartTimer(Timer.ATTEMPT, min(_LOOK, step.identity.timeout)))


def peer_seen(step: Step, fact: PeerSeen) -> None:
    """The look has ended: the port speaks something else, or nothing that we know."""
    failure = fact.failure or step.situation.looked
    assert failure is not None, "it is looked at after a failure"
    fail(step, failure)


def look_overdue(step: Step, _fact: TimerFired) -> None:
    """The look has found nothing in its time."""
    peer_seen(step, PeerSeen(step.situation.attempt, None))
