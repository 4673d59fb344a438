"""Instruments other than stocks, and the contracts in the samples and tests of client libraries."""

import asyncio

import pytest
from ib_async import (
    CFD,
    Bag,
    Bond,
    ComboLeg,
    Commodity,
    ContFuture,
    Contract,
    Crypto,
    Forex,
    Future,
    FuturesOption,
    Index,
    Stock,
)

from ibkr.simulator import Gateway

APPLE, MICROSOFT, INTERACTIVE, MCDONALDS = 265598, 272093, 43645865, 9408

# These contracts come from the official Testbed (ContractSamples), the notebooks of ib_async, and the tests of stoqey,
# nautilus and rust-ibapi.
SAMPLES = [
    (Forex("EURGBP"), "EUR"),
    (Index("DAX", "EUREX", "EUR"), "DAX"),
    (CFD("IBDE30", "SMART", "EUR"), "IBDE30"),
    (CFD("IBUS30"), "IBUS30"),
    (CFD("IBM", "SMART", "USD"), "IBM"),
    (CFD("BMW", "SMART", "EUR"), "BMW"),
    (CFD("EUR", "SMART", "USD"), "EUR"),
    (Stock("BMW", "SMART", "EUR", primaryExchange="IBIS"), "BMW"),
    (Stock("NOKIA", "SMART", "EUR", primaryExchange="HEX"), "NOKIA"),
    (Stock("SPY", "ARCA", "USD"), "SPY"),
    (Stock("MSFT", "SMART", "USD", primaryExchange="ISLAND"), "MSFT"),
    (Stock("AAPL", "ISLAND", "USD"), "AAPL"),
    (Stock("AAPL", "JEFFALGO", "USD"), "AAPL"),
    (Stock("IBKR", "CSFBALGO", "USD"), "IBKR"),
    (Stock("SPY", "IBKRATS", "USD"), "SPY"),
    (Stock("QQQ", "SMART", "USD"), "QQQ"),
    (Stock("BRK B", "SMART", "USD"), "BRK B"),
    (Contract(secType="FUND", symbol="VINIX", exchange="FUNDSERV", currency="USD"), "VINIX"),
    (Contract(secType="NEWS", exchange="BRFG"), "BRFG:BRFG_ALL"),
    (Contract(secType="NEWS", symbol="DJNL:DJNL_ALL", exchange="DJNL"), "DJNL:DJNL_ALL"),
    (Commodity("XAUUSD", "SMART", "USD"), "XAUUSD"),
    (Crypto("ETH", "PAXOS", "USD"), "ETH"),
    (Crypto("BTC", "PAXOS", "USD"), "BTC"),
    (Contract(secType="WAR", symbol="OXY", exchange="SMART", currency="USD", strike=22.0, right="C"), "OXY"),
    (Contract(secType="WAR", symbol="GOOG", exchange="FWB", currency="EUR"), "GOOG"),
    (Contract(secType="IOPT", localSymbol="B881G", exchange="SBF", currency="EUR"), "CAC40"),
    (Contract(conId=12087792, secType="CASH", exchange="IDEALPRO"), "EUR"),
    (Contract(secIdType="ISIN", secId="US45841N1072", exchange="SMART", currency="USD", secType="STK"), "IBKR"),
    (Contract(secIdType="FIGI", secId="BBG000B9XRY4", exchange="SMART"), "AAPL"),
    (Contract(secType="FUT", symbol="ES", exchange="QBALGO", lastTradeDateOrContractMonth="202712"), "ES"),
    (Contract(secType="FUT", localSymbol="FGBL DEC 27", exchange="EUREX", currency="EUR"), "GBL"),
    (Future("DAX", "202712", "EUREX", multiplier="1", currency="EUR"), "DAX"),
    (Future("ES", "202712", "GLOBEX"), "ES"),
    (ContFuture("GBL", "EUREX"), "GBL"),
    (ContFuture("ES", "CME"), "ES"),
    (ContFuture("CL", "NYMEX"), "CL"),
    (Index("ESTX50", "EUREX", "EUR"), "ESTX50"),
    (Index("VIX", "CBOE"), "VIX"),
    (Bond(conId=15960357, exchange="SMART"), "IBM"),
]


