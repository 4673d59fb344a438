"""Reactions that request orders, executions and positions again: after 1102, for late executions, and for Read-Only.

``gap_report`` compares the answers with the last known state.
"""

from __future__ import annotations

from ibkr.core.effects import RequestBrokerState, StartTimer, StopTimer
from ibkr.core.events import StartupAnswered, Timer
from ibkr.core.machine_state import Phase, StartupState
from ibkr.core.startup_requests import BROKER_STATE, OPEN_ORDERS
from ibkr.core.states import UpstreamState
from ibkr.core.step import Step

RESYNC_INTERVAL = 1.0
"""Minimum seconds, in one session, between two restores (1101) and between two comparisons with the broker (1102)."""
LINK_LOST = "the gateway had lost its link to IB's servers (1102)"


def request_broker_state(step: Step) -> None:
    """Request orders, executions, positions and missing start-up answers again, to compare them (1102)."""
    s = step.state
    session = s.session
    if session.upstream is UpstreamState.DOWN:
        return
    session.answered -= BROKER_STATE
    session.answered_while_down.clear()
    session.is_compared = session.is_requesting_late_executions = False
    if session.startup is not StartupState.FIRST:
        session.startup = StartupState.AGAIN
    s.phase = Phase.STARTUP
    step.do(StartTimer(Timer.REQUEST, step.policy.request_timeout))
    request_missing(step)


def request_missing(step: Step) -> None:
    """Send the unanswered requests again. Do it at most once a second, because a gateway may repeat 1102."""
    s = step.state
    session = s.session
    left = session.missing_requested_at + RESYNC_INTERVAL - step.now.mono
    names = tuple(sorted(session.missing | session.pending | session.startup_refused.keys()))
    if not names or session.upstream is UpstreamState.DOWN:
        return
    if left > 0 or session.resync_due:
        session.outdated |= BROKER_STATE & session.asked
        if not session.resync_due:
            step.do(StartTimer(Timer.RESYNC, left))
        return
    session.missing_requested_at = step.now.mono
    s.phase = Phase.STARTUP
    session.outdated.clear()
    session.missing.clear()
    session.unreadable.clear()
    session.startup_refused.clear()
    session.was_asked_again = False
    step.do(
        RequestBrokerState(s.attempt, names),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def upstream_restored(step: Step) -> None:
    """Handle 1102: the gateway has kept its subscriptions. Executions may come late, so request them two more times."""
    session = step.state.session
    if session.is_compared:
        session.gap_cause = LINK_LOST
    request_broker_state(step)
    session.late_requests_left = 2
    session.is_requesting_late_executions = False
    step.do(StartTimer(Timer.LATE_LOOK, step.policy.late_look))


def request_late_executions(step: Step, _event: object) -> None:
    """Request executions that came late.

    Send nothing if other requests are pending, because the answers to those contain these executions.
    """
    s = step.state
    s.session.late_requests_left -= 1
    if s.session.late_requests_left:
        step.do(StartTimer(Timer.LATE_LOOK, max(0.0, step.policy.late_look_last - step.policy.late_look)))
    if s.phase is Phase.UP and s.session.is_compared:
        s.session.is_requesting_late_executions = True
        step.do(RequestBrokerState(s.attempt, tuple(sorted(BROKER_STATE & s.session.asked)), is_late=True))


def update_read_only(step: Step, event: StartupAnswered) -> None:
    """Store whether the API is read-only. The answer to the request for open orders shows whether it is read-only."""
    session = step.state.session
    session.read_only = event.read_only or (session.read_only and OPEN_ORDERS not in event.names)
    if session.read_only:
        schedule_read_only_check(step)
    else:
        step.do(StopTimer(Timer.READ_ONLY))


def schedule_read_only_check(step: Step) -> None:
    """Start the timer for the next check whether the API is still read-only, if the policy has such checks."""
    if step.policy.read_only_every:
        step.do(StartTimer(Timer.READ_ONLY, step.policy.read_only_every))


def recheck_read_only(step: Step, _event: object) -> None:
    """Request and compare orders, because the API may no longer be read-only. The user or the timer starts this."""
    if step.state.session.read_only:
        schedule_read_only_check(step)
        request_broker_state(step)
