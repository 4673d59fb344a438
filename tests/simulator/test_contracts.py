"""Contracts: families, symbols, option parameters, market rules."""

import datetime as dt
import re

import pytest
from ib_async import Contract, Future, Index, Option, Stock

from ibkr.simulator import Gateway


class TestDetails:
    async def test_a_family_of_futures(self, connected) -> None:
        found = await connected.reqContractDetailsAsync(Future("ES", exchange="CME"))
        assert [details.contract.localSymbol for details in found][-3:] == ["ESZ7", "ESH8", "ESM8"]
        assert {details.underConId for details in found} == {11004968}
        (one,) = await connected.reqContractDetailsAsync(Future("ES", "202803", "CME"))
        assert one.realExpirationDate == "20280317"
        assert await connected.reqContractDetailsAsync(Future("ES", "20300101", "CME")) == []

    async def test_a_chain_of_options(self, connected) -> None:
        (apple,) = await connected.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
        chains = await connected.reqSecDefOptParamsAsync("AAPL", "", "STK", apple.conId)
        assert [chain.exchange for chain in chains] == ["SMART", "AMEX", "CBOE", "ISE", "PHLX"]
        chain = chains[0]
        assert (chain.tradingClass, chain.multiplier, chain.underlyingConId) == ("AAPL", "100", "265598")
        today = f"{dt.datetime.now():%Y%m%d}"
        assert all(expiry >= today for expiry in chain.expirations)
        calls = await connected.reqContractDetailsAsync(Option("AAPL", chain.expirations[0], 0, "C", "SMART"))
        assert [item.contract.strike for item in calls] == chain.strikes
        option = Option("AAPL", chain.expirations[0], chain.strikes[3], "P", "SMART")
        await connected.qualifyContractsAsync(option)
        assert re.fullmatch(r"AAPL  \d{6}P00195000", option.localSymbol)
        (details,) = await connected.reqContractDetailsAsync(option)
        assert (details.underSymbol, details.underSecType, details.underConId) == ("AAPL", "STK", apple.conId)

    async def test_parameters_of_one_exchange_of_none_and_of_a_wrong_contract(self, connected, session) -> None:
        rows = await connected.reqSecDefOptParamsAsync("SPX", "CBOE", "IND", 416904)
        assert [(row.exchange, row.tradingClass) for row in rows] == [("CBOE", "SPX"), ("CBOE", "SPXW")]
        assert await connected.reqSecDefOptParamsAsync("KO", "", "STK", 8894) == []
        session.send(78, 5, "AAPL", "", "STK", 8894)
        assert (await session.error())[:2] == (5, 321)

    async def test_hours_are_those_of_days_to_come(self, connected) -> None:
        (details,) = await connected.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
        days = details.tradingHours.split(";")
        assert len(days) == len(details.liquidHours.split(";")) == 6
        assert all(re.fullmatch(r"\d{8}:(CLOSED|0400-\d{8}:(2000|1700))", day) for day in days)
        assert any("CLOSED" in day for day in days)
        assert details.tradingSessions()

    async def test_by_isin(self, connected) -> None:
        (details,) = await connected.reqContractDetailsAsync(Contract(secIdType="ISIN", secId="US0378331005"))
        assert details.contract.symbol == "AAPL"
        assert await connected.reqContractDetailsAsync(Contract(secIdType="ISIN", secId="US0000000000")) == []

    async def test_an_index(self, connected) -> None:
        (details,) = await connected.reqContractDetailsAsync(Index("SPX", "CBOE"))
        assert details.contract.conId == 416904

    @pytest.mark.parametrize("version", [157, 176, 178, 187, 193, 200])
    async def test_at_each_version(self, connect, version: int) -> None:
        async with Gateway(server_version=version) as gateway:
            client = await connect(gateway.port, 7, highest=200)
            client.ask_details(5, "AAPL")
            lines = await client.until(52)
            assert len(lines) == 2
            assert {"265598", "APPLE INC", "US0378331005"} <= set(lines[0])


class TestSymbols:
    async def test_by_symbol_then_by_name(self, connected) -> None:
        found = await connected.reqMatchingSymbolsAsync("a")
        assert [item.contract.symbol for item in found][:2] == ["AMD", "AUD"]
        assert len(found) <= 16
        (apple,) = await connected.reqMatchingSymbolsAsync("AAPL")
        assert (apple.contract.conId, apple.contract.description) == (265598, "APPLE INC")
        assert apple.derivativeSecTypes == ["CFD", "OPT", "IOPT", "WAR", "BAG"]
        found = await connected.reqMatchingSymbolsAsync("microsoft")
        assert [item.contract.symbol for item in found] == ["MSFT"]
        assert await connected.reqMatchingSymbolsAsync("zzzz") == []

    async def test_before_176_without_a_description(self, connect) -> None:
        async with Gateway(server_version=157) as gateway:
            client = await connect(gateway.port, 7)
            client.send(81, 5, "AAPL")
            apple = ["265598", "AAPL", "STK", "NASDAQ", "USD", "5", "CFD", "OPT", "IOPT", "WAR", "BAG"]
            assert await client.receive() == ["79", "5", "1", *apple]


class TestRules:
    async def test_those_that_contracts_name_are_known(self, gateway, connected) -> None:
        for item in gateway._state.instruments.listed:
            if not item.coupon.is_integer():
                continue  # ib_async 2.1.0 cannot read such a bond, even from a real gateway
            (details,) = await connected.reqContractDetailsAsync(Stock(conId=item.con_id))
            ids = details.marketRuleIds.split(",")
            assert len(ids) == len(details.validExchanges.split(","))
            assert int(ids[0]) in gateway._state.instruments.rules

    async def test_increments(self, connected, session) -> None:
        rule = await connected.reqMarketRuleAsync(1801)
        assert [(row.lowEdge, row.increment) for row in rule] == [(0, 0.01), (50, 0.02), (100, 0.05)]
        session.send(91, 4711)
        assert (await session.error())[:2] == (-1, 321)