class TestSamples:
    @pytest.mark.parametrize(("contract", "symbol"), SAMPLES, ids=lambda value: str(value)[:60])
    async def test_each_is_one_contract(self, connected, contract: Contract, symbol: str) -> None:
        (details,) = await connected.reqContractDetailsAsync(contract)
        assert details.contract.symbol == symbol
        assert details.contract.conId > 0

    @pytest.mark.parametrize("symbol", ["GOOG", "COF", "FISV", "QQQ", "IWM", "AMZN", "META", "AMD", "IBM", "VIX"])
    async def test_the_common_ones_have_option_chains(self, connected, symbol: str) -> None:
        found = await connected.reqContractDetailsAsync(Contract(secType="OPT", symbol=symbol, currency="USD"))
        assert len(found) > 50
        assert {details.contract.secType for details in found} == {"OPT"}

    async def test_all_that_is_listed_has_live_data_or_a_reason(self, gateway, session) -> None:
        listed = [item for item in gateway._state.instruments.listed if item.market_data == "live"]
        for item in listed:
            session.send(1, 11, item.con_id, item.con_id, *["", "", "", 0.0, *[""] * 7], 0, "", 0, 0, "")
            assert (await session.until(58))[-1][2:] == [str(item.con_id), "1"]
            session.send(2, 2, item.con_id)


class TestExchanges:
    @pytest.mark.parametrize(
        ("asked", "told"), [("ISLAND", "NASDAQ"), ("NASDAQ", "NASDAQ"), ("ARCA", "ARCA"), ("SMART", "SMART")]
    )
    async def test_details_are_at_the_exchange_that_was_requested(self, session, asked: str, told: str) -> None:
        session.ask_details(5, "AAPL", exchange=asked)
        assert (await session.until(52))[0][7] == told


