"""Reactions to streams that do not run: refused, ended or withheld by the gateway, or silent while their farm is up.

Each stream is requested again with growing delays, until the program cancels it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ibkr.core.codes import feed_of
from ibkr.core.effects import FindActiveStreams, RequestStreams, StartTimer, StopTimer
from ibkr.core.events import ActiveStreamsFound, Event, Key, LostStream, Timer
from ibkr.core.machine_state import RestoreState, SessionInfo, StreamWatch
from ibkr.core.policy import Policy
from ibkr.core.states import FarmState, Feed, UpstreamState
from ibkr.core.step import Step

EVERY_FARM = ""
_TAKEN_AFTER = 1.0
"""Seconds without a refusal after which a previously refused stream is treated as accepted."""
_TAKEN_FACTOR = 2.0
"""The stream is treated as accepted only after the time that its last refusal took, multiplied by this factor."""


def schedule_retries(step: Step) -> None:
    """Store when each stream that does not run is requested again. Request the streams that are due now."""
    session = step.state.session
    now, known = step.now.mono, session.retry_at
    session.retry_at = {
        _id(stream): known.get(_id(stream), now + retry_wait(stream, step.policy)) for stream in _lost(session)
    }
    retry_lost_streams(step)


def retry_lost_streams(step: Step, _event: Event | None = None) -> None:
    """Request the due streams again, and set the timer for the next due stream."""
    s = step.state
    session, now = s.session, step.now.mono
    if session.upstream is UpstreamState.DOWN or session.restore is not RestoreState.DONE:
        return  # this function runs again when upstream is back or the restore is done
    due = [stream.req_id for stream in _lost(session) if max(_due(step, stream), _next_round(step)) <= now]
    if due:
        session.streams_requested_at = now
        anew = tuple(req_id for req_id in due if req_id in session.prioritized)
        for req_ids, is_anew in ((anew, True), (tuple(req_id for req_id in due if req_id not in anew), False)):
            if req_ids:
                step.do(RequestStreams(s.attempt, req_ids, anew=is_anew))
        session.prioritized.difference_update(due)
        # Soon there are results of these requests. If there are none, the streams are requested again much later.
        session.ended = tuple(stream for stream in session.ended if stream.req_id not in due)
        for key in [key for key in session.retry_at if key[0] in due]:
            session.retry_at[key] = now + step.policy.stream_retry_later
    left = [max(_due(step, stream), _next_round(step)) for stream in _lost(session)]
    if left:
        step.do(StartTimer(Timer.STREAMS, max(0.0, min(left) - now)))
    else:
        step.do(StopTimer(Timer.STREAMS))


def retry_wait(stream: LostStream, policy: Policy) -> float:
    """Seconds from the loss of a stream to the next request. They double with each try, up to some minutes."""
    if stream.is_asked:
        return max(_TAKEN_AFTER, _TAKEN_FACTOR * stream.refused_in)
    if not stream.tries:
        return 0.0
    wait = policy.stream_retry * 2.0 ** min(stream.tries - 1, 30)
    cap = policy.stream_retry_cap
    return min(wait, cap) if wait < 2 * cap else policy.stream_retry_later


def retry_soon(step: Step, feed: Feed | None) -> None:
    """This feed (``None``: every feed) is back: its silent and withheld streams are due.

    All refused and ended streams are due, too: they may depend on more farms than the farm of their feed.
    """
    session = step.state.session
    over = [stream for stream in (*session.silent, *session.withheld) if feed in (None, stream.feed)]
    due = (*session.refused, *session.ended, *over)
    session.prioritized.update(stream.req_id for stream in due if not stream.is_asked)


def _lost(session: SessionInfo) -> Iterator[LostStream]:
    seen: set[Key] = set()
    for stream in (*session.refused, *session.ended, *session.withheld, *session.silent):
        if stream.req_id not in seen:
            seen.add(stream.req_id)
            yield stream


def _id(stream: LostStream) -> tuple[Key, int, bool]:
    return stream.req_id, stream.tries, stream.is_asked


def _due(step: Step, stream: LostStream) -> float:
    session, policy = step.state.session, step.policy
    due = session.retry_at.get(_id(stream), step.now.mono)
    if stream.req_id in session.prioritized:
        return stream.earliest
    if stream.is_asked:
        return due
    if stream in session.withheld:  # the gateway reports that it withholds the data, but not when the data returns
        due += policy.stream_retry_cap
    elif stream in session.ended and _is_broken(session, stream.feed):
        due += policy.stream_retry_cap  # another farm may deliver this stream, so it is still requested
    return max(due, stream.earliest)


def _next_round(step: Step) -> float:
    asked_at = step.state.session.streams_requested_at
    return step.now.mono if asked_at is None else asked_at + step.policy.stream_pause


def _is_broken(session: SessionInfo, feed: Feed | None) -> bool:
    return any(state is FarmState.BROKEN and feed_of(farm) is feed for farm, state in session.farms.items())


def farm_lost(step: Step, farm: str) -> None:
    """Store when the farm broke. Do not watch its streams, because they may be silent now."""
    session = step.state.session
    session.broken_since.setdefault(farm, step.now.mono)
    _stop_watching(step, farm)


def farm_restored(step: Step, farm: str) -> None:
    """The farm is back: request its lost streams, and find its streams that should tick again."""
    session = step.state.session
    since = session.broken_since.pop(farm, None)
    if since is None:
        return
    retry_soon(step, feed_of(farm))
    if session.restore is RestoreState.DONE and feed_of(farm) is not Feed.DEFINITIONS:
        step.do(FindActiveStreams(step.state.attempt, feed_of(farm), since, farm))


def farm_available(step: Step, farm: str) -> None:
    """The farm connects on demand: if it was broken, request its lost streams."""
    if step.state.session.farms.get(farm) is FarmState.BROKEN:
        retry_soon(step, feed_of(farm))


def upstream_lost(step: Step) -> None:
    """Store when upstream was lost. Do not watch or request streams, because they may be silent now."""
    session = step.state.session
    if session.upstream_down_since is None:
        session.upstream_down_since = step.now.mono
    session.watched.clear()
    step.do(StopTimer(Timer.WATCH), StopTimer(Timer.STREAMS))


def upstream_back(step: Step, connected: tuple[str, ...], broken: tuple[str, ...], *, streams_kept: bool) -> None:
    """Upstream is back: find the streams that should tick again, also those of broken farms that are back.

    If not ``streams_kept``, nothing is searched, because every stream is requested again. The farms are those that the
    gateway has listed.
    """
    session = step.state.session
    down_since, session.upstream_down_since = session.upstream_down_since, None
    since = step.now.mono if down_since is None else down_since
    if streams_kept:
        for farm in connected:
            farm_restored(step, farm)
        retry_soon(step, None)
        if session.restore is RestoreState.DONE:
            step.do(FindActiveStreams(step.state.attempt, None, since, EVERY_FARM))
    else:
        session.ended = ()
        session.watched.clear()
        step.do(StopTimer(Timer.WATCH), StopTimer(Timer.STREAMS))
    if connected or broken:
        session.broken_since = {farm: session.broken_since.get(farm, since) for farm in broken}
    for farm in broken:
        _stop_watching(step, farm)


def watch_all_streams(step: Step) -> None:
    """All streams were requested again: find those that ticked before, which should tick again."""
    step.do(FindActiveStreams(step.state.attempt, None, step.now.mono, EVERY_FARM))


def active_streams_found(step: Step, event: ActiveStreamsFound) -> None:
    """Watch each stream. Do nothing if upstream or the farm was lost again, or if a restore requests all streams."""
    now, session = step.now.mono, step.state.session
    is_broken = session.upstream is UpstreamState.DOWN or session.farms.get(event.farm) is FarmState.BROKEN
    if is_broken or session.restore is not RestoreState.DONE:
        return
    watched = session.watched
    for stream in event.streams:
        watched[stream.req_id, event.farm] = StreamWatch(now, now + stream.patience)
    _schedule_watch(step)


def check_watched_streams(step: Step, _event: Event) -> None:
    """Request the watched streams again that are still silent when their time is over."""
    s = step.state
    watched = s.session.watched
    due = {req_id: each.since for (req_id, _), each in watched.items() if each.due <= step.now.mono}
    for req_id, since in due.items():
        step.do(RequestStreams(s.attempt, (req_id,), since))
    for key in [key for key in watched if key[0] in due]:
        del watched[key]
    _schedule_watch(step)


def _stop_watching(step: Step, farm: str) -> None:
    watched = step.state.session.watched
    for key in [key for key in watched if key[1] == farm]:
        del watched[key]
    _schedule_watch(step)


def _schedule_watch(step: Step) -> None:
    watched = step.state.session.watched
    if watched:
        next_due = min(each.due for each in watched.values())
        step.do(StartTimer(Timer.WATCH, max(0.0, next_due - step.now.mono)))
    else:
        step.do(StopTimer(Timer.WATCH))
