"""Reactions to silence: send a probe, suspect the session, declare it dead.

A live session decodes messages and answers probes.
"""

from __future__ import annotations

from ibkr.core import outage_alert
from ibkr.core.attempts import session_dead
from ibkr.core.effects import DiscardUnsent, SendProbe, StartTimer
from ibkr.core.events import ClockJumped, ProbeAnswered, ProbeRequested, Timer, TimerFired
from ibkr.core.step import Step

_DEAD_WHILE_HEARD = 30.0
"""Seconds. While messages come, the session is dead only after two unanswered probes and this time."""


def probe_answered(step: Step, _event: ProbeAnswered) -> None:
    """The probe was answered: the session is alive."""
    session = step.state.session
    session.probe_sent_at = None
    session.probes_unanswered = 0
    session.lateness_forgiven = False
    step.is_status_unchanged = not session.suspect
    if session.suspect:
        session.suspect = False
        step.do(DiscardUnsent(step.state.attempt, False))
    _schedule_check(step, step.policy.probe_after)


def clock_jumped(step: Step, event: ClockJumped) -> None:
    """Send a probe immediately, because the computer slept and the connection may be lost."""
    outage_alert.clock_jumped(step, event)
    probe_now(step)


def probe_now(step: Step, _event: ProbeRequested | None = None) -> None:
    """Send a probe without waiting for silence, unless one is already unanswered."""
    if step.state.session.probe_sent_at is None:
        _probe(step)


def check_liveness(step: Step, event: TimerFired) -> None:
    """Check how long no message was decoded, or how long a probe is unanswered, and act on it."""
    session, policy, now = step.state.session, step.policy, step.now.mono
    if session.probe_sent_at is None:
        silent_at = max(event.last_message + policy.probe_after, session.last_probe_at + policy.probe_apart)
        left = min(silent_at, session.last_probe_at + policy.probe_every) - now
        if left > 0:
            _schedule_check(step, left, policy.probe_after)
        else:
            _probe(step)
            session.probe_is_routine = now < silent_at
        step.is_status_unchanged = True
        return
    if event.late > policy.lateness_tolerance:
        # Our own loop was blocked, so the gateway gets this time in addition.
        session.probe_sent_at += event.late
        if not session.lateness_forgiven:  # messages that came while the loop was blocked may be unread
            session.lateness_forgiven = True
            _schedule_check(step, policy.lateness_tolerance)
            return
    session.lateness_forgiven = False
    _check_unanswered_probe(step, session.probe_sent_at, event.last_message)


def _check_unanswered_probe(step: Step, sent_at: float, last_message: float) -> None:
    """Decide whether a session with an unanswered probe is suspect or dead.

    While messages come, the peer may be in a long garbage collection or read slowly. It gets more time then.
    """
    session, policy, now = step.state.session, step.policy, step.now.mono
    if last_message > sent_at:
        suspect_at = sent_at + policy.probe_timeout + policy.lateness_tolerance
        dead_at = last_message + policy.probe_after + policy.probe_timeout
        if session.probes_unanswered > 1:
            dead_at = min(dead_at, sent_at + _DEAD_WHILE_HEARD)
    else:
        # A routine probe may be sent just when a normal quiet time begins. So its time limit begins only after this
        # quiet time.
        since = max(sent_at, last_message + policy.probe_after) if session.probe_is_routine else sent_at
        suspect_at, dead_at = since + policy.suspect_after, since + policy.probe_timeout
    if now >= dead_at:
        session_dead(step)
        return
    if not session.suspect and now >= suspect_at:
        # An order that the gateway has not received by now must never reach it: it is dropped when the socket closes.
        session.suspect = True
        step.do(DiscardUnsent(step.state.attempt, True))
    dues = [dead_at] if session.suspect else [dead_at, suspect_at]
    if last_message > sent_at:
        if now >= session.last_probe_at + policy.probe_timeout:
            _send(step)
        dues.append(session.last_probe_at + policy.probe_timeout)
    _schedule_check(step, max(min(dues) - now, 0.0))


def _probe(step: Step) -> None:
    sent_at = _send(step)
    step.state.session.probe_sent_at = sent_at
    step.state.session.probe_is_routine = False
    _schedule_check(step, sent_at - step.now.mono + step.policy.suspect_after)


def _send(step: Step) -> float:
    """Send a probe, and return the time at which the session sends it."""
    session, policy, now = step.state.session, step.policy, step.now.mono
    last = session.last_probe_at
    # The session waits ``probe_apart`` between two probes. If a probe already waits to be sent, no other is needed.
    session.last_probe_at = sent_at = last if last > now else max(now, last + policy.probe_apart)
    session.probes_unanswered += 1
    step.do(SendProbe(step.state.attempt))
    return sent_at


def _schedule_check(step: Step, seconds: float, whole: float = 0.0) -> None:
    step.do(StartTimer(Timer.LIVENESS, seconds, whole))
