"""History: bars of every size, bars kept up to date, ticks, schedules, refusals."""

import asyncio
import contextlib
import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async import Contract

from ibkr.simulator import Gateway
from ibkr.simulator.history.bar_selection import OLDEST, count_bars, select_bars
from ibkr.simulator.history.historical_pacing import HistoricalPacing
from ibkr.simulator.history.history_parameters import BAR_SIZES, Duration, InvalidQuery, parse_bar_size, parse_duration
from ibkr.simulator.history.price_history import PriceHistory
from ibkr.simulator.market.instrument_loader import load_instruments

BY_SYMBOL = load_instruments().by_symbol
APPLE = Contract(conId=265598)
OPENING = dt.timedelta(hours=4)
EURO = Contract(conId=12087792)
FIELDS = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")


def ask(req_id: int = 5, con_id: int = 265598, **changes: object) -> tuple[object, ...]:
    values = {"end": "", "size": "1 day", "duration": "5 D", "rth": 1, "what": "TRADES", "format": 1, "keep": 0}
    values |= changes
    end, size, duration, rth, what, style, keep = values.values()
    return (20, req_id, con_id, *FIELDS[1:], 0, end, size, duration, rth, what, style, keep, "")


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.5, speed=100) as running:
        yield running


class TestBars:
    @pytest.mark.parametrize("size", BAR_SIZES)
    async def test_every_size(self, connected, size: str) -> None:
        seconds = BAR_SIZES[size]
        duration = f"{60 * seconds} S" if seconds < 3600 else "2 M" if seconds < 86_400 else "1 Y"
        bars = await connected.reqHistoricalDataAsync(APPLE, "", duration, size, "TRADES", False)
        assert len(bars) >= 12
        for bar in bars:
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.volume > 0
            assert bar.low - 0.01 <= bar.average <= bar.high + 0.01
        dates = [bar.date for bar in bars]
        assert dates == sorted(set(dates))
        if seconds < 86_400:
            # The simulated market stays open after its first day, also at a weekend. A day starts at 4:00.
            began = (dt.datetime.now(ZoneInfo("US/Eastern")) - dt.timedelta(hours=4)).date()
            assert all(bar.date.weekday() < 5 or bar.date.date() >= began for bar in bars)
            assert dt.timedelta(seconds=seconds) in {b - a for a, b in itertools.pairwise(dates)}
            # The first bar of a session starts with the session, at 4:00; the others start on the hour.
            times = {dt.timedelta(hours=date.hour, minutes=date.minute, seconds=date.second) for date in dates}
            assert not any(time % dt.timedelta(seconds=seconds) for time in times - {OPENING})

    async def test_they_meet_the_market(self, connected) -> None:
        (ticker,) = await connected.reqTickersAsync(APPLE)
        bars = await connected.reqHistoricalDataAsync(APPLE, "", "1 D", "1 min", "TRADES", True)
        assert bars[-1].close == pytest.approx(ticker.last, rel=0.01)
        assert len(bars) <= 390
        assert all(earlier.close == later.open for earlier, later in itertools.pairwise(bars))

    async def test_the_same_question_has_the_same_answer(self, connected) -> None:
        end = "20240628 16:00:00 US/Eastern"
        first, second = [
            await connected.reqHistoricalDataAsync(APPLE, end, "5 D", "1 hour", "TRADES", True) for _ in range(2)
        ]
        assert list(first) == list(second)
        assert first[-1].date.strftime("%Y%m%d %H:%M") == "20240628 15:00"
        assert len({bar.date.date() for bar in first}) == 5

    async def test_hours_of_a_pair_as_they_were_recorded(self, connected) -> None:
        # Public transcripts of GBP.USD have these times: 20250303 17:15:00, 18:00:00, 19:00:00 US/Eastern.
        end = "20250303 20:30:00 US/Eastern"
        bars = await connected.reqHistoricalDataAsync(EURO, end, "1 D", "1 hour", "MIDPOINT", True)
        assert [f"{bar.date:%H%M}" for bar in bars] == ["1715", "1800", "1900", "2000"]

    @pytest.mark.parametrize("what", ["MIDPOINT", "BID", "ASK", "BID_ASK", "HISTORICAL_VOLATILITY"])
    async def test_what_is_not_traded_has_no_volume(self, connected, what: str) -> None:
        bars = await connected.reqHistoricalDataAsync(APPLE, "", "5 D", "1 day", what, True)
        assert len(bars) == 5
        assert {(bar.volume, bar.average, bar.barCount) for bar in bars} == {(-1, -1, -1)}

    async def test_dates_in_each_form(self, session, connect, gateway) -> None:
        session.send(*ask(size="1 hour", end="20240628 16:00:00 US/Eastern", duration="1 D"))
        line = (await session.until(17))[-1]
        assert line[:5] == ["17", "5", "20240627 16:00:00 US/Eastern", "20240628 16:00:00 US/Eastern", "7"]
        assert line[5] == "20240628 09:30:00 US/Eastern"
        session.send(*ask(size="1 hour", end="20240628-20:00:00", duration="1 D", format=2))
        line = (await session.until(17))[-1]
        assert line[5] == "1719581400"
        session.send(*ask(duration="1 D", format=2, end="20240628 16:00:00"))
        assert (await session.until(17))[-1][5] == "20240628"
        old = await connect(gateway.port, 9, highest=157)
        old.send(*ask(size="1 hour", end="20240628 16:00:00", duration="1 D"))
        assert (await old.until(17))[-1][5] == "20240628  09:30:00"

    async def test_from_196_on_the_end_is_a_message_of_its_own(self, connect) -> None:
        async with Gateway(server_version=200) as gateway:
            client = await connect(gateway.port, 7, highest=200)
            client.send(*ask(end="20240628 16:00:00 US/Eastern"))
            bars, end = await client.receive(), await client.receive()
            assert bars[:4] == ["17", "5", "5", "20240624"]
            assert end == ["108", "5", "20240623 16:00:00 US/Eastern", "20240628 16:00:00 US/Eastern"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "code", "words"),
        [
            ({"size": "1 fortnight"}, 321, "Legal ones are: 1 secs, 5 secs"),
            ({"duration": "soon"}, 321, "Format is 'integer{SPACE}unit (S|D|W|M|Y)'"),
            ({"duration": "0 D"}, 321, "duration"),
            ({"duration": "400 D"}, 321, "must be made in years"),
            (
                {"end": "yesterday"},
                10314,
                "End Date/Time: The date, time, or time-zone entered is invalid. The correct",
            ),
            ({"end": "20240628 16:00:00 Mars/Base"}, 10314, "is invalid"),
            ({"end": "20241399 16:00:00"}, 10314, "is invalid"),
            ({"what": "SMELL"}, 321, "What to show field"),
            ({"what": "ADJUSTED_LAST", "end": "20240628 16:00:00"}, 321, "adjusted last"),
            ({"what": "SCHEDULE", "size": "1 hour"}, 321, "1 day"),
            ({"keep": 1, "end": "20240628 16:00:00"}, 321, "keepUpToDate"),
            ({"what": "AGGTRADES"}, 162, "No historical market data for AAPL/STK"),
            ({"end": "19700102-00:00:00"}, 162, "query returned no data"),
            ({"size": "5 secs", "duration": "60 S", "end": "20200102-00:00:00"}, 162, "query returned no data"),
            ({"size": "1 secs", "duration": "1 Y"}, 162, "Time length exceed max"),
            ({"con_id": 12087792}, 162, "No historical market data for EUR/CASH@IDEALPRO Trades 86400"),
            ({"con_id": 29612249}, 162, "No market data permissions"),
            ({"con_id": 1}, 200, "No security definition"),
        ],
    )
    async def test_each_with_its_code(self, session, changes: dict[str, object], code: int, words: str) -> None:
        session.send(*ask(**changes))
        found = await session.error()
        assert found[:2] == (5, code)
        assert words in found[2]

    @pytest.mark.parametrize("changes", [{"format": 3}, {"rth": "perhaps"}, {"keep": "x"}])
    async def test_malformed(self, session, changes: dict[str, object]) -> None:
        session.send(*ask(**changes))
        assert (await session.error())[:2] == (-1, 320)

    @given(st.text())
    def test_words_are_read_or_refused(self, text: str) -> None:
        for parse in (parse_duration, parse_bar_size):
            with contextlib.suppress(InvalidQuery):
                parse(text)


