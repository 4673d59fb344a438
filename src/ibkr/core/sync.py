"""Reactions while a session is being brought up to date: start-up, compare, restore; and what arrives late."""

from __future__ import annotations

from ibkr.core.effects import (
    Announce,
    AskAgain,
    Compare,
    ReportGap,
    Restore,
    StartTimer,
    StartUp,
    StopTimer,
)
from ibkr.core.facts import (
    OrdersUnconfirmed,
    RowsUnreadable,
    StartupAnswered,
    StartupAsked,
    SubscriptionsMoved,
    Timer,
    TimerFired,
)
from ibkr.core.situation import Phase, RestoreState, StartupState
from ibkr.core.startup import BOOKS, ORDER_REQUESTS, TRADED
from ibkr.core.state import UpstreamState
from ibkr.core.step import Step
from ibkr.core.streams import ask_for_ended

_READ_AGAIN = 1.0
"""Seconds from an unreadable row to the next request for the answer that it belongs to."""
DATA_LOST = "the gateway had lost its link to IB's servers, and what it was asked for (1101)"
NOT_CONNECTED = "the program had disconnected, or connecting had been given up"


def startup_asked(step: Step, fact: StartupAsked) -> None:
    """These answers are now awaited, too."""
    step.situation.session.asked.update(fact.names)


def startup_answered(step: Step, fact: StartupAnswered) -> None:
    """Some answers more; the last one ends start-up. A late one is as good as one in time."""
    session = step.situation.session
    is_news = session.startup.has_ended or bool(session.missing) or fact.read_only != session.read_only
    session.answered.update(fact.names)
    session.missing.difference_update(fact.names)
    session.unreadable.difference_update(fact.names)
    if session.upstream is not UpstreamState.DOWN:
        session.told_while_down.difference_update(fact.names)
    else:
        session.told_while_down.update(BOOKS.intersection(fact.names))
    session.read_only = session.read_only or fact.read_only
    if session.startup.has_ended:
        _compare(step)
    if step.situation.phase is not Phase.STARTUP:
        return
    if not session.pending:
        _end_startup(step)
    elif not is_news:
        step.shows_nothing = True


def rows_unreadable(step: Step, fact: RowsUnreadable) -> None:
    """Such an answer is missing, and asked for again: at most once a second, and in start-up as any that is overdue."""
    session = step.situation.session
    names = session.asked.intersection(fact.names)
    is_news = not names <= session.unreadable
    session.answered -= names
    session.missing |= names
    session.unreadable |= names
    if step.situation.phase is Phase.STARTUP:
        if not session.pending:
            _end_startup(step)
    elif is_news:
        step.do(StartTimer(Timer.REQUEST, min(_READ_AGAIN, step.policy.missing_every)))