class TestContinuousFutures:
    async def test_it_is_the_first_future_under_its_own_id(self, connected) -> None:
        (continuous,) = await connected.reqContractDetailsAsync(ContFuture("ES", "CME"))
        (front, *_) = await connected.reqContractDetailsAsync(Future("ES", exchange="CME"))
        assert continuous.contract.secType == "CONTFUT"
        assert continuous.contract.conId == front.contract.conId
        assert continuous.contract.localSymbol == front.contract.localSymbol

    async def test_together_with_the_futures(self, connected) -> None:
        both = await connected.reqContractDetailsAsync(Contract(secType="FUT+CONTFUT", symbol="GBL", exchange="EUREX"))
        assert [details.contract.secType for details in both] == ["FUT", "FUT", "CONTFUT"]

    async def test_history_ends_now(self, connected, session) -> None:
        contract = ContFuture("ES", "CME")
        await connected.qualifyContractsAsync(contract)
        assert len(await connected.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", True)) == 5
        fields = (contract.conId, "ES", "CONTFUT", "", 0.0, "", "", "CME", "", "USD", "", "", 0)
        session.send(20, 5, *fields, "20240628 16:00:00", "1 day", "5 D", 1, "TRADES", 1, 0, "")
        text = "Setting end date/time for continuous future security type is not allowed."
        assert await session.error() == (5, 10339, text)


class TestBonds:
    async def test_details_are_a_message_of_their_own(self, session) -> None:
        session.ask_details(5, "912828C57", "BOND")
        line = (await session.until(52))[0]
        assert line[:12] == ["18", "5", "US-T", "BOND", "912828C57", "2.25", "20310331", "20240331", "AA+", *line[9:12]]
        assert line[9:11] == ["US Government Bond", "FIXED"]

    @pytest.mark.parametrize("symbol", ["US279158AE95", "US064159KJ44", "US03076KAA60"])
    async def test_by_isin_as_symbol(self, session, symbol: str) -> None:
        session.ask_details(5, symbol, "BOND")
        line = (await session.until(52))[0]
        assert (line[0], symbol in line) == ("18", True)

    async def test_by_cusip(self, session) -> None:
        session.send(9, 8, 5, *[""] * 4, 0, *[""] * 7, 0, "CUSIP", "912828C57", "")
        assert (await session.until(52))[0][4] == "912828C57"


class TestCrypto:
    async def test_trades_are_called_aggregated(self, connected, session) -> None:
        bitcoin = Crypto("BTC", "PAXOS", "USD")
        await connected.qualifyContractsAsync(bitcoin)
        bars = await connected.reqHistoricalDataAsync(bitcoin, "", "7 D", "1 day", "AGGTRADES", False)
        assert len(bars) == 7, "also at weekends"
        assert all(bar.volume > 0 for bar in bars)
        fields = (bitcoin.conId, "BTC", "CRYPTO", "", 0.0, "", "", "PAXOS", "", "USD", "", "", 0)
        session.send(20, 5, *fields, "", "1 day", "5 D", 1, "TRADES", 1, 0, "")
        text = "Expected what to show is AGGTRADES, please use that instead of TRADES."
        assert await session.error() == (5, 10299, text)

    async def test_sizes_are_in_fractions(self, session) -> None:
        session.ask_details(5, "BTC", "CRYPTO", exchange="PAXOS")
        assert (await session.until(52))[0][-3:] == ["0.00000001"] * 3


class TestContractsForDifference:
    async def test_they_are_quoted_and_not_traded(self, connected) -> None:
        contract = CFD("IBUS500")
        await connected.qualifyContractsAsync(contract)
        ticker = connected.reqMktData(contract)
        await asyncio.wait_for(ticker.updateEvent, 10)
        assert 0 < ticker.bid < ticker.ask
        assert ticker.last != ticker.last
        assert await connected.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "MIDPOINT", True)
        assert not await connected.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", True)


class TestNews:
    async def test_a_contract_for_news_brings_that_alone(self, connected) -> None:
        contract = Contract(secType="NEWS", symbol="BRFG:BRFG_ALL", exchange="BRFG")
        await connected.qualifyContractsAsync(contract)
        connected.reqMktData(contract, "mdoff,292")
        while not connected.newsTicks():
            await asyncio.wait_for(connected.tickNewsEvent, 10)
        assert {news.providerCode for news in connected.newsTicks()} == {"BRFG"}


class TestFunds:
    @pytest.mark.parametrize("version", [178, 193])
    async def test_details(self, connect, version: int) -> None:
        async with Gateway(server_version=version) as gateway:
            client = await connect(gateway.port, 7, highest=200)
            client.ask_details(5, "VINIX", "FUND", exchange="FUNDSERV")
            line = (await client.until(52))[0]
            assert ("VANGUARD" in line) is (version >= 179)


class TestEuropeanOptions:
    async def test_they_are_at_eurex(self, connected) -> None:
        (found, *_) = await connected.reqContractDetailsAsync(
            Contract(secType="OPT", symbol="BMW", exchange="EUREX", currency="EUR")
        )
        assert (found.contract.exchange, found.contract.currency) == ("EUREX", "EUR")


class TestOptionsOnFutures:
    async def test_they_follow_their_future(self, connected) -> None:
        (future,) = await connected.qualifyContractsAsync(Future("ES", "202712", "CME"))
        (chain,) = await connected.reqSecDefOptParamsAsync("ES", "CME", "FUT", future.conId)
        assert (chain.exchange, chain.multiplier) == ("CME", "50")
        option = FuturesOption("ES", chain.expirations[-1], 5600, "C", "CME")
        await connected.qualifyContractsAsync(option)
        ticker = connected.reqMktData(option)
        while ticker.modelGreeks is None:
            await asyncio.wait_for(ticker.updateEvent, 10)
        assert 0 < ticker.modelGreeks.delta < 1


