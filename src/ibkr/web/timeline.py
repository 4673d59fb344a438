"""Builds the timeline for the page: the states of the last hours. Short problems stay visible in a long range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from ibkr.core.states import ConnectionState
from ibkr.observe.history_rows import NOT_WATCHED, StateChange

DEFAULT_HOURS = 24
_SLOTS = 720
# If several states share a slot, the state that comes last here is shown: problems must be visible.
_SEVERITY = {
    state: severity
    for severity, state in enumerate(
        (
            ConnectionState.READY,
            NOT_WATCHED,
            ConnectionState.DISCONNECTED,
            ConnectionState.SYNCING,
            ConnectionState.CONNECTING,
            ConnectionState.DEGRADED,
            ConnectionState.RECONNECTING,
            ConnectionState.FAILED,
        )
    )
}


def build_timeline(
    changes: Sequence[StateChange], until: datetime, span: timedelta = timedelta(hours=DEFAULT_HOURS)
) -> dict[str, Any]:
    """Return the timeline of the time ``span`` before ``until``, in JSON types. ``changes``: oldest first.

    The time since watching began is divided into 720 slots. Each slot has the worst of its states.

    Returns:
        ``segments``: from ``at`` on, the state was ``state``. In the ``watched_seconds``, the state was ``READY`` for
        ``ready_seconds``. ``from`` and ``to`` are the limits.
    """
    since = until - span
    periods = list(_periods(changes, since, until))
    # Use the earliest period, not the first one: if the clock is set back, a later period begins earlier.
    first = min((begin for state, begin, _ in periods if state != NOT_WATCHED), default=since)
    first = min(first, until - timedelta(seconds=1))  # a slot must not have the length 0
    slot = (until - first) / _SLOTS
    slots = [str(NOT_WATCHED)] * _SLOTS
    is_set = [False] * _SLOTS
    ready = watched = timedelta()
    for state, begin, end in periods:
        if state != NOT_WATCHED:
            watched += end - begin
        if state == ConnectionState.READY:
            ready += end - begin
        for number in (
            range(max(0, int((begin - first) / slot)), min(_SLOTS, -int((first - end) // slot))) if end > first else ()
        ):
            if not is_set[number] or _SEVERITY[state] > _SEVERITY[slots[number]]:
                slots[number], is_set[number] = str(state), True
    states = [(since, str(NOT_WATCHED))] if since < first else []
    states += [(first + number * slot, state) for number, state in enumerate(slots)]
    segments = [each for number, each in enumerate(states) if not number or each[1] != states[number - 1][1]]
    return {
        "from": _to_text(since),
        "to": _to_text(until),
        "segments": [{"at": _to_text(at), "state": state} for at, state in segments],
        "ready_seconds": ready.total_seconds(),
        "watched_seconds": watched.total_seconds(),
    }


def _periods(
    changes: Sequence[StateChange], since: datetime, until: datetime
) -> Iterator[tuple[str, datetime, datetime]]:
    """Iterate over state, begin and end of each period between the two times."""
    for number, change in enumerate(changes):
        end = changes[number + 1].at if number + 1 < len(changes) else until
        begin, end = max(change.at, since), min(end, until)
        if begin < end:
            yield change.state, begin, end


def _to_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
