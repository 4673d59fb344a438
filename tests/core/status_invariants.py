"""Invariants between two consecutive statuses."""

from __future__ import annotations

from ibkr.core.states import ConnectionState
from ibkr.core.status import Status


def check_outage(before: Status, after: Status) -> None:
    """An outage lasts from the loss of READY until READY again, or until no connection is requested."""
    lasted, lasts = (each is not None and each.ended_at is None for each in (before.outage, after.outage))
    has_begun = before.state is ConnectionState.READY and after.state is not ConnectionState.READY
    is_wanted = after.state not in (ConnectionState.READY, ConnectionState.DISCONNECTED)
    assert lasts is (is_wanted and (lasted or has_begun))
    number = after.outage.number if after.outage else 0
    assert after.outages == number == before.outages + (lasts and not lasted)
