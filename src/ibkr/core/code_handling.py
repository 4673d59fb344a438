"""Reactions to the gateway's codes: 1100, 1101, 1102, 2110, data farms, 326, 1300, 100, Read-Only."""

from __future__ import annotations

from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.attempts import fail_attempt, port_changed
from ibkr.core.codes import Reaction, connected_farms, disconnected_farms, farm_name, is_read_only, new_port, reaction
from ibkr.core.data_loss import subscriptions_lost
from ibkr.core.effects import ReduceSendRate, StopTimer
from ibkr.core.events import CodeReceived, FarmStatusReceived, LimitReached, Timer, TimerFired
from ibkr.core.reconciliation import schedule_read_only_check, upstream_restored
from ibkr.core.states import FarmState, UpstreamState
from ibkr.core.step import Step
from ibkr.core.stream_failures import (
    farm_available,
    farm_lost,
    farm_restored,
    retry_lost_streams,
    upstream_back,
    upstream_lost,
)

MOST_FARMS = 64
"""The most farms that we accept. A gateway has about a dozen."""

_FARM_STATES = {
    Reaction.FARM_BROKEN: FarmState.BROKEN,
    Reaction.FARM_OK: FarmState.OK,
    Reaction.FARM_INACTIVE: FarmState.INACTIVE,
    Reaction.FARM_CONNECTING: FarmState.CONNECTING,
}


def upstream_assumed(step: Step, _event: TimerFired) -> None:
    """Assume that upstream is up, because the gateway did not report it in time."""
    step.state.session.upstream = UpstreamState.ASSUMED


def code_in_attempt(step: Step, event: CodeReceived) -> None:
    """Handle a code that arrives before the session is up. It may be the cause of a failure."""
    match reaction(event.code):
        case Reaction.CLIENT_ID_IN_USE:
            fail_attempt(
                step, Failure(FailureKind.CLIENT_ID_IN_USE, f"client id {step.identity.client_id} is already in use")
            )
        case Reaction.PORT_CHANGED:
            port_changed(step, new_port(event.text))
        case _:
            _note(step, event)


def code_in_session(step: Step, event: CodeReceived) -> None:
    """Handle a code in a session.

    After 1101, start-up runs again on the same socket. After 1102, orders, executions and positions are requested
    again, because the gateway does not report everything that happened meanwhile.
    """
    _note(step, event)
    match reaction(event.code):
        case Reaction.UPSTREAM_BACK_DATA_LOST:
            subscriptions_lost(step)
        case Reaction.UPSTREAM_BACK:
            upstream_restored(step)
            retry_lost_streams(step)
        case Reaction.PORT_CHANGED:
            port_changed(step, new_port(event.text))


def limit_reached(step: Step, event: LimitReached) -> None:
    """Show the limit in the status for the rest of the session."""
    step.state.session.limited[event.words] = None


def farm_status_received(step: Step, event: FarmStatusReceived) -> None:
    """Store the state of farms, in order. A gateway that reports farms has an upstream."""
    for code, text in event.notices:
        _note_farm(step, farm_name(text), _FARM_STATES[reaction(code)])
    retry_lost_streams(step)  # this comes after all notices: only the last state of a farm is used


def _note(step: Step, event: CodeReceived) -> None:
    session = step.state.session
    kind = reaction(event.code)
    match kind:
        case Reaction.UPSTREAM_LOST:
            _note_upstream_lost(step)
        case Reaction.UPSTREAM_BACK | Reaction.UPSTREAM_BACK_DATA_LOST:
            session.upstream = UpstreamState.UP
            step.do(StopTimer(Timer.UPSTREAM))
            connected, broken = connected_farms(event.text), disconnected_farms(event.text)
            if connected or broken:
                states = [(farm, FarmState.OK) for farm in connected] + [(farm, FarmState.BROKEN) for farm in broken]
                session.farms = dict(states[:MOST_FARMS])
            upstream_back(step, connected, broken, streams_kept=kind is Reaction.UPSTREAM_BACK)
        case Reaction.READ_ONLY if is_read_only(event.code, event.text):
            session.read_only = True
            schedule_read_only_check(step)
        case Reaction.TOO_FAST:
            session.too_fast += 1
            step.do(ReduceSendRate(step.state.attempt))


def _note_upstream_lost(step: Step) -> None:
    s = step.state
    is_repeat = s.session.upstream is UpstreamState.DOWN
    s.upstream_notices = s.upstream_notices + 1 if is_repeat else 1
    s.session.upstream = UpstreamState.DOWN
    s.session.is_requesting_late_executions = False
    step.do(StopTimer(Timer.UPSTREAM), StopTimer(Timer.LATE_LOOK))
    upstream_lost(step)


def _note_farm(step: Step, name: str, state: FarmState) -> None:
    session = step.state.session
    if name and name not in session.farms and len(session.farms) >= MOST_FARMS:
        session.limited[f"more than {MOST_FARMS} data farms were named"] = None
    elif name:
        if state is FarmState.INACTIVE:
            farm_available(step, name)
        session.farms[name] = state
        if state is FarmState.BROKEN:
            farm_lost(step, name)
        elif state is FarmState.OK:
            farm_restored(step, name)
    if session.upstream in (UpstreamState.UNKNOWN, UpstreamState.ASSUMED):
        session.upstream = UpstreamState.UP
        step.do(StopTimer(Timer.UPSTREAM))
