"""Trading calendars: holidays and short days as published by the exchanges, and a market that follows them."""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import Contract

from ibkr.simulator import Gateway
from ibkr.simulator.history.price_history import PriceHistory
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.calendars import (
    CALENDARS,
    chicago_holidays,
    frankfurt_holidays,
    london_holidays,
    new_york_holidays,
    new_york_short_days,
)
from ibkr.simulator.market.instrument_loader import load_instruments

NEW_YORK = ZoneInfo("US/Eastern")
BY_SYMBOL = load_instruments().by_symbol
APPLE, BITCOIN, MINI, EURO = (BY_SYMBOL[symbol] for symbol in ("AAPL", "BTC", "ES", "EUR"))
APPLE_CONTRACT = Contract(conId=265598)
LABOR_DAY = dt.datetime(2024, 9, 2, 11, tzinfo=NEW_YORK).timestamp()

# The month and day of each holiday of these years, from "Holidays and Trading Hours" on nyse.com.
NYSE = {
    2019: "0101 0121 0218 0419 0527 0704 0902 1128 1225",
    2020: "0101 0120 0217 0410 0525 0703 0907 1126 1225",
    2021: "0101 0118 0215 0402 0531 0705 0906 1125 1224",
    2022: "0117 0221 0415 0530 0620 0704 0905 1124 1226",
    2023: "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225",
    2024: "0101 0115 0219 0329 0527 0619 0704 0902 1128 1225",
    2025: "0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225",
    2026: "0101 0119 0216 0403 0525 0619 0703 0907 1126 1225",
    2027: "0101 0118 0215 0326 0531 0618 0705 0906 1125 1224",
}
NYSE_SHORT = {2023: "0703 1124", 2024: "0703 1129 1224", 2025: "0703 1128 1224", 2026: "1127 1224", 2027: "1126"}


def days(found: frozenset[dt.date]) -> str:
    """The days that are not on a weekend, as month and day."""
    return " ".join(f"{day:%m%d}" for day in sorted(found) if day.weekday() < 5)


class TestHolidays:
    @pytest.mark.parametrize("year", NYSE)
    def test_new_york(self, year: int) -> None:
        assert days(new_york_holidays(year)) == NYSE[year]

    @pytest.mark.parametrize("year", NYSE_SHORT)
    def test_short_days_of_new_york(self, year: int) -> None:
        assert days(new_york_short_days(year)) == NYSE_SHORT[year]

    def test_the_others(self) -> None:
        assert days(chicago_holidays(2025)) == "0101 0418 1225"
        assert days(frankfurt_holidays(2025)) == "0101 0418 0421 0501 1224 1225 1226 1231"
        assert days(london_holidays(2025)) == "0101 0418 0421 0505 0526 0825 1225 1226"
        assert days(london_holidays(2027)) == "0101 0326 0329 0503 0531 0830 1227 1228"

    def test_days_on_which_new_york_was_shut_once(self) -> None:
        assert {dt.date(2001, 9, 11), dt.date(2012, 10, 29)} <= new_york_holidays(2001) | new_york_holidays(2012)

    @given(st.sampled_from(sorted(CALENDARS)), st.integers(1990, 2050))
    def test_a_year_has_about_250_days_of_trading(self, name: str, year: int) -> None:
        calendar, first = CALENDARS[name], dt.date(year, 1, 1)
        count = sum(calendar.is_trading_day(first + dt.timedelta(days=number)) for number in range(365))
        assert count == 365 if name == "CRYPTO" else 247 <= count <= 262


class TestSessions:
    def session(self, item: object, day: dt.date, regular: bool = False) -> list[str]:
        found = trading_sessions.session_of(item, day, regular)  # type: ignore[arg-type]
        if found is None:
            return []
        zone = trading_sessions.zone_of(item)  # type: ignore[arg-type]
        return [f"{dt.datetime.fromtimestamp(at, zone):%m%d:%H%M}" for at in (found.start, found.end)]

    def test_a_holiday_of_stocks_is_a_short_day_of_futures(self) -> None:
        memorial = dt.date(2025, 5, 26)
        assert self.session(APPLE, memorial) == []
        # rust-ibapi recorded this session for ESM5: 20250525:1700-20250526:1200
        assert self.session(MINI, memorial) == ["0525:1700", "0526:1200"]
        assert self.session(MINI, dt.date(2025, 4, 18)) == []

    def test_a_short_day_of_stocks(self) -> None:
        after_thanksgiving = dt.date(2024, 11, 29)
        assert self.session(APPLE, after_thanksgiving, regular=True) == ["1129:0930", "1129:1300"]
        assert self.session(APPLE, after_thanksgiving) == ["1129:0400", "1129:1700"]

    def test_usual_days(self) -> None:
        friday = dt.date(2025, 5, 23)
        assert self.session(MINI, friday) == ["0522:1700", "0523:1600"]
        assert self.session(MINI, friday, regular=True) == ["0523:0830", "0523:1600"]
        assert self.session(EURO, friday) == ["0522:1715", "0523:1700"]
        assert self.session(BITCOIN, dt.date(2025, 5, 24)) == ["0524:0000", "0525:0000"]

    async def test_of_the_details_of_a_future_sunday_is_the_evening_of_monday(self, session) -> None:
        session.send(9, 8, 5, MINI.con_id, *[""] * 3, 0, *[""] * 7, 0, "", "", "")
        words = (await session.until(52))[0][26].split(";")
        closed = [dt.datetime.strptime(word[:8], "%Y%m%d").date() for word in words if "CLOSED" in word]
        for day in closed:
            following = day + dt.timedelta(days=1)
            assert not any(CALENDARS["CME"].is_trading_day(at) for at in (day, following))


