"""The file of instruments: its content, and the errors for an unusable file."""

import datetime as dt
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.simulator import Gateway
from ibkr.simulator.data_files import DataError
from ibkr.simulator.market.instrument_loader import load_instruments
from ibkr.simulator.market.options import compute, implied_vol, monthlies, quarterlies, weeklies
from ibkr.simulator.requests.answer_file import load_answers

TODAYS = {
    "AAPL": 265598,
    "MSFT": 272093,
    "SPY": 756733,
    "EUR": 12087792,
    "ES": 495512563,
}
ONE = '[[instrument]]\ncon_id = 1\nsymbol = "XYZ"\nsec_type = "STK"\nprice = 10\n'


class TestShipped:
    def test_contract_ids_are_ibs(self) -> None:
        shipped = load_instruments()
        assert {symbol: shipped.by_symbol[symbol].con_id for symbol in TODAYS} == TODAYS
        assert len(shipped.live) > 21

    def test_it_is_read_once_for_all_gateways(self) -> None:
        assert load_instruments() is load_instruments()
        assert len(load_instruments().listed) > 120

    def test_contract_ids_are_unique_options_included(self) -> None:
        ids = [item.con_id for item in load_instruments()]
        assert len(ids) == len(set(ids)) > 1000
        assert max(ids) < 2**31

    def test_a_family_has_many_members(self) -> None:
        futures = load_instruments().find({"symbol": "ES", "sec_type": "FUT", "exchange": "CME"})
        assert [item.last_trade_date[:6] for item in futures][-3:] == ["202712", "202803", "202806"]
        (one,) = load_instruments().find({"symbol": "ES", "sec_type": "FUT", "last_trade_date": "202803"})
        assert one.local_symbol == "ESH8"

    @pytest.mark.parametrize("symbol", ["ES", "NQ", "MES", "MNQ", "RTY"])
    def test_the_next_quarterly_futures_are_there_on_any_day(self, symbol: str) -> None:
        found = load_instruments().find({"symbol": symbol, "sec_type": "FUT", "exchange": "CME"})
        dates = [item.last_trade_date for item in found]
        today = dt.datetime.now(ZoneInfo("US/Eastern")).date()
        assert dates[:4] == quarterlies(today, 4)
        assert dates == sorted(set(dates))
        assert re.fullmatch(f"{symbol}[HMUZ]{dates[0][3]}", found[0].local_symbol)
        (continuous,) = load_instruments().find({"symbol": symbol, "sec_type": "CONTFUT"})
        assert (continuous.con_id, continuous.sec_type) == (found[0].con_id, "CONTFUT")

    def test_options_are_found_by_any_of_their_fields(self) -> None:
        book = load_instruments()
        chain = next(chain for chain in book.chains if chain.under.symbol == "AAPL")
        query = {"symbol": "AAPL", "sec_type": "OPT", "exchange": "SMART"}
        assert len(book.find(query)) == 2 * len(chain.strikes) * len(chain.expiries)
        narrow = {**query, "last_trade_date": chain.expiries[0], "strike": "230.0"}
        assert [item.right for item in book.find(narrow)] == ["C", "P"]
        (call,) = book.find({**narrow, "right": "CALL"})
        assert book.find({"con_id": str(call.con_id)}) == [call]
        assert book.find({"local_symbol": call.local_symbol, "sec_type": "OPT"}) == [call]

    def test_a_stock_is_not_confused_with_its_options(self) -> None:
        assert [item.sec_type for item in load_instruments().find({"symbol": "AAPL"})] == ["STK"]


class TestExpiries:
    @given(st.dates(dt.date(2020, 1, 1), dt.date(2040, 1, 1)), st.integers(0, 24))
    def test_they_are_fridays_to_come(self, today: dt.date, count: int) -> None:
        for made in (monthlies, quarterlies, weeklies):
            dates = [dt.datetime.strptime(text, "%Y%m%d").date() for text in made(today, count)]
            assert len(set(dates)) == count
            assert all(date >= today and date.weekday() == 4 for date in dates)
        assert all(int(text[4:6]) in (3, 6, 9, 12) for text in quarterlies(today, count))
        assert all(15 <= int(text[6:]) <= 21 for text in monthlies(today, count))


