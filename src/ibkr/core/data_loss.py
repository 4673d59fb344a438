"""Reactions to 1101: the gateway has lost all subscriptions and requests, so start-up and the restore begin again."""

from __future__ import annotations

from ibkr.core.effects import SendStartupRequests, StartTimer, StopTimer
from ibkr.core.events import Timer, TimerFired
from ibkr.core.machine_state import Phase, RestoreState, StartupState
from ibkr.core.reconciliation import RESYNC_INTERVAL, request_missing
from ibkr.core.recovery import restore_subscriptions
from ibkr.core.step import Step

DATA_LOST = "the gateway had lost its link to IB's servers, and all subscriptions (1101)"


def subscriptions_lost(step: Step) -> None:
    """Begin start-up again, and restore all subscriptions, which the gateway has lost (1101).

    Do it at most once a second. Until then, ignore the answers to requests that were sent before the loss.
    """
    session = step.state.session
    _forget_answers(step)
    left = session.resynced_at + RESYNC_INTERVAL - step.now.mono
    if left > 0:
        session.resync_due = True
        session.outdated.update(session.asked)
        step.do(StartTimer(Timer.RESYNC, left))
    else:
        _start_up_again(step)


def resync(step: Step, _event: TimerFired) -> None:
    """Send the requests that had to wait, because 1101 or 1102 came more than once a second."""
    session = step.state.session
    if session.resync_due:
        _forget_answers(step)
        _start_up_again(step)
    elif session.outdated:
        request_missing(step)


def _forget_answers(step: Step) -> None:
    """Return to the beginning of start-up, because the gateway has lost all subscriptions and requests."""
    s = step.state
    s.phase = Phase.STARTUP
    s.session.answered.clear()
    s.session.answered_while_down.clear()
    s.session.missing.clear()
    s.session.unreadable.clear()
    s.session.startup_refused.clear()
    s.session.refused_tries = 0
    s.session.was_asked_again = False
    if s.session.is_compared:
        s.session.gap_cause = DATA_LOST
    s.session.is_compared = False
    if s.session.startup is not StartupState.FIRST:
        s.session.startup = StartupState.AGAIN
    s.session.restore_later = s.session.is_requesting_late_executions = False
    s.session.restore = RestoreState.DUE
    step.do(StopTimer(Timer.RESTORE), StartTimer(Timer.REQUEST, step.policy.request_timeout))


def _start_up_again(step: Step) -> None:
    """Repeat everything on the same socket. Only the restore waits for subscriptions that are still to be sent."""
    session = step.state.session
    session.resync_due = False
    session.outdated.clear()
    session.resynced_at = step.now.mono
    step.do(SendStartupRequests(step.state.attempt))
    if not session.held_back:
        restore_subscriptions(step, same_session=True)  # the gateway also lost subscriptions that were never restored
