"""What an outage is. This is the one place that decides it; everybody else reads ``status.outage``.

An outage begins when ``READY`` is lost and ends when it is ``READY`` again, or when the program disconnects. The same
outage goes on while the state changes between ``RECONNECTING``, ``SYNCING``, ``DEGRADED`` and ``FAILED``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ibkr.core.state import ConnectionState, SessionState, UpstreamState
from ibkr.core.value import Value


class OutageCause(StrEnum):
    """What ended ``READY``."""

    SESSION_LOST = "session_lost"
    """Our own socket ended, was given up, or is suspect."""
    UPSTREAM_LOST = "upstream_lost"
    """The gateway lost its link to IB's servers."""
    DATA_LOST = "data_lost"
    """Upstream came back and had forgotten what was asked for (1101)."""
    INCOMPLETE = "incomplete"
    """A session, but something required is missing: a start-up answer, a subscription, a farm."""
    FAILED = "failed"
    """Given up."""


class Outcome(StrEnum):
    """How an outage ended."""

    RECOVERED = "recovered"
    DISCONNECTED = "disconnected"
    """The program had enough and disconnected."""
    UNKNOWN = "unknown"
    """The program ended first."""


class Outage(Value):
    """From the moment ``READY`` was lost until ``READY`` again. Times are aware UTC datetimes.

    ``number`` counts the outages of one connector from 1. ``reason`` is what the status said when the outage began,
    ``last_error`` the last failed attempt in it. Both may name accounts: mask them before you show them.
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
        """How long it was; ``None`` while it lasts."""
        return None if self.ended_at is None else max(0.0, (self.ended_at - self.began_at).total_seconds())

    def to_dict(self) -> dict[str, Any]:
        """The outage in JSON's types."""
        return {
            "began_at": self.began_at.isoformat(timespec="milliseconds"),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(timespec="milliseconds"),
            "seconds": self.seconds,
            "cause": str(self.cause),
            "reason": self.reason,
            "last_error": self.last_error,
            "outcome": None if self.outcome is None else str(self.outcome),
        }


def follow_outage(
    latest: Outage | None, before: ConnectionState | None, fields: Mapping[str, Any], since: datetime
) -> Outage | None:
    """The latest outage, once the state went from ``before`` to that of these fields of a status.

    Args:
        latest: The outage under way, or the last one; ``None`` before the first.
        before: The state until now.
        fields: The new status' fields, by name.
        since: When its state began.
    """
    state = fields["state"]
    is_under_way = latest is not None and not latest.is_over
    if state in (ConnectionState.READY, ConnectionState.DISCONNECTED):
        outcome = Outcome.RECOVERED if state is ConnectionState.READY else Outcome.DISCONNECTED
        return replace(latest, ended_at=since, outcome=outcome) if latest and is_under_way else latest
    last_error = fields["last_error"]
    if latest and is_under_way:
        return latest if last_error in ("", latest.last_error) else replace(latest, last_error=last_error)
    if before is not ConnectionState.READY:
        return latest
    return Outage(latest.number + 1 if latest else 1, since, cause_of(fields), fields["reason"], last_error)


def cause_of(fields: Mapping[str, Any]) -> OutageCause:
    """What these fields of a status say against ``READY``."""
    if fields["state"] is ConnectionState.FAILED:
        return OutageCause.FAILED
    if fields["session"] is not SessionState.UP:
        return OutageCause.SESSION_LOST
    if fields["upstream"] is UpstreamState.DOWN:
        return OutageCause.UPSTREAM_LOST
    return OutageCause.DATA_LOST if fields["state"] is ConnectionState.SYNCING else OutageCause.INCOMPLETE
