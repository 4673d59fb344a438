"""Market data: its types, generic ticks, options, the clock."""

import asyncio

import pytest
from ib_async import Contract, Forex, Index, Option, Stock

from ibkr.simulator import FaultError, Gateway
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.streams.generic_ticks import find_generic_tick

BMW, VODAFONE, APPLE, SPY, MINI = 14094, 29612249, 265598, 756733, 495512563
ALL = "100,101,105,106,165,221,225,232,233,236,258,292,293,294,295,318,375,411,456,460,577,586,587,588,595,614,619,623"
REFUSAL = (  # the project ibx recorded this text from a gateway of 2026-10 (issue 450)
    "Incorrect generic tick list of mdoff,292:.  Legal ones for (STK) are: 100(Option Volume),101(Option Open Interest)"
    ",105(Average Opt Volume),106(impvolat),165(Misc. Stats),221/220(Creditman Mark Price),225(Auction),"
    "232/221(Pl Price),233(RTVolume),236(inventory),258/47(Fundamentals),292(Wide_news),293(TradeCount),294(TradeRate),"
    "295(VolumeRate),318(LastRTHTrade),375(RTTrdVolume),411(rthistvol),456/59(IBDividends),460(Bond Factor Multiplier),"
    "577(EtfNavLast(navlast)),586(IPOHLMPRC),587(Pl Price Delayed),588(Futures Open Interest),"
    "595(Short-Term Volume X Mins),614(EtfNavMisc(high/low)),619(Creditman Slow Mark Price),"
    "623(EtfFrozenNavLast(fznavlast))"
)


def request(req_id: int, con_id: int, generics: str = "", snapshot: int = 0) -> tuple[object, ...]:
    return (1, 11, req_id, con_id, *["", "", "", 0.0, "", "", "", "", "", "", ""], 0, generics, snapshot, 0, "")


class TestTypes:
    async def test_without_a_subscription_354(self, gateway, session) -> None:
        for con_id in (BMW, VODAFONE):
            session.send(*request(5, con_id))
            assert (await session.error())[:2] == (5, 354)
        session.send(59, 1, 3)
        session.send(*request(5, VODAFONE))
        assert (await session.error())[:2] == (5, 354)
        assert gateway.seen.live_subscriptions(7) == {}

    @pytest.mark.parametrize("code", [354, 10089, 10168, 10186])
    async def test_a_user_who_has_no_data_is_refused_with_the_code_of_the_fault(self, gateway, session, code) -> None:
        await gateway.fault("deny_market_data", code)
        session.send(59, 1, 3)
        session.send(*request(5, APPLE))
        assert (await session.error())[:2] == (5, code)
        assert gateway.seen.live_subscriptions(7) == {}
        await gateway.fault("clear")
        session.send(*request(6, APPLE))
        await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7))
        with pytest.raises(FaultError, match="one of the codes 354, 10089, 10168, 10186 is needed, not 200"):
            await gateway.fault("deny_market_data", 200)

    @pytest.mark.parametrize("wanted", [3, 4])
    async def test_delayed_if_it_may_be_had(self, session, wanted: int) -> None:
        session.send(59, 1, wanted)
        session.send(*request(5, BMW))
        assert (await session.error())[:2] == (5, 10167)
        assert (await session.receive())[:4] == ["58", "1", "5", "3"]
        lines = await session.until(46)
        ticks = {line[3] for line in lines if line[0] in ("1", "2", "46")}
        assert ticks == {"66", "67", "68", "69", "70", "71", "72", "73", "74", "75", "76", "88"}

    async def test_who_has_live_data_gets_it_whatever_is_requested(self, session) -> None:
        for wanted in (1, 2, 3, 4):
            session.send(59, 1, wanted)
            session.send(*request(wanted, APPLE))
            line = (await session.until(58, str(wanted)))[-1]
            assert line[3] == "1"

    @pytest.mark.parametrize(("con_id", "wanted", "told"), [(APPLE, 2, "2"), (APPLE, 4, "2"), (BMW, 4, "4")])
    async def test_frozen_data_stands_still(self, gateway, session, con_id: int, wanted: int, told: str) -> None:
        gateway.market_is_open = False
        session.send(59, 1, wanted)
        session.send(*request(5, con_id))
        line = (await session.until(58))[-1]
        assert line[3] == told
        bid = "66" if told == "4" else "1"
        assert bid in {line[3] for line in await session.until(46)}
        await session.drain()
        assert await session.hears_nothing()

    async def test_of_a_shut_market_live_data_is_the_close(self, gateway, session) -> None:
        gateway.market_is_open = False
        session.send(*request(5, APPLE))
        lines = [await session.receive() for _ in range(3)]
        assert [line[0] for line in lines] == ["58", "81", "1"]
        assert lines[2][3] == "9"
        assert await session.hears_nothing()
        gateway.market_is_open = True
        await session.until(1, "5")

    async def test_ib_async_is_told_the_type(self, connected) -> None:
        connected.reqMarketDataType(3)
        ticker = connected.reqMktData(Contract(conId=BMW))
        await asyncio.wait_for(ticker.updateEvent, 10)
        assert ticker.marketDataType == 3
        assert 0 < ticker.bid < ticker.ask


