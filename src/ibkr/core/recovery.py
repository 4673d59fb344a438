"""Reactions of every start-up, the first and later ones: requests, comparison, restore, and late answers."""

from __future__ import annotations

from ibkr.core.effects import (
    AmendGapReport,
    CompareBrokerState,
    EmitConnectedEvent,
    ReportGap,
    ResendStartupRequests,
    RestoreSubscriptions,
    StartTimer,
    StopTimer,
)
from ibkr.core.events import (
    RowsNotDecoded,
    StartupAnswered,
    StartupRefused,
    StartupRequested,
    SubscriptionsChanged,
    Timer,
    TimerFired,
    UnconfirmedOrdersChanged,
)
from ibkr.core.machine_state import Phase, RefusedRequest, RestoreState, StartupState
from ibkr.core.reconciliation import update_read_only
from ibkr.core.startup_requests import (
    BROKER_STATE,
    EXECUTIONS,
    ORDER_REQUESTS,
    OTHER_CLIENTS_ORDERS,
    POSITIONS,
    TRADING_STATE,
)
from ibkr.core.states import UpstreamState
from ibkr.core.step import Step
from ibkr.core.stream_failures import retry_lost_streams, schedule_retries, watch_all_streams

_READ_AGAIN = 1.0
"""Seconds from a row that cannot be decoded to the next request for its answer."""
FORMER_LEADER = "what only the former leader of the fleet knows: its journal is not on this machine"
NOT_CONNECTED = "the program had disconnected, or connect() had stopped trying"


def startup_requested(step: Step, event: StartupRequested) -> None:
    """Store the requests with which start-up began again."""
    step.state.session.asked = set(event.names)


def startup_answered(step: Step, event: StartupAnswered) -> None:
    """Store which start-up requests were answered. The last answer ends start-up. Late answers are used, too."""
    session = step.state.session
    was_compared = session.is_compared
    is_news = session.startup is StartupState.OVER or bool(session.missing) or event.read_only != session.read_only
    names = set(event.names) - session.outdated
    session.answered.update(names)
    session.missing.difference_update(names)
    session.unreadable.difference_update(names)
    for name in names:
        is_news |= session.startup_refused.pop(name, None) is not None
    if session.upstream is not UpstreamState.DOWN:
        session.answered_while_down.difference_update(names)
    else:
        session.answered_while_down.update(BROKER_STATE & names)
    update_read_only(step, event)
    _compare(step)
    if session.is_requesting_late_executions and EXECUTIONS in names:
        session.is_requesting_late_executions = False
        step.do(AmendGapReport(step.state.attempt))
    if step.state.phase is not Phase.STARTUP:
        return
    if not session.pending:
        _end_startup(step)
    elif not is_news and session.is_compared is was_compared:
        step.is_status_unchanged = True


def startup_refused(step: Step, event: StartupRefused) -> None:
    """Treat a refusal as an answer. Repeat the refused request with growing delays, and name it in the status."""
    session = step.state.session
    if event.name not in session.asked - session.outdated:
        return
    session.startup_refused[event.name] = RefusedRequest(event.words, event.code)
    for names in (session.answered, session.missing, session.unreadable):
        names.discard(event.name)
    _compare(step)
    if step.state.phase is not Phase.STARTUP:
        _wait_for_missing(step)
    elif not session.pending:
        _end_startup(step)


def rows_not_decoded(step: Step, event: RowsNotDecoded) -> None:
    """Treat an answer with a row that was not decoded as missing.

    Request the answer again at most once a second. During start-up, treat its request like any unanswered request.
    """
    session = step.state.session
    names = session.asked.intersection(event.names) - session.outdated
    is_news = not names <= session.unreadable
    session.answered -= names
    session.missing |= names
    session.unreadable |= names
    if step.state.phase is Phase.STARTUP:
        if not session.pending:
            _end_startup(step)
    elif is_news:
        step.do(StartTimer(Timer.REQUEST, min(_READ_AGAIN, step.policy.missing_every)))


