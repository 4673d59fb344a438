"""Every kind of stream: what starts it, what ends it, and the faults that affect all of them."""

import itertools

import pytest

from ibkr.simulator import Gateway

APPLE = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")
SPY = (756733, "SPY", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")

# Each row has the request, its cancel, the id of its messages, and the error for the cancel of an unknown request.
STREAMS = {
    "reqMktData": ((1, 11, 5, *APPLE, 0, "", 0, 0, ""), (2, 2, 5), "1", 300),
    "reqRealTimeBars": ((50, 3, 5, *APPLE, 5, "TRADES", 0, ""), (51, 1, 5), "50", 300),
    "reqTickByTickData": ((97, 5, *APPLE, "Last", 0, 0), (98, 5), "99", 300),
    "reqMktDepth": ((10, 5, 5, *APPLE, 5, 1, ""), (11, 1, 5, 1), "13", 310),
    "reqHistoricalData": (
        (20, 5, *APPLE, 0, "", "1 min", "1 D", 0, "TRADES", 1, 1, ""),
        (25, 1, 5),
        "90",
        366,
    ),
    "reqScannerSubscription": (
        (22, 5, 3, "STK", "STK.US.MAJOR", "MOST_ACTIVE", *[""] * 17, "", ""),
        (23, 1, 5),
        "20",
        365,
    ),
}


def ask_bars(req_id: int) -> tuple[object, ...]:
    return (20, req_id, *STREAMS["reqHistoricalData"][0][2:])


TICKING = [kind for kind in STREAMS if kind != "reqScannerSubscription"]


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.5, speed=100) as running:
        yield running


@pytest.mark.parametrize("kind", STREAMS)
class TestLife:
    async def test_it_streams_until_it_is_cancelled(self, gateway, session, kind: str) -> None:
        request, cancel, message_id, _ = STREAMS[kind]
        session.send(*request)
        await session.until(int(message_id), "5")
        symbol = "MOST_ACTIVE" if kind == "reqScannerSubscription" else "AAPL"
        assert gateway.seen.live_streams(7) == {5: (kind, symbol)}
        assert gateway.seen.live_subscriptions(7) == ({5: "AAPL"} if kind == "reqMktData" else {})
        session.send(*cancel)
        await gateway.wait_for(lambda gateway: gateway.seen.live_streams(7) == {})
        await session.drain()
        assert await session.hears_nothing()

    async def test_a_live_id_used_again_is_322(self, gateway, session, kind: str) -> None:
        session.send(*STREAMS["reqMktData"][0])
        await session.until(58)
        session.send(*STREAMS[kind][0])
        req_id, code, text = await session.error()
        assert (req_id, code) == (5, 322)
        assert "Duplicate ticker id" in text
        assert gateway.seen.live_streams(7) == {5: ("reqMktData", "AAPL")}

    async def test_an_unknown_id_cannot_be_cancelled(self, session, kind: str) -> None:
        session.send(*STREAMS[kind][1])
        assert (await session.error())[:2] == (5, STREAMS[kind][3])

    async def test_another_kind_of_cancel_does_not_end_it(self, gateway, session, kind: str) -> None:
        session.send(*STREAMS[kind][0])
        await session.until(int(STREAMS[kind][2]), "5")
        other = "reqMktDepth" if kind == "reqMktData" else "reqMktData"
        session.send(*STREAMS[other][1])
        assert (await session.error())[:2] == (5, STREAMS[other][3])
        assert 5 in gateway.seen.live_streams(7)

    async def test_1101_forgets_it(self, gateway, session, kind: str) -> None:
        session.send(*STREAMS[kind][0])
        await session.until(int(STREAMS[kind][2]), "5")
        await gateway.fault("lose_upstream")
        await gateway.fault("restore_upstream_data_lost")
        await session.until(4, "1101")
        assert gateway.seen.live_streams(7) == {}
        await session.drain()
        assert await session.hears_nothing()

    async def test_it_ends_with_its_session(self, gateway, session, kind: str) -> None:
        session.send(*STREAMS[kind][0])
        await gateway.wait_for(lambda gateway: gateway.seen.live_streams(7))
        await session.close()
        await gateway.wait_for(lambda gateway: gateway.client_ids == [])
        assert gateway.seen.live_streams(7) == {}

    async def test_an_unknown_contract_is_200(self, session, kind: str) -> None:
        if kind == "reqScannerSubscription":
            return
        fields = [1 if field == 265598 else field for field in STREAMS[kind][0]]
        session.send(*fields)
        assert (await session.error())[:2] == (5, 200)