class TestGenericTicks:
    async def test_ib_async_gets_them(self, connected, caplog) -> None:
        ticker = connected.reqMktData(Contract(conId=APPLE), "100,101,105,106,165,221,225,233,236,258,292,293,411,456")
        while not ticker.rtVolume or not ticker.dividends:
            await asyncio.wait_for(ticker.updateEvent, 10)
        assert (ticker.shortableShares, ticker.putVolume, ticker.rtHistVolatility) == (1_000_000, 9_000, 0.25)
        assert ticker.low52week < ticker.low13week < ticker.high13week < ticker.high52week
        assert ticker.fundamentalRatios.NPRICE == 230
        assert ticker.dividends.nextAmount == 0.25
        assert [news.articleId for news in connected.newsTicks()] == ["BRFG$00000001"]
        assert connected.newsTicks()[0].timeStamp == 1767623460000
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    @pytest.mark.parametrize("generics", ["999", "233,4", "x", "233;236", "٣", "104", "162", "292:", "mdoff"])
    async def test_others_are_321_with_the_legal_ones(self, session, generics: str) -> None:
        session.send(*request(5, APPLE, generics))
        req_id, code, text = await session.error()
        assert (req_id, code) == (5, 321)
        assert "Incorrect generic tick list" in text
        assert "Legal ones for (STK) are: 100(Option Volume),101(Option Open Interest)" in text

    async def test_the_refusal_is_the_one_of_real_gateways(self, session) -> None:
        session.send(*request(5, APPLE, "mdoff,292:"))
        assert (await session.error())[2].partition(" : cause - ")[2] == REFUSAL

    @pytest.mark.parametrize(("con_id", "sec_type"), [(APPLE, "STK"), (SPY, "STK"), (MINI, "FUT"), (None, "OPT")])
    async def test_all_are_legal_for_stocks_futures_and_options(self, gateway, session, con_id, sec_type: str) -> None:
        if con_id is None:
            con_id = gateway._state.instruments.chains[0].options[0].con_id
        session.send(*request(5, con_id, ALL))
        assert (await session.receive())[:4] == ["58", "1", "5", "1"]
        await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7))
        assert gateway._state.instruments.by_con_id(con_id).sec_type == sec_type

    @pytest.mark.parametrize(
        ("kind", "refused"),
        [
            ("STK", {162}),
            ("OPT", {162}),
            ("FUT", {162}),
            ("IND", {595}),
            ("CASH", {162, 456, 595}),
            ("BOND", {162, 456}),
            ("CRYPTO", {162, 456}),
            ("CFD", {162}),
            ("WAR", {162, 456}),
            ("BAG", {162, 456, 595}),
        ],
    )
    def test_which_are_refused_by_kind(self, kind: str, refused: set[int]) -> None:
        assert {
            number for number in (*map(int, ALL.split(",")), 162) if find_generic_tick(str(number), kind) is None
        } == refused
        assert find_generic_tick("104", kind) is None

    async def test_a_number_and_its_alias_come_once(self, session) -> None:
        session.send(*request(5, APPLE, "mdoff,221,232,318"))
        lines = [await session.receive() for _ in range(4)]
        assert [line[3] for line in lines[2:]] == ["37", "57"]

    async def test_what_a_fund_has_to_say(self, session) -> None:
        session.send(*request(5, SPY, "mdoff,577,614,619,623,595,375,586,587"))
        types = {line[3] for line in [await session.receive() for _ in range(11)] if line[0] in ("1", "2", "46")}
        assert types == {"96", "97", "98", "99", "79", "63", "64", "65", "77"}

    async def test_they_alone(self, session) -> None:
        session.send(*request(5, APPLE, "mdoff,292:BRFG"))
        assert [line[0] for line in [await session.receive() for _ in range(3)]] == ["58", "81", "84"]
        assert await session.hears_nothing()

    async def test_a_snapshot_has_none(self, session) -> None:
        session.send(*request(5, APPLE, "233", snapshot=1))
        req_id, code, text = await session.error()
        assert (req_id, code) == (5, 321)
        assert "not applicable to generic ticks" in text


