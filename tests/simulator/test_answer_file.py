"""Answers from the answer file, and requests that it has no answer for."""

import asyncio
from pathlib import Path

import pytest
from ib_async import Contract, ScannerSubscription, WshEventData

from ibkr.simulator import Gateway
from ibkr.simulator.data_files import DataError
from ibkr.simulator.requests.answer_file import load_answers

APPLE, COKE = Contract(conId=265598), Contract(conId=8894)
FIELDS = ("", "", "", 0.0, "", "", "", "", "", "", "")


class TestNews:
    async def test_providers_headlines_articles(self, connected) -> None:
        providers = await connected.reqNewsProvidersAsync()
        assert [provider.code for provider in providers] == ["BRFG", "DJNL"]
        news = await connected.reqHistoricalNewsAsync(265598, "BRFG+DJNL", "", "", 10)
        assert [item.articleId for item in news] == ["DJNL$00000002", "BRFG$00000001"]
        article = await connected.reqNewsArticleAsync("DJNL", "DJNL$00000002")
        assert (article.articleType, "<p>" in article.articleText) == (1, True)

    async def test_between_two_times_and_no_more_than_wanted(self, session) -> None:
        session.send(86, 5, 265598, "BRFG+DJNL", "2026-01-05 14:00:00.0", "2026-01-05 14:45:00.0", 10, "")
        lines = await session.until(87)
        assert [line[0] for line in lines] == ["86", "87"]
        assert lines[-1] == ["87", "5", "0"]
        session.send(86, 5, 265598, "BRFG+DJNL", "", "", 1, "")
        assert (await session.until(87))[-1] == ["87", "5", "1"]
        session.send(86, 5, 1, "BRFG", "", "", 1, "")
        assert (await session.error())[:2] == (5, 321)

    async def test_an_article_that_is_not_there(self, session, caplog) -> None:
        for _ in range(2):
            session.send(84, 5, "BRFG", "none", "")
            assert (await session.error())[:2] == (5, 10172)
        assert caplog.text.count("article none: not in the answer file") == 1

    async def test_bulletins(self, connected) -> None:
        connected.reqNewsBulletins(True)
        await asyncio.wait_for(connected.newsBulletinEvent, 10)
        assert connected.newsBulletins()[0].origExchange == "NYSE"


class TestScanner:
    async def test_results_by_rank(self, connected, gateway) -> None:
        query = ScannerSubscription(
            instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN", numberOfRows=3
        )
        rows = await connected.reqScannerDataAsync(query)
        assert [row.contractDetails.contract.symbol for row in rows] == ["NVDA", "TSLA", "AMD"]
        assert [row.rank for row in rows] == [0, 1, 2]
        await gateway.wait_for(lambda gateway: gateway.seen.live_streams(8) == {})
        assert "TOP_PERC_GAIN" in await connected.reqScannerParametersAsync()

    async def test_an_unknown_scan(self, session, caplog) -> None:
        session.send(22, 5, 3, "STK", "STK.US.MAJOR", "WORST", *[""] * 17, "", "")
        assert (await session.error())[:2] == (5, 162)
        assert "scan WORST: not in the answer file" in caplog.text

    async def test_what_a_stranger_names_does_not_control_a_terminal(self, session, caplog) -> None:
        session.send(22, 5, 3, "STK", "STK.US.MAJOR", "\x1b[2J", *[""] * 17, "", "")
        assert (await session.error())[1] == 162
        assert "scan \\x1b[2J: not in the answer file" in caplog.text

    async def test_the_eleventh_is_322(self, session) -> None:
        for req_id in range(11):
            session.send(22, req_id, 3, "STK", "STK.US.MAJOR", "MOST_ACTIVE", *[""] * 17, "", "")
        assert (await session.error())[:2] == (10, 322)