class TestKeptUpToDate:
    async def test_ib_async_sees_the_last_bar_grow_and_new_ones_come(self, connected) -> None:
        bars = await connected.reqHistoricalDataAsync(APPLE, "", "600 S", "5 secs", "TRADES", False, keepUpToDate=True)
        seen: asyncio.Queue[bool] = asyncio.Queue()
        bars.updateEvent += lambda _, is_new: seen.put_nowait(is_new)
        before = len(bars)
        while len(bars) < before + 3:
            await asyncio.wait_for(seen.get(), 10)
        dates = [bar.date for bar in bars[-3:]]
        assert all(a < b and b.second % 5 == 0 for a, b in itertools.pairwise(dates))

    async def test_hours_are_those_of_the_clock(self, session) -> None:
        session.send(*ask(size="1 hour", keep=1, format=2, duration="2 D"))
        first = [int(text) for text in (await session.until(17))[-1][5::8]]
        line = (await session.until(90, "5"))[-1]
        assert first[0] % 3600 == 1800
        assert [start % 3600 for start in first[1:4]] == [0] * 3
        assert int(line[3]) % 3600 == 0 or int(line[3]) == first[-1]

    async def test_its_cancel_is_reported(self, session) -> None:
        session.send(*ask(size="1 min", keep=1))
        await session.until(17)
        session.send(25, 1, 5)
        found = await session.error()
        assert found[:2] == (5, 162)
        assert "API historical data query cancelled: 5" in found[2]
        session.send(25, 1, 5)
        assert (await session.error())[:2] == (5, 366)