def startup_overdue(step: Step, _event: TimerFired) -> None:
    """Repeat unanswered requests one time.

    After that, continue without their answers, name them in the status, and repeat them at intervals.
    """
    session = step.state.session
    names = tuple(sorted(session.pending))
    if session.was_asked_again or session.upstream is UpstreamState.DOWN:
        session.missing |= session.pending
        _end_startup(step)
        return
    session.was_asked_again = True
    step.do(
        ResendStartupRequests(step.state.attempt, names, shared=False),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def request_missing_again(step: Step, _event: TimerFired) -> None:
    """Repeat start-up requests that are still unanswered. While upstream is down, wait for 1102."""
    session = step.state.session
    names = session.missing | session.startup_refused.keys()
    if not names:
        return
    if session.upstream is not UpstreamState.DOWN:
        session.refused_tries += 1
        step.do(ResendStartupRequests(step.state.attempt, tuple(sorted(names)), shared=True))
    _wait_for_missing(step)


def _wait_for_missing(step: Step) -> None:
    """Set the timer for the next repetition: after growing delays for refused requests, at intervals for others."""
    session, policy = step.state.session, step.policy
    if session.startup_refused:
        wait = policy.stream_retry * 2.0 ** min(session.refused_tries, 30)
        step.do(StartTimer(Timer.REQUEST, min(wait, policy.missing_every)))
    elif session.missing:
        step.do(StartTimer(Timer.REQUEST, policy.missing_every))


def subscriptions_changed(step: Step, event: SubscriptionsChanged) -> None:
    """Store the new state of the subscriptions. The restore ends when no subscription is pending."""
    s = step.state
    was_held_back, s.session.held_back = s.session.held_back, event.held_back
    s.session.refused = event.refused
    s.session.ended = event.ended
    s.session.withheld = event.withheld
    s.session.silent = event.silent
    schedule_retries(step)
    if s.session.restore is RestoreState.DUE and not (s.session.resync_due or event.held_back):
        restore_subscriptions(step, same_session=True)
        return
    if s.session.restore is not RestoreState.SENT:
        return
    if event.pending == 0:
        restore_finished(step)
    elif event.held_back:
        step.do(StopTimer(Timer.RESTORE))
    elif was_held_back:  # the last request was sent
        step.do(StartTimer(Timer.RESTORE, step.policy.restore_grace))


def restore_finished(step: Step, _event: TimerFired | None = None) -> None:
    """End the restore: all are live, or the time is over. The market may be closed, so do not wait for ticks."""
    step.do(StopTimer(Timer.RESTORE))
    step.state.session.restore = RestoreState.DONE
    watch_all_streams(step)
    if step.state.phase is Phase.RESTORING:
        _finish_recovery(step)
    else:
        retry_lost_streams(step)


def restore_subscriptions(step: Step, *, same_session: bool, with_handlers: bool = True) -> None:
    """Request the subscriptions in parallel with start-up, so that start-up does not delay market data."""
    s = step.state
    s.session.restore = RestoreState.SENT
    step.do(
        StartTimer(Timer.RESTORE, step.policy.restore_grace),
        RestoreSubscriptions(s.attempt, same_session=same_session, with_handlers=with_handlers),
    )


def unconfirmed_orders_changed(step: Step, event: UnconfirmedOrdersChanged) -> None:
    """Show these orders in the status, until there is evidence about them or the caller clears them."""
    step.state.unconfirmed = event.orders


def _end_startup(step: Step) -> None:
    """End start-up: every request is answered or missing. Missing requests are repeated at intervals."""
    s = step.state
    s.had_session = True
    is_first = s.session.startup is StartupState.FIRST
    s.session.startup = StartupState.OVER
    step.do(StopTimer(Timer.REQUEST))
    _compare(step)
    if is_first:
        step.do(EmitConnectedEvent(s.attempt))
    if s.session.restore_later:
        s.session.restore_later = False
        restore_subscriptions(step, same_session=False)
    s.phase = Phase.RESTORING
    if s.session.restore is RestoreState.DONE:
        _finish_recovery(step)
    _wait_for_missing(step)


def _compare(step: Step) -> None:
    """Compare with the last known state when orders, executions and positions are known. Do it one time.

    While upstream is down, do not compare: the gateway does not know the current state, such as recent fills.
    """
    s = step.state
    session = s.session
    answered = session.answered | session.startup_refused.keys()
    if not step.policy.require_executions:
        answered |= {EXECUTIONS} & session.missing
    needed = (
        TRADING_STATE if session.startup is StartupState.OVER else TRADING_STATE | {POSITIONS, OTHER_CLIENTS_ORDERS}
    )
    if session.is_compared or not (needed & session.asked) <= answered:
        return
    if session.upstream is UpstreamState.DOWN or session.answered_while_down & session.pending:
        return
    session.is_compared = True
    cause = session.gap_cause or s.lost_because or NOT_CONNECTED
    unknown = session.asked - session.answered
    if session.startup is not StartupState.OVER:  # other answers are not compared
        unknown &= BROKER_STATE | session.missing | session.startup_refused.keys()
    if session.read_only or step.identity.readonly:
        unknown |= set(ORDER_REQUESTS)
    if s.has_taken_over:
        s.has_taken_over = False
        if s.lease is not None and not s.lease.knows_former:
            unknown |= {FORMER_LEADER}
    step.do(CompareBrokerState(s.attempt, cause, tuple(sorted(unknown)), s.gap_outage))
    if s.phase is Phase.UP:
        step.do(ReportGap(s.attempt))


def _finish_recovery(step: Step) -> None:
    s = step.state
    s.phase = Phase.UP
    s.attempts_made = 0
    if s.session.is_compared:
        step.do(ReportGap(s.attempt))
    retry_lost_streams(step)
