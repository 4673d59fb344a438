"""Outages as they show in a row of statuses: when each began and ended, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ibkr.core.state import ConnectionState, SessionState, UpstreamState
from ibkr.core.status import Status


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


@dataclass(frozen=True, slots=True)
class Outage:
    """From the moment ``READY`` was lost until ``READY`` again. Times are aware UTC datetimes.

    ``reason`` is what was said when it began, ``last_error`` the last failed attempt in it; both are as the status has
    them: mask them before they are shown.
    """

    began_at: datetime
    cause: OutageCause
    reason: str
    last_error: str = ""
    ended_at: datetime | None = None
    outcome: Outcome | None = None

    @property
    def seconds(self) -> float | None:
        """How long it was; None while it lasts."""
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


class OutageWatch:
    """Sees outages in the statuses that it is told; ``current`` is the one under way."""

    def __init__(self) -> None:
        self.current: Outage | None = None
        self._state = ConnectionState.DISCONNECTED

    def tell(self, status: Status) -> Outage | None:
        """The outage that this status begins, says more of, or ends (``ended_at`` is set then); None for no news."""
        before, self._state = self._state, status.state
        outage = self.current
        if outage is None:
            if before is ConnectionState.READY and status.state not in _AT_REST:
                self.current = Outage(status.since, cause_of(status), status.reason, status.last_error)
            return self.current
        if status.state in _AT_REST:
            ready = status.state is ConnectionState.READY
            outcome = Outcome.RECOVERED if ready else Outcome.DISCONNECTED
            self.current = None
            return replace(outage, ended_at=status.since, outcome=outcome)
        if status.last_error in ("", outage.last_error):
            return None
        self.current = replace(outage, last_error=status.last_error)
        return self.current


def cause_of(status: Status) -> OutageCause:
    """What a status says against ``READY``."""
    if status.state is ConnectionState.FAILED:
        return OutageCause.FAILED
    if status.session is not SessionState.UP:
        return OutageCause.SESSION_LOST
    if status.upstream is UpstreamState.DOWN:
        return OutageCause.UPSTREAM_LOST
    return OutageCause.DATA_LOST if status.state is ConnectionState.SYNCING else OutageCause.INCOMPLETE


_AT_REST = (ConnectionState.READY, ConnectionState.DISCONNECTED)
