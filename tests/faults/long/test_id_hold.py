"""A gateway that holds the client id for three seconds after a reset, as real ones do (326)."""

from __future__ import annotations

import time

import pytest

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.given import StateOf

HOLD = 3.0


@pytest.mark.slow
async def test_it_is_back_soon_after_the_id_is_free(state_of: StateOf) -> None:
    async with Gateway(id_hold=HOLD) as gateway, IBConnector("127.0.0.1", gateway.port, 7) as connector:
        await gateway.fault("reset")
        released = time.monotonic() + HOLD
        await state_of(connector, lambda status: status.outages == 1)
        await connector.wait_ready_async(10)
        assert time.monotonic() - released < 0.75
        assert gateway.seen.connects <= 1 + 20
        await connector.disconnect_async()
