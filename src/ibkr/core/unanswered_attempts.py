"""Reactions to attempts without an answer: the SYN is not answered, or the port accepts and sends nothing."""

from __future__ import annotations

from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.attempts import NO_DETAIL, fail_attempt
from ibkr.core.effects import DiscardUnsent, IdentifyPeer, StartTimer
from ibkr.core.events import PeerIdentified, SocketClosed, Timer, TimerFired
from ibkr.core.machine_state import Phase
from ibkr.core.step import Step

_LOOK = 1.0
"""Seconds within which the peer must be identified."""


def attempt_timed_out(step: Step, event: TimerFired) -> None:
    """Fail the attempt: the SYN was not answered in time, or the port accepted and sent nothing for the timeout.

    If our own loop was blocked, the gateway's answer may be unread. Then wait one more time: as long as this timer was
    late, at most the timeout. For an answer to the SYN, ``lateness_tolerance`` is enough.
    """
    s = step.state
    left = s.attempt_started + step.identity.timeout - step.now.mono
    if event.has_socket and left > 0:  # the port has accepted: the gateway may take this long to send its first bytes
        step.do(StartTimer(Timer.ATTEMPT, left))
    elif event.late > step.policy.lateness_tolerance and not s.session.lateness_forgiven:
        s.session.lateness_forgiven = True
        longest = step.identity.timeout if event.has_socket else step.policy.lateness_tolerance
        step.do(StartTimer(Timer.ATTEMPT, min(event.late, longest)))
    elif event.has_socket:
        step.do(DiscardUnsent(s.attempt, True))
        detail = f"the port accepted, then sent nothing for {step.identity.timeout:g} s"
        _identify_peer_first(step, Failure(FailureKind.SILENT, detail))
    else:
        detail = f"no answer to the TCP connection for {step.syn_limit:g} s"
        fail_attempt(step, Failure(FailureKind.UNREACHABLE, detail, unanswered=True))


def socket_closed_in_attempt(step: Step, event: SocketClosed) -> None:
    """Fail the attempt: the peer closed the connection before the session was up."""
    step.state.socket_open = False
    failure = Failure(FailureKind.CLOSED, event.detail or NO_DETAIL, before_any_byte=event.before_any_byte)
    s = step.state
    is_last = s.budget is not None and s.attempts_made >= s.budget
    if event.before_any_byte and is_last:  # a close costs no waiting time, so connect() makes its other attempts first
        _identify_peer_first(step, failure)
    else:
        fail_attempt(step, failure)


def _identify_peer_first(step: Step, failure: Failure) -> None:
    """Find out what the port speaks before this failure ends ``connect()``. Do this only one time."""
    s = step.state
    if s.had_session or s.silent_failure is not None:
        fail_attempt(step, failure)
        return
    s.silent_failure = failure
    s.phase = Phase.IDENTIFYING
    step.close_socket(abort=True)  # close first: some servers accept one client at a time
    step.do(IdentifyPeer(s.attempt, s.port), StartTimer(Timer.ATTEMPT, min(_LOOK, step.identity.timeout)))


def peer_identified(step: Step, event: PeerIdentified) -> None:
    """Fail the attempt: the port speaks something else, or we do not know what it speaks."""
    failure = event.failure or step.state.silent_failure
    assert failure is not None, "the peer is identified only after a failure"
    fail_attempt(step, failure)


def identification_overdue(step: Step, _event: TimerFired) -> None:
    """Fail the attempt, because the peer was not identified in time."""
    peer_identified(step, PeerIdentified(step.state.attempt, None))