def startup_overdue(step: Step, _fact: TimerFired) -> None:
    """Ask once more; then go on without, say what is missing, and ask for it now and then."""
    session = step.situation.session
    names = tuple(sorted(session.pending))
    if session.asked_again or session.upstream is UpstreamState.DOWN:
        session.missing |= session.pending
        _end_startup(step)
        return
    session.asked_again = True
    step.do(
        AskAgain(step.situation.attempt, names, shared=False),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def missing_overdue(step: Step, _fact: TimerFired) -> None:
    """A start-up request is still unanswered: a late answer is better than none. 1102 asks by itself."""
    session = step.situation.session
    if not session.missing:
        return
    if session.upstream is not UpstreamState.DOWN:
        step.do(AskAgain(step.situation.attempt, tuple(sorted(session.missing)), shared=True))
    step.do(StartTimer(Timer.REQUEST, step.policy.missing_every))


def subscriptions_moved(step: Step, fact: SubscriptionsMoved) -> None:
    """Some went live, were refused, ended or silenced; none left to wait for ends the restore."""
    s = step.situation
    was_held_back, s.session.held_back = s.session.held_back, fact.held_back
    s.session.refused = fact.refused
    s.session.ended = fact.ended
    s.session.withheld = fact.withheld
    if s.phase is not Phase.RESTORING:
        ask_for_ended(step)
    elif fact.pending == 0:
        restore_over(step)
    elif fact.held_back:
        step.do(StopTimer(Timer.RESTORE))
    elif was_held_back:  # the last has left now
        step.do(StartTimer(Timer.RESTORE, step.policy.restore_grace))


def restore_over(step: Step, _fact: TimerFired | None = None) -> None:
    """All are live, or had their time: markets close, a tick is not waited for."""
    step.do(StopTimer(Timer.RESTORE))
    step.situation.session.restore = RestoreState.DONE
    _whole(step)


def orders_unconfirmed(step: Step, fact: OrdersUnconfirmed) -> None:
    """Tell of them until there is evidence, or the caller knows better."""
    step.situation.unconfirmed = fact.orders


def start_up_again(step: Step) -> None:
    """The gateway has forgotten what it was asked for: all of it anew, on the same socket."""
    s = step.situation
    s.phase = Phase.STARTUP
    s.session.answered.clear()
    s.session.told_while_down.clear()
    s.session.missing.clear()
    s.session.unreadable.clear()
    s.session.asked_again = False
    if s.session.startup is StartupState.COMPARED:
        s.session.data_lost = True
    if s.session.startup is not StartupState.FIRST:
        s.session.startup = StartupState.AGAIN
    s.session.restore = RestoreState.DUE_AGAIN  # also what was asked for before any restore is forgotten
    step.do(
        StopTimer(Timer.RESTORE),
        StartUp(s.attempt),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def ask_for_the_rest(step: Step) -> None:
    """What start-up still lacks, or was told of by a gateway whose own link was down."""
    s = step.situation
    if s.session.startup is not StartupState.COMPARED:
        s.session.answered -= s.session.told_while_down
    names = tuple(sorted(s.session.missing | s.session.pending))
    if not names:
        return
    s.phase = Phase.STARTUP
    s.session.missing.clear()
    s.session.unreadable.clear()
    s.session.asked_again = False
    step.do(
        StopTimer(Timer.RESTORE),
        AskAgain(s.attempt, names, shared=True),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def _end_startup(step: Step) -> None:
    """All is answered, or missing: what is missing is asked for now and then."""
    s = step.situation
    s.had_session = True
    is_first = s.session.startup is StartupState.FIRST
    if not s.session.startup.has_ended:
        s.session.startup = StartupState.OVER
    step.do(StopTimer(Timer.REQUEST))
    _compare(step)
    if s.session.restore is not RestoreState.DONE:  # what 1102 left running is not asked for again
        s.phase = Phase.RESTORING
        step.do(
            StartTimer(Timer.RESTORE, step.policy.restore_grace),
            Restore(s.attempt, same_session=s.session.restore is not RestoreState.DUE),
        )
        s.session.restore = RestoreState.SENT
    if is_first:
        step.do(Announce(s.attempt))
    if s.session.restore is RestoreState.DONE:
        _whole(step)
    if s.session.missing:
        step.do(StartTimer(Timer.REQUEST, step.policy.missing_every))


def _compare(step: Step) -> None:
    """Once, and when it is known what is being traded: late answers may make that later than the end of start-up.

    A gateway whose link is down does not know: it has not heard of what was filled since.
    """
    s = step.situation
    session = s.session
    if session.startup is StartupState.COMPARED or not (TRADED & session.asked) <= session.answered:
        return
    if session.upstream is UpstreamState.DOWN or session.told_while_down & session.pending:
        return
    session.startup = StartupState.COMPARED
    cause = DATA_LOST if session.data_lost else s.lost_because or NOT_CONNECTED
    unknown = session.asked - session.answered
    if session.read_only or step.identity.readonly:
        unknown |= set(ORDER_REQUESTS)
    step.do(Compare(s.attempt, cause, tuple(sorted(unknown)), s.gap_outage))
    if s.phase is Phase.UP:
        step.do(ReportGap(s.attempt))


def _whole(step: Step) -> None:
    s = step.situation
    s.phase = Phase.UP
    s.attempts_made = 0
    if s.session.startup is StartupState.COMPARED:
        step.do(ReportGap(s.attempt))
    ask_for_ended(step)
