"""Reactions to silence: probe, suspect, dead. Any byte is life."""

from __future__ import annotations

from ibkr.core import alarm
from ibkr.core.attempts import session_dead
from ibkr.core.effects import DiscardUnsent, Probe, StartTimer
from ibkr.core.facts import ClockJumped, Heard, ProbeWanted, Timer, TimerFired
from ibkr.core.step import Step


def heard(step: Step, _fact: Heard) -> None:
    """A byte after the probe: the session lives."""
    session = step.situation.session
    session.probe_sent_at = None
    session.lateness_forgiven = False
    step.shows_nothing = not session.suspect
    if session.suspect:
        session.suspect = False
        step.do(DiscardUnsent(step.situation.attempt, False))
    _wait(step, step.policy.probe_after)


def clock_jumped(step: Step, fact: ClockJumped) -> None:
    """The machine has slept, and the socket may have died meanwhile: probe at once."""
    alarm.clock_jumped(step, fact)
    probe_now(step)


def probe_now(step: Step, _fact: ProbeWanted | None = None) -> None:
    """Do not wait for silence; one that is unanswered serves."""
    if step.situation.session.probe_sent_at is None:
        _probe(step)


def silence_checked(step: Step, fact: TimerFired) -> None:
    """Look how long the socket has been silent, and take the next of the three steps when it is due."""
    session, policy, now = step.situation.session, step.policy, step.now.mono
    if session.probe_sent_at is None:
        left = max(fact.last_byte + policy.probe_after, session.last_probe_at + policy.probe_apart) - now
        if left > 0:
            _wait(step, left, policy.probe_after)
        else:
            _probe(step)
        step.shows_nothing = True
        return
    if fact.late > policy.lateness_tolerance:
        # Our own loop was blocked: that time is no silence of the gateway's.
        session.probe_sent_at += fact.late
        if not session.lateness_forgiven:  # what came meanwhile may still be unread
            session.lateness_forgiven = True
            _wait(step, policy.lateness_tolerance)
            return
    session.lateness_forgiven = False
    unanswered = now - session.probe_sent_at
    if unanswered >= policy.probe_timeout:
        session_dead(step)
    else:
        if not session.suspect and unanswered >= policy.suspect_after:
            # However it ends from here, an order that the gateway has not taken must not reach it later.
            session.suspect = True
            step.do(DiscardUnsent(step.situation.attempt, True))
        due = policy.probe_timeout if session.suspect else policy.suspect_after
        _wait(step, max(due - unanswered, 0.0))


def _probe(step: Step) -> None:
    session, policy, now = step.situation.session, step.policy, step.now.mono
    last = session.last_probe_at
    # The session sends it no sooner than this after the one before; one that waits to be sent serves.
    sent_at = last if last > now else max(now, last + policy.probe_apart)
    session.probe_sent_at = session.last_probe_at = sent_at
    step.do(Probe(step.situation.attempt))
    _wait(step, sent_at - now + policy.suspect_after)


def _wait(step: Step, seconds: float, whole: float = 0.0) -> None:
    step.do(StartTimer(Timer.LIVENESS, seconds, whole))