class TestKinds:
    async def test_an_option_is_computed_and_follows_its_underlying(self, connected) -> None:
        (params, *_) = await connected.reqSecDefOptParamsAsync("AAPL", "", "STK", APPLE)
        option = Option("AAPL", params.expirations[-1], 230, "C", "SMART")
        await connected.qualifyContractsAsync(option)
        ticker = connected.reqMktData(option)
        found: set[float] = set()
        while len(found) < 5:
            await asyncio.wait_for(ticker.updateEvent, 10)
            greeks = ticker.modelGreeks
            assert greeks is not None
            assert greeks.undPrice is not None
            found.add(greeks.undPrice)
        assert 0 < greeks.delta < 1
        assert greeks.impliedVol == 0.3
        assert ticker.bid < greeks.optPrice + 0.02
        assert ticker.bidGreeks.optPrice == ticker.bid

    async def test_a_pair_is_quoted_and_an_index_computed(self, connected) -> None:
        contracts = Forex("EURUSD"), Index("SPX", "CBOE")
        await connected.qualifyContractsAsync(*contracts)
        pair, index = (connected.reqMktData(contract) for contract in contracts)
        while not (pair.hasBidAsk() and index.last == index.last):
            await asyncio.wait_for(pair.updateEvent, 10)
        assert pair.last != pair.last
        assert index.bid != index.bid
        assert index.last > 0

    async def test_an_option_that_nobody_can_have(self, connected) -> None:
        (params, *_) = await connected.reqSecDefOptParamsAsync("AAPL", "", "STK", APPLE)
        assert await connected.qualifyContractsAsync(Option("AAPL", params.expirations[0], 231.25, "C", "SMART")) == [
            None
        ]

    async def test_a_regulatory_snapshot_ends_too(self, gateway, session) -> None:
        session.send(*request(5, APPLE)[:-2], 1, "")
        await session.until(57, "5")
        assert gateway.seen.live_subscriptions(7) == {}

    async def test_a_snapshot_without_data_only_ends(self, gateway, session) -> None:
        await gateway.fault("break_farm", "usfarm")
        await session.until(4)
        session.send(*request(5, APPLE, snapshot=1))
        assert (await session.receive())[0] == "57"


class TestMarket:
    async def test_listeners_hear_each_move_of_what_is_followed(self, gateway) -> None:
        market, apple = gateway._state.market, gateway._state.instruments.by_symbol["AAPL"]
        heard: list[tuple[str, Quote]] = []
        market.on_quote(lambda instrument, quote: heard.append((instrument.symbol, quote)))
        first = market.quote_of(apple)
        assert market.quote_of(apple) is first
        market.follow(apple)
        market.follow(apple)
        await gateway.wait_for(lambda gateway: len(heard) > 3)
        market.unfollow(apple)
        count = len(heard)
        await gateway.wait_for(lambda gateway: len(heard) > count)
        market.unfollow(apple)
        count = len(heard)
        assert market.quote_of(apple) is heard[-1][1]
        market.follow(gateway._state.instruments.by_symbol["SPY"])
        await gateway.wait_for(lambda gateway: len(heard) > count)
        assert {symbol for symbol, _ in heard[count:]} == {"SPY"}

    async def test_it_moves_although_no_data_flows(self, gateway) -> None:
        await gateway.fault("lose_upstream")
        market, apple = gateway._state.market, gateway._state.instruments.by_symbol["AAPL"]
        market.follow(apple)
        before = market.quote_of(apple)
        await gateway.wait_for(lambda gateway: market.quote_of(apple) is not before)

    async def test_speed(self, connect) -> None:
        async with Gateway(tick_interval=10, speed=2000) as gateway:
            client = await connect(gateway.port, 7)
            began = gateway._state.market.now()
            client.subscribe(5)
            await gateway.wait_for(lambda gateway: gateway.seen.ticks > 5)
            assert gateway._state.market.now() - began > 5 * 10 * 0.9

    @pytest.mark.parametrize(
        ("option", "value"),
        [("speed", 0), ("speed", -1), ("speed", float("inf")), ("lines", 0), ("speed", float("nan"))],
    )
    def test_options_that_cannot_be(self, option: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"{option}: .* not {value}"):
            Gateway(**{option: value})

    async def test_quotes_are_of_the_instrument(self, connected) -> None:
        await connected.qualifyContractsAsync(stock := Stock("KO", "SMART", "USD"))
        (ticker,) = await connected.reqTickersAsync(stock)
        assert ticker.ask - ticker.bid == pytest.approx(0.02)
        assert 60 < ticker.last < 80
        assert (ticker.open, ticker.close) == (70, 70)
        assert ticker.low <= ticker.last <= ticker.high
