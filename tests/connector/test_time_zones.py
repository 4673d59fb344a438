"""Times in a zone that this machine does not know."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from ibkr.session.library.time_zones import normalize_time_zone
from ibkr.simulator import Gateway
from tests.fixture_types import Make

TIME = "20260302 22:30:00"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"{TIME} SGT", f"{TIME} Asia/Singapore"),
        (f"{TIME} Central European Summer Time", f"{TIME} Europe/Zurich"),
        (f"{TIME} US/Eastern", f"{TIME} US/Eastern"),
        (f"{TIME} Nowhere/Else", "20260302  22:30:00"),
        (f"{TIME} ../../etc/passwd", "20260302  22:30:00"),
        (f"{TIME} America", "20260302  22:30:00"),
        (TIME, TIME),
        ("20260302  22:30:00", "20260302  22:30:00"),
        ("1772490600", "1772490600"),
        ("", ""),
    ],
)
def test_what_the_library_gets_to_read(text: str, read: str) -> None:
    assert normalize_time_zone(text) == read


def test_a_zone_that_nobody_knows_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ibkr.session"):
        for _ in range(3):
            normalize_time_zone(f"{TIME} Atlantis\x1b[2J{'x' * 1000}")
    (record,) = caplog.records
    assert "Atlantis" in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert len(record.getMessage()) < 400


async def test_an_execution_in_such_a_zone_is_one(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    row = "11 -1 5 265598 AAPL STK  0   SMART USD AAPL NMS 0001.01.01 T DU1 ISLAND BOT 100 1.5 77 7 0 100 1.5     1 0"
    fields = row.split(" ")
    if connector.ib.client.MaxClientVersion < 178:
        del fields[-1]
    fields[fields.index("T")] = f"{TIME} SGT"
    connector.ib.client.decoder.interpret(fields)
    (fill,) = connector.ib.fills()
    assert fill.execution.time == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
