"""The last hours of states as a band: short troubles stay visible, however long the band is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from ibkr.core.state import ConnectionState
from ibkr.observe.history import NOT_WATCHED, Change

HOURS = 24
_SLOTS = 720
# The later one wins where several share a slot: what went wrong must show.
_WEIGHT = {
    state: weight
    for weight, state in enumerate(
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


def band(changes: Sequence[Change], until: datetime) -> dict[str, Any]:
    """The ``HOURS`` before ``until`` in JSON's types.

    ``segments``: from ``at`` on this state, the worst in each 720th of the band. ``ready_seconds`` of
    ``watched_seconds`` it was ``READY``.
    """
    since = until - timedelta(hours=HOURS)
    slot = (until - since) / _SLOTS
    slots = [str(NOT_WATCHED)] * _SLOTS
    is_set = [False] * _SLOTS
    ready = watched = timedelta()
    for state, begin, end in _stretches(changes, since, until):
        if state != NOT_WATCHED:
            watched += end - begin
        if state == ConnectionState.READY:
            ready += end - begin
        for number in range(int((begin - since) / slot), min(_SLOTS, -int((since - end) // slot))):
            if not is_set[number] or _WEIGHT[state] > _WEIGHT[slots[number]]:
                slots[number], is_set[number] = str(state), True
    edges = [number for number in range(_SLOTS) if number == 0 or slots[number] != slots[number - 1]]
    return {
        "from": _text(since),
        "to": _text(until),
        "segments": [{"at": _text(since + number * slot), "state": slots[number]} for number in edges],
        "ready_seconds": ready.total_seconds(),
        "watched_seconds": watched.total_seconds(),
    }


def _stretches(changes: Sequence[Change], since: datetime, until: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    for number, change in enumerate(changes):
        end = changes[number + 1].at if number + 1 < len(changes) else until
        begin, end = max(change.at, since), min(end, until)
        if begin < end:
            yield change.state, begin, end


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
