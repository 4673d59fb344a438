"""A gateway that holds the client id for three seconds after a reset, as real gateways do (326)."""

from __future__ import annotations

import pytest

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import StateOf, Stopwatch

HOLD = 3.0


@pytest.mark.slow
async def test_it_is_back_soon_after_the_id_is_free(state_of: StateOf, stopwatch: Stopwatch) -> None:
    async with Gateway(id_hold=HOLD) as gateway, IBConnector("127.0.0.1", gateway.port, 7) as connector:
        await gateway.fault("reset")
        elapsed = stopwatch()
        await state_of(connector, lambda status: status.outages == 1)
        await connector.wait_ready_async(10)
        assert elapsed() < HOLD + 0.75
        assert gateway.seen.connects <= 1 + 20
        await connector.disconnect_async()