class TestOthers:
    async def test_head_timestamp(self, connected, session) -> None:
        found = await connected.reqHeadTimeStampAsync(APPLE, "TRADES", True, 1)
        assert found == dt.datetime(1980, 12, 12, 14, 30)
        found = await connected.reqHeadTimeStampAsync(APPLE, "TRADES", True, 2)
        assert found == dt.datetime(1980, 12, 12, 14, 30, tzinfo=dt.UTC)
        session.send(87, 5, *FIELDS, 0, 1, "SMELL", 1)
        assert (await session.error())[:2] == (5, 321)

    async def test_histogram(self, connected, session) -> None:
        points = await connected.reqHistogramDataAsync(APPLE, True, "3 days")
        assert len(points) > 5
        assert [point.price for point in points] == sorted({point.price for point in points})
        for period in ("3 moons", "many days", "days"):
            session.send(88, 5, *FIELDS, 0, 1, period)
            assert (await session.error())[:2] == (5, 321)

    @pytest.mark.parametrize("what", ["TRADES", "BID_ASK", "MIDPOINT"])
    async def test_ticks_before_and_after(self, connected, what: str) -> None:
        at = "20240628 12:00:00 US/Eastern"
        moment = dt.datetime(2024, 6, 28, 16, tzinfo=dt.UTC)
        before = await connected.reqHistoricalTicksAsync(APPLE, "", at, 10, what, True)
        after = await connected.reqHistoricalTicksAsync(APPLE, at, "", 10, what, True)
        assert [len(before), len(after)] == [10, 10]
        assert before[-1].time == after[0].time == moment
        assert before[-1] == after[0]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            (("", "", 5, "TRADES"), 321),
            (("20240628 12:00:00", "20240628 12:00:00", 5, "TRADES"), 321),
            (("", "20240628 12:00:00", 1001, "TRADES"), 321),
            (("", "20240628 12:00:00", 5, "SMELL"), 321),
            (("", "noon", 5, "TRADES"), 10314),
            (("noon", "", 5, "TRADES"), 10314),
        ],
    )
    async def test_ticks_that_are_refused(self, session, changes: tuple[object, ...], code: int) -> None:
        session.send(96, 5, *FIELDS, 0, *changes, 1, 0, "")
        assert (await session.error())[:2] == (5, code)

    async def test_a_pair_has_no_trades(self, session) -> None:
        session.send(96, 5, 12087792, *FIELDS[1:], 0, "", "20240628 12:00:00", 5, "TRADES", 1, 0, "")
        assert (await session.error())[:2] == (5, 10187)

    async def test_schedule(self, connected) -> None:
        found = await connected.reqHistoricalScheduleAsync(APPLE, 3, "20240701 16:00:00 US/Eastern")
        assert [session.refDate for session in found.sessions] == ["20240627", "20240628", "20240701"]
        assert found.sessions[0].startDateTime == "20240627-09:30:00"
        assert found.timeZone == "US/Eastern"