ANY_COMBO = (0, "X", "BAG", "", 0.0, "", "", "SMART", "", "USD", "", "")


def spread(*legs: tuple[int, str, int]) -> Bag:
    rows = [ComboLeg(conId=con_id, ratio=ratio, action=action, exchange="SMART") for con_id, action, ratio in legs]
    return Bag(symbol="IBKR,MCD", exchange="SMART", currency="USD", comboLegs=rows)


class TestCombinations:
    async def test_a_spread_costs_what_its_legs_cost(self, connected) -> None:
        combo = connected.reqMktData(spread((INTERACTIVE, "BUY", 2), (MCDONALDS, "SELL", 1)))
        (first, second) = (connected.reqMktData(Contract(conId=con_id)) for con_id in (INTERACTIVE, MCDONALDS))
        found: set[float] = set()
        while len(found) < 5:
            await asyncio.wait_for(second.updateEvent, 10)
            if combo.hasBidAsk() and first.hasBidAsk() and second.hasBidAsk():
                assert combo.bid < combo.ask
                found.add(combo.bid)
        assert combo.close == pytest.approx(2 * first.close - second.close)
        assert combo.close < 0

    async def test_an_option_spread_moves_with_the_underlying(self, gateway, connected) -> None:
        options = gateway._state.instruments.find({"symbol": "AAPL", "sec_type": "OPT", "right": "C"})
        near, far = options[8], options[12]
        ticker = connected.reqMktData(spread((near.con_id, "BUY", 1), (far.con_id, "SELL", 1)))
        found: set[float] = set()
        while len(found) < 3:
            await asyncio.wait_for(ticker.updateEvent, 10)
            found.add(ticker.bid)
        assert 0 < ticker.ask < far.strike - near.strike + 0.1

    async def test_history_of_a_spread(self, connected) -> None:
        legs = (APPLE, "BUY", 1), (MICROSOFT, "SELL", 1)
        end = "20240628 16:00:00 US/Eastern"
        bars = await connected.reqHistoricalDataAsync(spread(*legs), end, "5 D", "1 day", "MIDPOINT", True)
        apple, microsoft = [
            await connected.reqHistoricalDataAsync(Contract(conId=con_id), end, "5 D", "1 day", "MIDPOINT", True)
            for con_id in (APPLE, MICROSOFT)
        ]
        assert [bar.close for bar in bars] == pytest.approx(
            [first.close - second.close for first, second in zip(apple, microsoft, strict=True)]
        )

    @pytest.mark.parametrize(
        "legs",
        [(), ((4711, "BUY", 1),), ((APPLE, "HOLD", 1),), ((APPLE, "BUY", 0),)],
        ids=["none", "id", "action", "0"],
    )
    async def test_legs_that_cannot_be_are_200(self, session, legs: tuple[tuple[int, str, int], ...]) -> None:
        rows = [field for con_id, action, ratio in legs for field in (con_id, ratio, action, "SMART")]
        session.send(
            1, 11, 5, 0, "X", "BAG", "", 0.0, "", "", "SMART", "", "USD", "", "", len(legs), *rows, 0, "", 0, 0, ""
        )
        assert (await session.error())[:2] == (5, 200)

    async def test_a_combination_ends_as_any_stream(self, gateway, session) -> None:
        rows = (APPLE, 1, "BUY", "SMART", MICROSOFT, 1, "SELL", "SMART")
        session.send(1, 11, 5, *ANY_COMBO, 2, *rows, 0, "", 0, 0, "")
        await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7) == {5: "X"})
        session.send(2, 2, 5)
        await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7) == {})
        assert gateway._state.market._followed == {}