class TestReports:
    async def test_fundamentals(self, connected, session) -> None:
        assert "Apple Inc" in await connected.reqFundamentalDataAsync(APPLE, "ReportSnapshot")
        session.send(52, 2, 5, 8894, "", "", "", "", "", "", "ReportSnapshot", 0, "")
        assert await session.error() == (5, 10358, "Fundamentals data is not allowed")

    async def test_calendar(self, connected, session) -> None:
        assert "wshe_ed" in await connected.getWshMetaDataAsync()
        assert "20270128" in await connected.getWshEventDataAsync(WshEventData(conId=265598))
        session.send(102, 5, 8894, "", 0, 0, 0, "", "", "")
        assert await session.error() == (5, 10276, "News feed is not allowed")

    async def test_advisors(self, session) -> None:
        session.send(18, 1, 1)
        assert (await session.error())[:2] == (-1, 321)
        session.send(19, 1, 1, "<xml/>", 5)
        assert (await session.error())[:2] == (5, 321)


class TestUser:
    async def test_who_it_is(self, session) -> None:
        session.send(104, 5)
        assert await session.receive() == ["107", "5", ""]
        session.send(80)
        assert await session.receive() == ["78", "1", "DU1234567", "F1234567"]
        session.send(79, 5)
        assert await session.receive() == ["77", "5", "1", "Tier1", "1", "Tier 1"]

    async def test_exchanges(self, connected) -> None:
        assert {row.exchange for row in await connected.reqMktDepthExchangesAsync()} == {"ISLAND", "ARCA", "CME"}
        assert {row.exchangeLetter for row in await connected.reqSmartComponentsAsync("9c0001")} == {"Q", "P", "N"}


class TestOptionCalculations:
    async def test_price_and_volatility_round_trip(self, connected) -> None:
        (chain, *_) = await connected.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)
        (details, *_) = await connected.reqContractDetailsAsync(
            Contract(
                symbol="AAPL", secType="OPT", strike=230, right="C", lastTradeDateOrContractMonth=chain.expirations[-1]
            )
        )
        option = details.contract
        worth = await connected.calculateOptionPriceAsync(option, 0.4, 231.0, [])
        back = await connected.calculateImpliedVolatilityAsync(option, worth.optPrice, 231.0, [])
        assert back.impliedVol == pytest.approx(0.4, abs=1e-4)

    @pytest.mark.parametrize(
        ("con_id", "price", "code"), [(265598, 5.0, 321), (0, 1e6, 322), (0, 0, 321), (1, 5.0, 200)]
    )
    async def test_what_cannot_be(self, gateway, session, con_id: int, price: float, code: int) -> None:
        option = gateway._state.instruments.chains[0].options[0]
        session.send(54, 3, 5, con_id or option.con_id, *FIELDS, price, 230.0, 0, "")
        assert (await session.error())[:2] == (5, code)


class TestOwnFile:
    async def test_all_is_from_it(self, connect, tmp_path: Path) -> None:
        path = tmp_path / "answers.toml"
        path.write_text(
            '[[user]]\nwhite_branding_id = "WB"\n[[advisor]]\nkind = 1\nxml = "<groups/>"\n'
            '[[scan]]\nscan_code = "MINE"\nsymbols = ["KO", "NOSUCH"]\n'
        )
        async with Gateway(answers=path) as gateway:
            client = await connect(gateway.port, 7)
            client.send(104, 5)
            assert (await client.receive())[2] == "WB"
            client.send(18, 1, 1)
            assert await client.receive() == ["16", "1", "1", "<groups/>"]
            client.send(19, 1, 1, "<groups/>", 6)
            assert await client.receive() == ["103", "6", ""]
            client.send(22, 5, 3, "STK", "STK.US.MAJOR", "MINE", *[""] * 17, "", "")
            assert (await client.receive())[:6] == ["20", "3", "5", "1", "0", "8894"]
            client.send(85)
            assert await client.receive() == ["85", "0"]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (
                '[[news]]\nprovider = "A"\nid = "1"\ntime = "noon"\nheadline = "h"\ntext = "t"',
                "time = 'noon': a time such",
            ),
            ("[[scan]]\nscan_code = 5\nsymbols = []", "scan_code = 5: a text is needed"),
            ('[[wsh]]\njson = "{}"\nticker = "A"', "ticker = 'A': no such field"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        path = tmp_path / "answers.toml"
        path.write_text(text)
        with pytest.raises(DataError, match="number 1") as caught:
            load_answers(path)
        assert words in str(caught.value)
