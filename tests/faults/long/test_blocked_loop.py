"""A program that blocks the loop for half a minute loses no session, and gets a warning with the time."""

from __future__ import annotations

import logging
import re
import time

import pytest

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import AAPL


@pytest.mark.rest
@pytest.mark.timeout(90)
async def test_half_a_minute_of_sleep_loses_no_session(caplog: pytest.LogCaptureFixture) -> None:
    """The gateway runs in its own thread, so ticks keep arriving."""
    caplog.set_level(logging.WARNING, "ibkr")
    with ThreadedGateway(id_hold=0) as gateway:
        async with IBConnector("127.0.0.1", gateway.port, 7) as connector:
            connector.ib.reqMktData(AAPL)
            states = set()
            connector.on_status(lambda status: states.add(status.state))
            time.sleep(30)  # noqa: ASYNC251 - this is the caller's mistake
            for _ in range(3):
                await connector.ib.reqCurrentTimeAsync()
            assert connector.status.state is ConnectionState.READY
            assert states == set()
            assert gateway.seen.connects == 1
    [told] = [record.getMessage() for record in caplog.records if record.name == "ibkr.connector"]
    length = re.match(r"The event loop was blocked, or not run, for (\d+\.\d) s: ", told)
    assert length is not None, told
    assert 29.7 <= float(length.group(1)) <= 31
