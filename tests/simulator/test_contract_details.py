"""Contract details, field by field as recorded from real gateways."""

import pytest

from ibkr.simulator import Gateway

# rust-ibapi recorded these answers (`src/contracts`): TSLA of 2022-12 and ESM5 of 2025-05. The ids and dates are ours.
TESLA = "10|5|TSLA|STK||0||SMART|USD|TSLA|NMS|NMS|76792991|0.01||{orders}|{exchanges}|1|0|TESLA INC|NASDAQ||"
TESLA += "Consumer, Cyclical|Auto Manufacturers|Auto-Cars/Light Trucks|US/Eastern|{hours}|{liquid}|||1|ISIN|"
TESLA += "US88160R1014|1|||{rules}||COMMON|1|1|100"
MINI = "10|5|ES|FUT|20271217 08:30 US/Central|0||CME|USD|ESZ7|ES|ES|495512563|0.25|50|{orders}|CME,QBALGO|1|11004968|"
MINI += "E-mini S&P 500||202712||||US/Central|{hours}|{liquid}|||0|2147483647|ES|IND|67,67|20271217||1|1|1"

STOCK_ORDERS = (
    "ADDONT AON BENCHPX CASHQTY COND DAY GTC GTD HID IBKRATS ICE IOC LIT LMT LOC MIDPX MIT MKT MOC MTL OCA OPG"
)
STOCK_ORDERS += " PEGBENCH PEGMID REL SCALE SNAPMID SNAPMKT SNAPREL STP STPLMT SWEEP TRAIL TRAILLIT TRAILLMT TRAILMIT"


def filled(recorded: str, line: list[str], **at: int) -> list[str]:
    """Return the recorded fields. The values that differ from day to day come from the answer."""
    return recorded.format(**{name: line[index] for name, index in at.items()}).split("|")


class TestRecorded:
    async def test_a_stock(self, session) -> None:
        session.ask_details(5, "TSLA")
        line = (await session.until(52))[0]
        assert line == filled(TESLA, line, orders=15, exchanges=16, hours=26, liquid=27, rules=36)
        orders = line[15].split(",")
        assert len(orders) > 60
        assert orders == sorted(orders)
        assert set(STOCK_ORDERS.split()) <= set(orders)
        assert {"SMART", "NASDAQ", "ARCA", "IEX", "IBKRATS"} <= set(line[16].split(","))
        assert line[36].split(",") == ["26"] * len(line[16].split(","))

    async def test_every_stock_has_its_industry(self, gateway) -> None:
        stocks = [item for item in gateway._state.instruments.listed if item.sec_type == "STK"]
        assert len(stocks) > 40
        assert [item.symbol for item in stocks if not (item.industry and item.category and item.subcategory)] == []

    async def test_a_future(self, session) -> None:
        session.send(9, 8, 5, 495512563, *[""] * 3, 0, *[""] * 7, 0, "", "", "")
        line = (await session.until(52))[0]
        assert line == filled(MINI, line, orders=15, hours=26, liquid=27)
        assert len(line[15].split(",")) == 44
        assert "LOC" not in line[15].split(",")

    @pytest.mark.parametrize(
        ("version", "words"),
        [(176, ["20271217 08:30 US/Central", "0"]), (193, ["20271217 08:30:00 US/Central", "20271217", "0"])],
    )
    async def test_the_last_trade_of_a_future(self, connect, version: int, words: list[str]) -> None:
        async with Gateway(server_version=version) as gateway:
            client = await connect(gateway.port, 7, highest=200)
            client.send(9, 8, 5, 495512563, *[""] * 3, 0, *[""] * 7, 0, "", "", "")
            line = (await client.until(52))[0]
            assert line[4 : 4 + len(words)] == words

    async def test_a_pair(self, session) -> None:
        session.ask_details(5, "EUR", "CASH", exchange="IDEALPRO")
        line = (await session.until(52))[0]
        assert (line[13], line[5]) == ("0.00005", "0")
        assert line[29] == "", "evMultiplier"

    async def test_the_strike_of_an_option(self, session) -> None:
        session.send(9, 8, 5, 0, "AAPL", "OPT", "", 230.0, "C", "", "SMART", "", "USD", "", "", 0, "", "", "")
        line = (await session.until(52))[0]
        assert line[5:7] == ["230", "C"]
        assert line[21:25] == [line[4][:6], "Technology", "Computers", "Computers"]


class TestRight:
    """The field ``right`` of instruments without one."""

    async def test_in_positions_it_is_empty(self, session) -> None:
        session.send(61, 1)
        lines = (await session.until(62))[:-1]
        assert [line[5] for line in lines] == ["STK", "FUT"]
        assert [line[8] for line in lines] == ["", ""]

    async def test_in_the_portfolio_it_is_0(self, session) -> None:
        session.send(6, 2, 1, "")
        lines = [line for line in await session.until(54) if line[0] == "7"]
        assert [line[4] for line in lines] == ["STK", "FUT"]
        assert [line[7] for line in lines] == ["0", "0"]

    async def test_in_executions_it_is_empty(self, gateway, session) -> None:
        gateway.place_order("ES", "BUY", 1, client_id=7)
        session.send(7, 3, 5, 0, "", "", "", "", "", "")
        line = (await session.until(11))[-1]
        assert line[5] == "FUT"
        assert line[8] == ""

    async def test_in_scans_it_is_empty(self, session) -> None:
        session.send(22, 5, 3, "STK", "STK.US.MAJOR", "TOP_PERC_GAIN", *[""] * 17, "", "")
        line = (await session.until(20))[-1]
        assert line[6:10] == ["NVDA", "STK", "", "0.0"]
        assert line[10] == ""


class TestTime:
    async def test_before_197_there_is_no_such_request(self, session) -> None:
        session.send(105)
        assert (await session.error())[:2] == (-1, 321)

    async def test_in_milliseconds(self, connect) -> None:
        async with Gateway(server_version=200) as gateway:
            client = await connect(gateway.port, 7, highest=200)
            client.send(105)
            message_id, millis = await client.receive()
            client.send(49, 1)
            seconds = int((await client.receive())[2])
            assert message_id == "109"
            assert seconds - 1 <= int(millis) / 1000 <= seconds + 1