class TestHistory:
    async def test_holidays_are_not_traded(self, connected) -> None:
        bars = await connected.reqHistoricalDataAsync(
            APPLE_CONTRACT, "20240906 16:00:00 US/Eastern", "5 D", "1 day", "TRADES", True
        )
        assert [f"{bar.date:%m%d}" for bar in bars] == ["0830", "0903", "0904", "0905", "0906"]

    async def test_a_short_day_ends_early(self, connected) -> None:
        bars = await connected.reqHistoricalDataAsync(
            APPLE_CONTRACT, "20241129 20:00:00 US/Eastern", "1 D", "1 hour", "TRADES", True
        )
        assert [f"{bar.date:%H%M}" for bar in bars] == ["0930", "1000", "1100", "1200"]

    @pytest.mark.parametrize(
        ("start", "end", "first", "last"),
        [
            ("", "20240902 12:00:00 US/Eastern", "0830 15:59:50", "0830 15:59:59"),
            ("20240902 12:00:00 US/Eastern", "", "0903 09:30:00", "0903 09:30:09"),
        ],
    )
    async def test_ticks_skip_a_holiday(self, connected, start: str, end: str, first: str, last: str) -> None:
        ticks = await connected.reqHistoricalTicksAsync(APPLE_CONTRACT, start, end, 10, "TRADES", True)
        times = [f"{tick.time.astimezone(NEW_YORK):%m%d %H:%M:%S}" for tick in ticks]
        assert (len(times), times[0], times[-1]) == (10, first, last)

    async def test_the_schedule_has_no_holiday(self, connected) -> None:
        found = await connected.reqHistoricalScheduleAsync(APPLE_CONTRACT, 2, "20240903 16:00:00 US/Eastern")
        assert [session.refDate for session in found.sessions] == ["20240830", "20240903"]


class TestMarketThatNeverCloses:
    """The default: quotes come at any time, so history goes up to now."""

    @pytest.mark.parametrize("regular", [True, False])
    def test_history_goes_on_from_where_it_began(self, regular: bool) -> None:
        history = PriceHistory(1, LABOR_DAY, never_closes=True)
        now = LABOR_DAY + 1800
        latest = next(history.bars(APPLE, 60, now - 600, now, regular))
        assert latest.start == now - 60
        before = next(PriceHistory(1, LABOR_DAY).bars(APPLE, 60, 0, now, regular))
        assert before.start < LABOR_DAY - 2 * 86_400

    async def test_a_request_for_the_last_minutes_has_them(self, gateway, connected) -> None:
        bars = await connected.reqHistoricalDataAsync(
            APPLE_CONTRACT, "", "600 S", "1 min", "TRADES", False, formatDate=2
        )
        assert gateway._state.market.now() - bars[-1].date.timestamp() < 61
        assert len(bars) == 10

    def test_sessions_follow_one_another_without_a_gap(self) -> None:
        later = dt.datetime(2024, 11, 6, tzinfo=NEW_YORK).timestamp()  # this is after the day with 25 hours
        found = list(itertools.islice(PriceHistory(1, LABOR_DAY, never_closes=True).sessions(MINI, later, False), 5))
        assert all(earlier.end == later.start for later, earlier in itertools.pairwise(found))


class TestMarketThatKeepsToHours:
    """Gateway(market_hours=True): one calendar for live data and history."""

    async def test_on_a_holiday_stocks_stand_still_and_coins_move(self, connect) -> None:
        async with Gateway(tick_interval=0.005, market_hours=True) as gateway:
            gateway._state.market.started = LABOR_DAY
            client = await connect(gateway.port, 7)
            client.subscribe(5)
            assert [(await client.receive())[0] for _ in range(3)] == ["58", "81", "1"]
            client.send(1, 11, 6, BITCOIN.con_id, *["", "", "", 0.0, *[""] * 7], 0, "", 0, 0, "")
            await client.until(58, "6")
            lines = [await client.receive() for _ in range(60)]
            assert {line[2] for line in lines if line[0] in ("1", "2")} == {"6"}

    async def test_history_ends_where_live_data_did(self, connect) -> None:
        async with Gateway(tick_interval=0.005, market_hours=True) as gateway:
            gateway._state.market.started = LABOR_DAY
            client = await connect(gateway.port, 7)
            client.send(20, 5, 265598, *["", "", "", 0.0, *[""] * 7], 0, "", "1 min", "600 S", 0, "TRADES", 1, 0, "")
            line = (await client.until(17))[-1]
            assert line[-8] == "20240830 19:59:00 US/Eastern"

    async def test_within_hours_it_is_open(self, connect) -> None:
        async with Gateway(tick_interval=0.005, market_hours=True) as gateway:
            gateway._state.market.started = LABOR_DAY + 86_400
            client = await connect(gateway.port, 7)
            client.subscribe(5)
            await gateway.wait_for(lambda gateway: gateway.seen.ticks > 5)
            client.send(20, 6, 265598, *["", "", "", 0.0, *[""] * 7], 0, "", "1 min", "600 S", 0, "TRADES", 1, 0, "")
            line = (await client.until(17))[-1]
            assert line[-8].startswith("20240903 10:59:00") or line[-8].startswith("20240903 11:00:00")

    async def test_frozen_data_while_it_is_shut(self, connect) -> None:
        async with Gateway(tick_interval=0.005, market_hours=True) as gateway:
            gateway._state.market.started = LABOR_DAY
            client = await connect(gateway.port, 7)
            client.send(59, 1, 2)
            client.subscribe(5)
            assert (await client.until(58))[-1][3] == "2"
