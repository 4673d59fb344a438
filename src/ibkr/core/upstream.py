"""Reactions to the gateway's codes: about its link to IB's servers, its farms, and what it thinks of us."""

from __future__ import annotations

from ibkr.core.attempts import fail, port_changed
from ibkr.core.codes import Reaction, connected_farms, farm_name, new_port, reaction
from ibkr.core.effects import SlowDown, StopTimer
from ibkr.core.facts import CodeReceived, FarmsTold, Timer, TimerFired
from ibkr.core.failure import Failure, FailureKind
from ibkr.core.state import FarmState, UpstreamState
from ibkr.core.step import Step
from ibkr.core.streams import ask_for_ended, farm_broke, farm_came_back, upstream_broke, upstream_came_back
from ibkr.core.sync import ask_for_the_rest, start_up_again

_FARM_STATES = {
    Reaction.FARM_BROKEN: FarmState.BROKEN,
    Reaction.FARM_OK: FarmState.OK,
    Reaction.FARM_INACTIVE: FarmState.INACTIVE,
    Reaction.FARM_CONNECTING: FarmState.CONNECTING,
}


def upstream_assumed(step: Step, _fact: TimerFired) -> None:
    """The gateway has said nothing of its link."""
    step.situation.session.upstream = UpstreamState.ASSUMED


def code_in_attempt(step: Step, fact: CodeReceived) -> None:
    """Before there is a session, a code may be the cause that there is none."""
    match reaction(fact.code):
        case Reaction.CLIENT_ID_IN_USE:
            fail(step, Failure(FailureKind.CLIENT_ID_IN_USE, f"client id {step.identity.client_id} is already in use"))
        case Reaction.PORT_CHANGED:
            port_changed(step, new_port(fact.text))
        case _:
            _note(step, fact)


def code_in_session(step: Step, fact: CodeReceived) -> None:
    """1101 starts the synchronisation anew on the same socket.

    1102 asks for what start-up still lacks, or was told of while the gateway was blind.
    """
    _note(step, fact)
    match reaction(fact.code):
        case Reaction.UPSTREAM_BACK_DATA_LOST:
            start_up_again(step)
        case Reaction.UPSTREAM_BACK:
            ask_for_the_rest(step)
            ask_for_ended(step)
        case Reaction.PORT_CHANGED:
            port_changed(step, new_port(fact.text))


def farms_told(step: Step, fact: FarmsTold) -> None:
    """How farms are, in order. Whoever says that knows upstream."""
    for code, text in fact.notices:
        _note_farm(step, farm_name(text), _FARM_STATES[reaction(code)])
    ask_for_ended(step)  # when all is known: the last word of a farm counts


def _note(step: Step, fact: CodeReceived) -> None:
    session = step.situation.session
    kind = reaction(fact.code)
    match kind:
        case Reaction.UPSTREAM_LOST:
            _note_upstream_lost(step)
        case Reaction.UPSTREAM_BACK | Reaction.UPSTREAM_BACK_DATA_LOST:
            session.upstream = UpstreamState.UP
            step.do(StopTimer(Timer.UPSTREAM))
            listed = connected_farms(fact.text)
            if listed:
                session.farms = dict.fromkeys(listed, FarmState.OK)
            upstream_came_back(step, listed, streams_kept=kind is Reaction.UPSTREAM_BACK)
        case Reaction.TOO_FAST:
            session.too_fast += 1
            step.do(SlowDown(step.situation.attempt))


def _note_upstream_lost(step: Step) -> None:
    s = step.situation
    is_repeat = s.session.upstream is UpstreamState.DOWN
    s.upstream_notices = s.upstream_notices + 1 if is_repeat else 1
    s.session.upstream = UpstreamState.DOWN
    step.do(StopTimer(Timer.UPSTREAM))
    upstream_broke(step)


def _note_farm(step: Step, name: str, state: FarmState) -> None:
    session = step.situation.session
    if name:
        session.farms[name] = state
        if state is FarmState.BROKEN:
            farm_broke(step, name)
        elif state is FarmState.OK:
            farm_came_back(step, name)
    if session.upstream in (UpstreamState.UNKNOWN, UpstreamState.ASSUMED):
        session.upstream = UpstreamState.UP
        step.do(StopTimer(Timer.UPSTREAM))