class TestFaults:
    @pytest.mark.parametrize("kind", TICKING)
    async def test_a_broken_farm_silences_it_and_a_mended_one_does_not_lose_it(self, gateway, session, kind) -> None:
        farm = "ushmds" if kind == "reqHistoricalData" else "usfarm"
        session.send(*STREAMS[kind][0])
        await session.until(int(STREAMS[kind][2]), "5")
        await gateway.fault("break_farm", farm)
        await session.until(4)
        await session.drain()
        assert await session.hears_nothing()
        await gateway.fault("mend_farm", farm)
        await session.until(int(STREAMS[kind][2]), "5")

    @pytest.mark.parametrize("kind", TICKING)
    async def test_begun_while_its_farm_is_broken_it_starts_when_that_is_mended(self, gateway, session, kind) -> None:
        if kind == "reqHistoricalData":
            return
        await gateway.fault("break_farm", "usfarm")
        await session.until(4)
        session.send(*STREAMS[kind][0])
        assert await session.hears_nothing()
        await gateway.fault("mend_farm", "usfarm")
        await session.until(int(STREAMS[kind][2]), "5")

    @pytest.mark.parametrize("kind", TICKING)
    async def test_a_freeze_holds_it_back_and_a_thaw_lets_it_go_on(self, gateway, session, kind) -> None:
        session.send(*STREAMS[kind][0])
        await session.until(int(STREAMS[kind][2]), "5")
        await gateway.fault("freeze")
        await session.drain()
        assert await session.hears_nothing()
        await gateway.fault("thaw")
        await session.until(int(STREAMS[kind][2]), "5")

    async def test_bars_kept_up_to_date_die_with_the_upstream_and_nothing_else_does(self, gateway, session) -> None:
        session.send(*STREAMS["reqHistoricalData"][0])
        await session.until(17)
        session.send(1, 11, 6, *APPLE, 0, "", 0, 0, "")
        await session.until(58)
        await gateway.fault("lose_upstream")
        codes = [await session.error() for _ in range(2)]
        assert [(req_id, code) for req_id, code, _ in codes] == [(-1, 1100), (5, 10182)]
        assert gateway.seen.live_streams(7) == {6: ("reqMktData", "AAPL")}
        await gateway.fault("restore_upstream")
        await session.until(1, "6")

    async def test_history_is_162_while_its_farm_is_broken(self, gateway, session) -> None:
        await gateway.fault("break_farm", "ushmds")
        await session.until(4)
        session.send(*STREAMS["reqHistoricalData"][0])
        req_id, code, text = await session.error()
        assert (req_id, code) == (5, 162)
        assert "HMDS" in text

    async def test_a_competing_login_silences_all_and_is_told_to_market_data(self, gateway, session) -> None:
        session.send(*STREAMS["reqTickByTickData"][0])
        session.send(1, 11, 6, *SPY, 0, "", 0, 0, "")
        await session.until(1, "6")
        await gateway.fault("competing_login")
        assert (await session.error())[:2] == (6, 10197)
        await session.drain()
        session.send(*ask_bars(7))
        found = await session.error()
        assert found[:2] == (7, 162)
        assert "different IP address" in found[2]
        assert await session.hears_nothing()
        await gateway.fault("end_competing_login")
        await session.until(99, "5")
        await session.until(1, "6")

    async def test_a_lost_stream_ends_with_its_code_and_one_that_is_stalled_in_silence(self, gateway, session) -> None:
        session.send(*STREAMS["reqTickByTickData"][0])
        session.send(1, 11, 6, *SPY, 0, "", 0, 0, "")
        await session.until(1, "6")
        await gateway.fault("end_stream", "AAPL", 10225)
        req_id, code, _ = await session.error()
        assert (req_id, code) == (5, 10225)
        assert gateway.seen.live_streams(7) == {6: ("reqMktData", "SPY")}
        await gateway.fault("stall_stream", "SPY")
        await session.drain()
        assert await session.hears_nothing()
        assert gateway.seen.live_streams(7) == {6: ("reqMktData", "SPY")}
        session.send(2, 2, 6)
        session.send(1, 11, 7, *SPY, 0, "", 0, 0, "")
        await session.until(1, "7")


