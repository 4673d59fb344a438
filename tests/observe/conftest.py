"""Statuses as the machine would publish them, and a fixture that passes them to a sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ibkr.core.outage import update_outage
from ibkr.core.states import ConnectionState, SessionState
from ibkr.core.status import Status
from ibkr.observe.outage_tracker import OutageTracker

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def at() -> Callable[..., Status]:
    """``at(seconds, state, ...)``: a status that began this many seconds after 14:30."""

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


class Story:
    """Statuses in order. Adds to each status what the machine would say about outages."""

    def __init__(self) -> None:
        self._last = Status(ConnectionState.DISCONNECTED, "", T0, T0, False, "", False, "", 0)

    def __call__(self, status: Status) -> Status:
        last = self._last
        outage = update_outage(last.outage, last.state, vars(status), status.since)
        self._last = replace(status, outage=outage, outages=outage.number if outage else 0)
        return self._last


@pytest.fixture
def tell() -> Callable[..., Any]:
    """``tell(sink, status)``: returns the result of the sink's method. Each sink has its own ``Story``."""
    stories: dict[int, tuple[object, Story]] = {}

    def say(sink: Any, status: Status) -> Any:
        _, story = stories.setdefault(id(sink), (sink, Story()))
        method = sink.update if isinstance(sink, OutageTracker) else sink.handle
        return method(story(status))

    return say
