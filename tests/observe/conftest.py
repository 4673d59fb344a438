"""Statuses as the machine would publish them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.state import ConnectionState, SessionState
from ibkr.core.status import Status

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def at() -> Callable[..., Status]:
    """``at(seconds, state, ...)``: a status that began so many seconds after 14:30."""

    def make(seconds: float, state: ConnectionState, reason: str = "", **more: object) -> Status:
        now = T0 + timedelta(seconds=seconds)
        in_session = state in (ConnectionState.READY, ConnectionState.DEGRADED, ConnectionState.SYNCING)
        values: dict[str, object] = {
            "state": state,
            "reason": reason or str(state).lower(),
            "since": now,
            "as_of": now,
            "may_trade": state is ConnectionState.READY,
            "may_trade_reason": "" if state is ConnectionState.READY else reason,
            "is_connected": in_session,
            "endpoint": "127.0.0.1:7497",
            "client_id": 3,
            "session": SessionState.UP if in_session else SessionState.NONE,
        }
        return Status(**values | more)  # type: ignore[arg-type]

    return make
