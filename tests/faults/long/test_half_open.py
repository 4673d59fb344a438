"""A half-open socket, noticed in the time that the defaults promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import Gateway

Stopwatch = Callable[[], Callable[[], float]]


@pytest.mark.slow
async def test_suspect_within_6_1_s_and_dead_within_10_5_s(
    gateway: Gateway,
    connector: IBConnector,
    state_of: Callable[[IBConnector, Callable[[Status], bool]], Awaitable[Status]],
    stopwatch: Stopwatch,
) -> None:
    await gateway.fault("freeze")
    elapsed = stopwatch()
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    assert elapsed() <= 6.1
    await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
    assert elapsed() <= 10.5
    await gateway.fault("thaw")
    await connector.wait_ready_async(15)
