"""Computes statistics of a recording: counts, rates, round trips, errors, silences."""

import itertools
import statistics
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from ibkr.proxy.message_catalog import ANSWERS_BY_REQUEST, REQUESTS_BY_ANSWER, STREAM_MESSAGES, identify_message
from ibkr.proxy.message_ids import read_id
from ibkr.proxy.recording_reader import Entry, Recording

SILENCE = 5.0
"""A silence is at least this many seconds without a message of the gateway."""


@dataclass
class RoundTrips:
    """How long the first answers to the requests of one name took, in seconds."""

    seconds: list[float] = field(default_factory=list)
    unanswered: int = 0

    def to_dict(self) -> dict[str, Any]:
        if not self.seconds:
            return {"answered": 0, "unanswered": self.unanswered}
        return {
            "answered": len(self.seconds),
            "unanswered": self.unanswered,
            "median_ms": round(1000 * statistics.median(self.seconds), 3),
            "max_ms": round(1000 * max(self.seconds), 3),
        }


@dataclass
class RecordingStats:
    """Counts by direction and name, messages per second, round trips, errors by code, silences of the gateway."""

    duration: float
    requests: Counter[str]
    answers: Counter[str]
    busiest_second: int
    round_trips: dict[str, RoundTrips]
    errors: Counter[object]
    silences: list[tuple[float, float]]
    not_known: int

    def to_dict(self) -> dict[str, Any]:
        total = sum(self.answers.values())
        return {
            "duration_s": round(self.duration, 3),
            "requests": dict(self.requests.most_common()),
            "messages": dict(self.answers.most_common()),
            "messages_per_second": round(total / self.duration, 1) if self.duration else None,
            "busiest_second": self.busiest_second,
            "round_trips": {name: found.to_dict() for name, found in sorted(self.round_trips.items())},
            "errors": {str(code): count for code, count in self.errors.most_common()},
            "silences": [{"at_s": round(at, 3), "for_s": round(length, 3)} for at, length in self.silences],
            "not_known": self.not_known,
        }


def compute_stats(recording: Recording) -> RecordingStats:
    """Compute the statistics of a recording."""
    answers = [entry for entry in recording.entries if not entry.is_request]
    seconds = Counter(int(entry.at) for entry in answers)
    times = [entry.at for entry in answers] + ([] if recording.ended_at is None else [recording.ended_at])
    return RecordingStats(
        recording.duration,
        Counter(entry.name for entry in recording.entries if entry.is_request),
        Counter(entry.name for entry in answers),
        max(seconds.values(), default=0),
        _round_trips(recording),
        Counter(entry.fields.get("code") for entry in answers if entry.name == "error" and entry.fields),
        [(start, end - start) for start, end in itertools.pairwise(times) if end - start >= SILENCE],
        sum(entry.fields is None for entry in recording.entries),
    )


def _round_trips(recording: Recording) -> dict[str, RoundTrips]:
    """Find the first answers: by the request's id if it has one, otherwise in the order of the requests."""
    version = recording.header.server_version
    found: dict[str, RoundTrips] = {}
    by_id: dict[int, Entry] = {}
    waiting: dict[str, deque[Entry]] = {}
    for entry in recording.entries:
        number = _read_own_id(entry, version)
        if entry.is_request:
            if ANSWERS_BY_REQUEST.get(entry.name):
                found.setdefault(entry.name, RoundTrips()).unanswered += 1
                if number is None:
                    waiting.setdefault(entry.name, deque()).append(entry)
                else:
                    by_id[number] = entry
            continue
        request = by_id.pop(number, None) if number is not None and number >= 0 else None
        if request is None and entry.name not in STREAM_MESSAGES:
            request = next(
                (waiting[name].popleft() for name in REQUESTS_BY_ANSWER.get(entry.name, ()) if waiting.get(name)), None
            )
        if request is not None:
            found[request.name].unanswered -= 1
            found[request.name].seconds.append(entry.at - request.at)
    return found


def _read_own_id(entry: Entry, version: int) -> int | None:
    """Return the id of the request or order that a message belongs to."""
    if entry.body is None:
        return None
    info = identify_message(entry.body, version, is_request=entry.is_request)
    found = [read_id(info, version, name) for name in ("req_id", "order_id")]
    return next((number for number in found if number is not None and number >= 0), None)
