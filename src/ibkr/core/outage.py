"""Defines what an outage is. All other code reads ``status.outage``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ibkr.core.frozen_record import FrozenRecord, replace
from ibkr.core.states import ConnectionState, SessionState, UpstreamState


class OutageCause(StrEnum):
    """What ended ``READY``."""

    SESSION_LOST = "session_lost"
    """Our own socket closed, was abandoned, or is suspect."""
    UPSTREAM_LOST = "upstream_lost"
    """The gateway lost its connection to IB's servers."""
    DATA_LOST = "data_lost"
    """Upstream came back without its subscriptions (1101)."""
    INCOMPLETE = "incomplete"
    """A session is up, but something required is missing: a start-up answer, a subscription, a farm."""
    FAILED = "failed"
    """The connector stopped trying."""


class Outcome(StrEnum):
    """How an outage ended."""

    RECOVERED = "recovered"
    DISCONNECTED = "disconnected"
    """The program disconnected."""
    UNKNOWN = "unknown"
    """The program ended first."""


class Outage(FrozenRecord):
    """The time from the loss of ``READY`` until ``READY`` again. Times are aware UTC datetimes.

    An outage also ends when the program disconnects. It continues in every other state. ``ended_at`` minus ``began_at``
    is its true duration, even if the wall clock jumped. ``number`` counts the outages of one connector from 1.
    ``reason`` is the status' reason at its beginning, ``last_error`` the last failed attempt. Both may contain account
    ids: mask them before you show them.
    """

    number: int
    began_at: datetime
    cause: OutageCause
    reason: str
    last_error: str = ""
    ended_at: datetime | None = None
    outcome: Outcome | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None

    @property
    def seconds(self) -> float | None:
        """Its duration; ``None`` while it lasts."""
        return None if self.ended_at is None else max(0.0, (self.ended_at - self.began_at).total_seconds())

    def to_dict(self) -> dict[str, Any]:
        """The outage as JSON types."""
        return {
            "began_at": self.began_at.isoformat(timespec="milliseconds"),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(timespec="milliseconds"),
            "seconds": self.seconds,
            "cause": str(self.cause),
            "reason": self.reason,
            "last_error": self.last_error,
            "outcome": None if self.outcome is None else str(self.outcome),
        }


def update_outage(
    latest: Outage | None,
    before: ConnectionState | None,
    fields: Mapping[str, Any],
    since: datetime,
    lasted: float | None = None,
) -> Outage | None:
    """Return the current or last outage, updated for a change of state.

    Args:
        latest: The current outage, or the last one; ``None`` before the first.
        before: The previous state.
        fields: The new status fields, by name.
        since: When the new state began.
        lasted: Duration of the current outage in seconds, by a monotonic clock; ``None``: compute it from ``since``.
    """
    state = fields["state"]
    is_under_way = latest is not None and not latest.is_over
    if state in (ConnectionState.READY, ConnectionState.DISCONNECTED):
        outcome = Outcome.RECOVERED if state is ConnectionState.READY else Outcome.DISCONNECTED
        if latest is None or not is_under_way:
            return latest
        ended_at = since if lasted is None else latest.began_at + timedelta(seconds=lasted)
        return replace(latest, ended_at=ended_at, outcome=outcome)
    last_error = fields["last_error"]
    if latest and is_under_way:
        return latest if last_error in ("", latest.last_error) else replace(latest, last_error=last_error)
    if before is not ConnectionState.READY:
        return latest
    return Outage(latest.number + 1 if latest else 1, since, outage_cause(fields), fields["reason"], last_error)


def outage_cause(fields: Mapping[str, Any]) -> OutageCause:
    """Why these status fields do not allow ``READY``."""
    if fields["state"] is ConnectionState.FAILED:
        return OutageCause.FAILED
    if fields["session"] is not SessionState.UP:
        return OutageCause.SESSION_LOST
    if fields["upstream"] is UpstreamState.DOWN:
        return OutageCause.UPSTREAM_LOST
    return OutageCause.DATA_LOST if fields["state"] is ConnectionState.SYNCING else OutageCause.INCOMPLETE
