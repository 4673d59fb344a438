"""A half-open socket is noticed within the times that the defaults promise."""

from __future__ import annotations

import pytest

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import StateOf, Stopwatch


@pytest.mark.slow
async def test_suspect_within_6_1_s_and_dead_within_10_5_s(
    gateway: Gateway,
    connector: IBConnector,
    state_of: StateOf,
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