class TestLimits:
    async def test_lines(self, connect) -> None:
        async with Gateway(lines=2) as gateway:
            client = await connect(gateway.port, 7)
            client.subscribe(1)
            client.send(50, 3, 2, *SPY, 5, "TRADES", 0, "")
            client.subscribe(3, 272093, "MSFT")
            assert await client.error() == (3, 101, "Max number of tickers has been reached")
            client.send(51, 1, 2)
            client.subscribe(3, 272093, "MSFT")
            await client.until(58, "3")
            client.subscribe(4)  # a second stream of the same instrument needs no other market data line
            await client.until(58, "4")

    @pytest.mark.parametrize(("kind", "code"), [("reqMktDepth", 309), ("reqTickByTickData", 10190)])
    async def test_depth_and_tick_by_tick(self, gateway, session, kind: str, code: int) -> None:
        request = STREAMS[kind][0]
        at = 2 if kind == "reqMktDepth" else 1
        for req_id in range(10, 14):
            session.send(*request[:at], req_id, *request[at + 1 :])
        assert (await session.error())[:2] == (13, code)
        assert list(gateway.seen.live_streams(7)) == [10, 11, 12]

    async def test_real_time_bars_are_paced_if_requested(self, connect) -> None:
        async with Gateway(historical_pacing=True) as gateway:
            client = await connect(gateway.port, 7)
            for req_id in range(61):
                client.send(50, 3, req_id, *APPLE, 5, "TRADES", 0, "")
            req_id, code, text = await client.error()
            assert (req_id, code) == (60, 420)
            assert "pacing violation" in text


class TestTickByTick:
    async def test_each_kind(self, session) -> None:
        for req_id, kind in enumerate(("AllLast", "BidAsk", "MidPoint"), start=1):
            session.send(97, req_id, *APPLE, kind, 0, 0)
        found = {}
        while len(found) < 3:
            line = (await session.until(99))[-1]
            found[line[1]] = (line[2], len(line))
        assert found == {"1": ("2", 9), "2": ("3", 9), "3": ("4", 5)}

    @pytest.mark.parametrize(("kind", "message_id"), [("Last", 98), ("BidAsk", 97), ("MidPoint", 96)])
    async def test_the_past_comes_first(self, session, kind: str, message_id: int) -> None:
        session.send(97, 5, *APPLE, kind, 3, 0)
        line = await session.receive()
        assert line[:3] == [str(message_id), "5", "3"]
        assert line[-1] == "1"
        await session.until(99, "5")

    async def test_what_cannot_be_had(self, session) -> None:
        session.send(97, 5, *APPLE, "Trades", 0, 0)
        assert (await session.error())[:2] == (5, 321)
        session.send(97, 5, 12087792, *["", "", "", 0.0, "", "", "", "", "", "", ""], "Last", 0, 0)
        assert (await session.error())[:2] == (5, 10189)
        session.send(97, 5, 14094, *["", "", "", 0.0, "", "", "", "", "", "", ""], "BidAsk", 0, 0)
        assert (await session.error())[:2] == (5, 10189)


class TestRealTimeBars:
    async def test_they_follow_each_other_by_the_markets_clock(self, session) -> None:
        session.send(*STREAMS["reqRealTimeBars"][0])
        bars = [(await session.until(50, "5"))[-1] for _ in range(4)]
        times = [int(bar[3]) for bar in bars]
        # Here, five seconds of the market take 50 ms. If the machine stops for longer, a bar is skipped.
        assert all(earlier < later and later % 5 == 0 for earlier, later in itertools.pairwise(times))
        for bar in bars:
            opened, high, low, close = map(float, bar[4:8])
            assert low <= min(opened, close) <= max(opened, close) <= high
            assert int(bar[8]) > 0
            assert low <= float(bar[9]) <= high

    async def test_a_midpoint_has_no_volume(self, session) -> None:
        session.send(50, 3, 5, *APPLE, 5, "MIDPOINT", 0, "")
        bar = (await session.until(50, "5"))[-1]
        assert bar[8:] == ["-1", "-1.0", "-1"]

    @pytest.mark.parametrize(
        ("con_id", "what", "code"), [(12087792, "TRADES", 420), (265598, "SMELL", 321), (29612249, "TRADES", 420)]
    )
    async def test_what_cannot_be_had(self, session, con_id: int, what: str, code: int) -> None:
        session.send(50, 3, 5, con_id, *["", "", "", 0.0, "", "", "", "", "", "", ""], 5, what, 0, "")
        assert (await session.error())[:2] == (5, code)
