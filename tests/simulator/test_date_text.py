"""Times without a time zone in requests for history: a warning (users report it for TWS since 2024), and the answer."""

import pytest

from ibkr.simulator.market.date_text import has_no_zone

APPLE = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "", 0)


@pytest.mark.parametrize(
    ("end", "is_warned"),
    [
        ("20240628 16:00:00", True),
        ("20240628 16:00:00 US/Eastern", False),
        ("20240628-16:00:00", False),
        ("20240628", False),
        ("", False),
    ],
)
async def test_bars(session, end: str, is_warned: bool) -> None:
    assert has_no_zone(end) == is_warned
    session.send(20, 5, *APPLE, end, "1 day", "5 D", 1, "TRADES", 1, 0, "")
    lines = await session.until(17)
    assert [line[2:4] for line in lines if line[0] == "4"] == [["5", "2174"]] * is_warned


@pytest.mark.parametrize("span", [("", "20240628 12:00:00"), ("20240628 12:00:00", "")])
async def test_ticks(session, span: tuple[str, str]) -> None:
    session.send(96, 5, *APPLE, *span, 5, "TRADES", 1, 0, "")
    [warning] = [line for line in await session.until(98) if line[0] == "4"]
    assert warning[4].startswith("Warning: You submitted request with date-time attributes without explicit time zone")