class TestPacing:
    async def test_the_same_again_within_15_seconds_is_162(self, connect) -> None:
        async with Gateway(historical_pacing=True) as gateway:
            client = await connect(gateway.port, 7)
            for code in (17, 4):
                client.send(*ask(size="5 secs", duration="60 S"))
                assert (await client.receive())[0] == str(code)
            client.send(*ask())
            client.send(*ask())
            assert [(await client.receive())[0] for _ in range(2)] == ["17", "17"]

    def test_each_limit(self) -> None:
        class Item:
            con_id = 1

        class Query:
            item, what, end, duration, regular, size = Item(), "TRADES", 0.0, "60 S", True, 5

        def query(**changes: object) -> Query:
            made = Query()
            made.__dict__.update(changes)
            return made

        def granted(made: list[tuple[float, Query]], is_on: bool = True) -> int:
            pacing = HistoricalPacing(is_on)
            return sum(pacing.is_within(one, at) for at, one in made)  # type: ignore[arg-type]

        assert granted([(0, query()), (14, query()), (15.1, query())]) == 2
        assert granted([(0, query()), (1, query())], is_on=False) == 2
        assert granted([(0, query(size=60)), (1, query(size=60))]) == 2
        assert granted([(at / 10, query(end=float(at))) for at in range(8)]) == 5
        assert granted([(at / 10, query(end=float(at), what="BID_ASK")) for at in range(8)]) == 2
        assert granted([(at * 3.0, query(end=float(at))) for at in range(70)]) == 60
        assert granted([(at * 10.1, query(end=float(at))) for at in range(70)]) == 70


class TestSelection:
    @given(
        end=st.floats(OLDEST - 400 * 86_400, 1.8e9),
        size=st.sampled_from([5, 60, 3600, 86_400, 604_800]),
        duration=st.builds(Duration, st.integers(1, 30), st.sampled_from("SDW")),
        regular=st.booleans(),
        symbol=st.sampled_from(["AAPL", "EUR", "ES", "SPX", "BMW"]),
    )
    @settings(max_examples=60)
    def test_any_span_has_its_bars_in_order(
        self, end: float, size: int, duration: Duration, regular: bool, symbol: str
    ) -> None:
        item = BY_SYMBOL[symbol]
        if count_bars(item, size, duration, regular) > 2000:
            return
        bars = select_bars(PriceHistory(1, 1.7e9), item, size, duration, regular, end)
        starts = [bar.start for bar in bars]
        assert starts == sorted(set(starts))
        assert all(start < end for start in starts)
        assert all(0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        if duration.unit != "S" and end > OLDEST + 400 * 86_400:
            assert abs(len(bars) - count_bars(item, size, duration, regular)) <= max(6, len(bars) * 0.5)
