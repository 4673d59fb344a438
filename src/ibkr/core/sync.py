"""Reactions while a session is up: start-up, restore, and what the gateway says of its own links."""

from __future__ import annotations

from ibkr.core.codes import Reaction, connected_farms, farm_name, reaction
from ibkr.core.effects import Announce, AskAgain, Restore, StartTimer, StartUp, StopTimer
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import CodeReceived, StartupAnswered, StartupAsked, SubscriptionsMoved, Timer, TimerFired
from ibkr.core.link import fail
from ibkr.core.situation import Phase
from ibkr.core.state import FarmState, UpstreamState
from ibkr.core.step import Step

_FARM_STATES = {
    Reaction.FARM_BROKEN: FarmState.BROKEN,
    Reaction.FARM_OK: FarmState.OK,
    Reaction.FARM_INACTIVE: FarmState.INACTIVE,
    Reaction.FARM_CONNECTING: FarmState.CONNECTING,
}


def startup_asked(step: Step, fact: StartupAsked) -> None:
    """These answers are now awaited."""
    step.situation.session.asked.update(fact.names)


def startup_answered(step: Step, fact: StartupAnswered) -> None:
    """One answer more; the last one ends start-up. A late one is as good as one in time."""
    session = step.situation.session
    session.answered.add(fact.name)
    session.missing.discard(fact.name)
    session.read_only = session.read_only or fact.read_only
    if step.situation.phase is Phase.STARTUP and not session.pending:
        _end_startup(step)


def startup_overdue(step: Step, _fact: TimerFired) -> None:
    """Ask once more; then go on without, and say what is missing."""
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


def subscriptions_moved(step: Step, fact: SubscriptionsMoved) -> None:
    """Some went live or were refused; none left to wait for ends the restore."""
    s = step.situation
    s.session.refused = fact.refused
    if s.phase is not Phase.RESTORING:
        return
    if fact.pending == 0:
        restore_over(step)


def restore_over(step: Step, _fact: TimerFired | None = None) -> None:
    """All are live, or had their time: markets close, a tick is not waited for."""
    step.do(StopTimer(Timer.RESTORE))
    step.situation.session.restore_due = False
    _whole(step)


def upstream_assumed(step: Step, _fact: TimerFired) -> None:
    """The gateway has said nothing of its link."""
    step.situation.session.upstream = UpstreamState.ASSUMED


def code_in_attempt(step: Step, fact: CodeReceived) -> None:
    """Before there is a session, a code may be the cause that there is none."""
    if reaction(fact.code) is Reaction.CLIENT_ID_IN_USE:
        fail(step, Failure(FailureKind.CLIENT_ID_IN_USE, f"client id {step.identity.client_id} is already in use"))
    else:
        _note(step, fact)


def code_in_session(step: Step, fact: CodeReceived) -> None:
    """1101 starts the synchronisation anew on the same socket; 1102 asks for what start-up still lacks."""
    _note(step, fact)
    match reaction(fact.code):
        case Reaction.UPSTREAM_BACK_DATA_LOST:
            _start_up_again(step)
        case Reaction.UPSTREAM_BACK:
            _ask_for_the_rest(step)


def _note(step: Step, fact: CodeReceived) -> None:
    session = step.situation.session
    kind = reaction(fact.code)
    match kind:
        case Reaction.UPSTREAM_LOST:
            session.upstream = UpstreamState.DOWN
            step.do(StopTimer(Timer.UPSTREAM))
        case Reaction.UPSTREAM_BACK | Reaction.UPSTREAM_BACK_DATA_LOST:
            session.upstream = UpstreamState.UP
            step.do(StopTimer(Timer.UPSTREAM))
            listed = connected_farms(fact.text)
            session.farms = dict.fromkeys(listed, FarmState.OK) if listed else session.farms
        case _ if kind in _FARM_STATES:
            name = farm_name(fact.text)
            if name:
                session.farms[name] = _FARM_STATES[kind]
            if session.upstream in (UpstreamState.UNKNOWN, UpstreamState.ASSUMED):
                session.upstream = UpstreamState.UP
                step.do(StopTimer(Timer.UPSTREAM))


def _start_up_again(step: Step) -> None:
    s = step.situation
    s.phase = Phase.STARTUP
    s.session.answered.clear()
    s.session.missing.clear()
    s.session.asked_again = False
    s.session.compared = False
    s.session.restore_due = True
    step.do(
        StopTimer(Timer.RESTORE),
        StartUp(s.attempt),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def _ask_for_the_rest(step: Step) -> None:
    s = step.situation
    names = tuple(sorted(s.session.missing | s.session.pending))
    if not names:
        return
    s.phase = Phase.STARTUP
    s.session.missing.clear()
    s.session.asked_again = False
    step.do(
        StopTimer(Timer.RESTORE),
        AskAgain(s.attempt, names, shared=True),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
    )


def _end_startup(step: Step) -> None:
    s = step.situation
    s.had_session = True
    s.session.compared = True
    step.do(StopTimer(Timer.REQUEST))
    if not s.session.restore_due:  # what 1102 left running is not asked for again
        _whole(step)
        return
    s.phase = Phase.RESTORING
    step.do(
        StartTimer(Timer.RESTORE, step.policy.restore_grace),
        Restore(s.attempt, same_session=s.session.restored),
    )
    s.session.restored = True
    if not s.session.started:
        s.session.started = True
        step.do(Announce(s.attempt))


def _whole(step: Step) -> None:
    step.situation.phase = Phase.UP
    step.situation.attempts_made = 0