class TestOptionValues:
    @given(st.floats(80, 120), st.floats(0.02, 2), st.floats(0.05, 2), st.sampled_from("CP"))
    def test_the_volatility_of_a_price_gives_the_price(
        self, under: float, years: float, vol: float, right: str
    ) -> None:
        price = compute(under, 100.0, right, years, vol).option_price
        found = implied_vol(price, under, 100.0, right, years)
        assert found is not None
        assert compute(under, 100.0, right, years, found).option_price == pytest.approx(price, abs=1e-6)

    def test_a_price_below_what_it_is_worth_at_once_has_none(self) -> None:
        assert implied_vol(1.0, 120.0, 100.0, "C", 0.5) is None
        assert implied_vol(500.0, 120.0, 100.0, "C", 0.5) is None

    @given(st.floats(80, 120), st.floats(0.02, 2), st.floats(0.05, 2))
    def test_call_and_put_agree(self, under: float, years: float, vol: float) -> None:
        call, put = (compute(under, 100.0, right, years, vol) for right in "CP")
        assert call.option_price - put.option_price == pytest.approx(under - 100.0, abs=1e-6)
        assert call.delta - put.delta == pytest.approx(1.0)


class TestOwnFile:
    async def test_a_gateway_knows_that_file_alone(self, connect, tmp_path: Path) -> None:
        path = tmp_path / "own.toml"
        path.write_text(ONE + '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 100\nstrike_step = 1\n')
        async with Gateway(instruments=path) as gateway:
            client = await connect(gateway.port, 7)
            client.ask_details(1, "XYZ")
            assert (await client.until(52))[0][2] == "XYZ"
            client.ask_details(2, "AAPL")
            assert (await client.error())[:2] == (2, 200)
            client.send(78, 3, "XYZ", "", "STK", 1)
            assert {line[0] for line in await client.until(76)} == {"75", "76"}
            client.send(61, 1)
            assert await client.until(62) == [["62", "1"]], "nobody holds what the gateway does not know"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (ONE.replace("price = 10", ""), ["[[instrument]] number 1 (XYZ): price", "is missing, write a number"]),
            (ONE.replace("10", '"ten"'), ["price = 'ten'", "a number is needed"]),
            (ONE.replace("10", "-1"), ["price = -1", "more than 0 is needed"]),
            (ONE.replace("10", "true"), ["price = True", "a number is needed"]),
            (ONE.replace("STK", "OPT"), ["sec_type = 'OPT'", "write one of STK, CASH, FUT, IND, BOND"]),
            (ONE + 'calendar = "MARS"', ["calendar = 'MARS'", "write one of NYSE, CBOE, CME"]),
            (ONE + "strik = 5", ["strik = 5", "no such field, perhaps: strike"]),
            (ONE + "strike = 5", ["strike = 5", "options are made by a [[chain]]"]),
            (ONE + 'market_data = "free"', ["market_data = 'free'", "write one of live, delayed, none"]),
            (ONE + ONE, ["con_id = 1 occurs 2 times"]),
            (ONE.replace("STK", "FUT"), ["exchange", "is missing: a FUT needs one"]),
            (
                '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 1\nstrike_step = 1',
                ["'XYZ' is not one of the instruments"],
            ),
            ("[[bond]]\nx = 1", ["[[bond]]", "no such kind of entry, write one of: instrument, chain, market_rule"]),
            (
                ONE + '[[quarterly]]\nlocal_symbol = "XYZ"\nroot = "X"\nfirst_con_id = 9',
                ["local_symbol = 'XYZ'", "is not one of the futures in this file"],
            ),
            ("instrument = 5", ["write its entries under [[instrument]]"]),
            ("price = ", ["is not TOML"]),
            ('[[market_rule]]\nid = 1\nincrements = [["a"]]', ["increments = 'a'", "a number is needed"]),
            (ONE + 'time_zone_id = "Mars"', ["time_zone_id = 'Mars'", "no such time zone"]),
            (
                ONE + '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 1\nstrike_step = 1\nexpiries = ["2027-01-01"]',
                ["expiries", "yyyymmdd"],
            ),
            (
                ONE + '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 1\nstrike_step = 1\nexpiries = ["20270231"]',
                ["expiries", "yyyymmdd"],
            ),
            (
                ONE + 2 * '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 100\nstrike_step = 1\n',
                ["[[chain]] number 2 (XYZ)", "first_con_id = 100", "100 is among them"],
            ),
            (ONE + '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 1\nstrike_step = 1\n', ["1 is among them"]),
            (ONE + '[[chain]]\nunderlying = "XYZ"\nfirst_con_id = 2147483647\nstrike_step = 1\n', ["do not fit"]),
            ("[[market_rule]]\nid = 1\nincrements = [[0.0]]", ["increments", "pairs of numbers are needed"]),
        ],
    )
    def test_what_is_wrong_is_named_with_its_cure(self, tmp_path: Path, text: str, words: list[str]) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            Gateway(instruments=path)
        assert str(caught.value).startswith(str(path))
        for word in words:
            assert word.split(" = ")[0] in str(caught.value)
            assert word.split(" = ")[-1] in str(caught.value)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read"):
            load_instruments(tmp_path / "none.toml")
        with pytest.raises(DataError, match="cannot be read"):
            load_answers(tmp_path / "none.toml")
