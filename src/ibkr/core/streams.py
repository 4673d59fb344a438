"""Reactions about single streams: ended by the gateway, or silent although what they come over is back."""

from __future__ import annotations

from ibkr.core.codes import feed_of
from ibkr.core.effects import AskStreams, StartTimer, StopTimer, Watch
from ibkr.core.facts import Fact, StreamsWatched, Timer
from ibkr.core.situation import RestoreState, Watched
from ibkr.core.state import FarmState, Feed, UpstreamState
from ibkr.core.step import Step

EVERY_FARM = ""


def ask_for_ended(step: Step, _fact: Fact | None = None) -> None:
    """Ask again for what the gateway has ended, once upstream and farm are up, and not all the time."""
    s = step.situation
    session = s.session
    flowing = [stream for stream in session.ended if _flows(step, stream.feed)]
    if not flowing:
        return
    if session.streams_asked_at is not None:
        left = session.streams_asked_at + step.policy.stream_pause - step.now.mono
        if left > 0:
            step.do(StartTimer(Timer.STREAMS, left))
            return
    session.streams_asked_at = step.now.mono
    session.ended = tuple(stream for stream in session.ended if stream not in flowing)
    step.do(AskStreams(s.attempt, tuple(stream.req_id for stream in flowing)))


def farm_broke(step: Step, farm: str) -> None:
    """What is silent now is silent with reason."""
    session = step.situation.session
    session.broken_since.setdefault(farm, step.now.mono)
    _stop_watching(step, farm)


def farm_came_back(step: Step, farm: str) -> None:
    """What ticked over this feed should tick again."""
    session = step.situation.session
    since = session.broken_since.pop(farm, None)
    if since is not None and session.restore is RestoreState.DONE and feed_of(farm) is not Feed.DEFINITIONS:
        step.do(Watch(step.situation.attempt, feed_of(farm), since, farm))


def upstream_broke(step: Step) -> None:
    """All is silent with reason."""
    session = step.situation.session
    if session.upstream_down_since is None:
        session.upstream_down_since = step.now.mono
    session.watched.clear()
    step.do(StopTimer(Timer.WATCH))


def upstream_came_back(step: Step, farms: tuple[str, ...], *, streams_kept: bool) -> None:
    """What ticked before the loss should tick again, and before those of these farms broke that were broken.

    If nothing was kept, all is asked for anyway.
    """
    session = step.situation.session
    since, session.upstream_down_since = session.upstream_down_since, None
    if not streams_kept:
        session.ended = ()
        session.watched.clear()
        step.do(StopTimer(Timer.WATCH), StopTimer(Timer.STREAMS))
    elif session.restore is RestoreState.DONE:
        for farm in farms:
            farm_came_back(step, farm)
        step.do(Watch(step.situation.attempt, None, step.now.mono if since is None else since, EVERY_FARM))
    if farms:
        session.broken_since.clear()


def streams_watched(step: Step, fact: StreamsWatched) -> None:
    """Give each its time, unless the trouble is back by now, or all is asked for anyway."""
    now, session = step.now.mono, step.situation.session
    is_broken = session.upstream is UpstreamState.DOWN or session.farms.get(fact.farm) is FarmState.BROKEN
    if is_broken or session.restore is not RestoreState.DONE:
        return
    watched = session.watched
    for stream in fact.streams:
        watched[stream.req_id, fact.farm] = Watched(now, now + stream.patience)
    _wait_for_next(step)


def watch_over(step: Step, _fact: Fact) -> None:
    """Some had their time: those that are silent still are asked for again, once."""
    s = step.situation
    watched = s.session.watched
    due = {req_id: each.since for (req_id, _), each in watched.items() if each.due <= step.now.mono}
    for req_id, since in due.items():
        step.do(AskStreams(s.attempt, (req_id,), since))
    for key in [key for key in watched if key[0] in due]:
        del watched[key]
    _wait_for_next(step)


def _flows(step: Step, feed: Feed | None) -> bool:
    session = step.situation.session
    broken = any(state is FarmState.BROKEN and feed_of(farm) is feed for farm, state in session.farms.items())
    # What start-up and restore are about to ask for anyway is not asked for twice.
    return session.upstream is not UpstreamState.DOWN and not broken and session.restore is RestoreState.DONE


def _stop_watching(step: Step, farm: str) -> None:
    watched = step.situation.session.watched
    for key in [key for key in watched if key[1] == farm]:
        del watched[key]
    _wait_for_next(step)


def _wait_for_next(step: Step) -> None:
    watched = step.situation.session.watched
    if watched:
        next_due = min(each.due for each in watched.values())
        step.do(StartTimer(Timer.WATCH, max(0.0, next_due - step.now.mono)))
    else:
        step.do(StopTimer(Timer.WATCH))
