"""Messages per second, order ids, the clock; fault sequences that run by themselves."""

import asyncio
import time

import pytest

from ibkr.simulator import Gateway


def now() -> float:
    return asyncio.get_running_loop().time()


class TestRate:
    async def test_what_is_over_it_waits(self, connect, stopwatch) -> None:
        async with Gateway(rate=20) as gateway:
            client = await connect(gateway.port, 1)
            asked, elapsed = now(), stopwatch()
            for _ in range(30):
                client.send(49, 1)
            for _ in range(19):  # startApi was the first message
                await client.until(49)
            assert elapsed() < 0.9
            for _ in range(11):
                await client.until(49)
            assert now() - asked >= 0.9
            times = [request.time for request in gateway.seen.requests]
            assert all(later - one >= 0.99 for one, later in zip(times, times[20:], strict=False))

    async def test_50_is_the_default_and_is_told_of_nowhere(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        for _ in range(60):
            client.send(49, 1)
        await gateway.wait_for(lambda gateway: len(gateway.seen.requests) == 50)
        assert {line[0] for line in await client.packet()} == {"49"}
        assert len(gateway.seen.requests) == 50

    async def test_what_waits_is_done_though_the_client_leaves(self, connect) -> None:
        async with Gateway(rate=5) as gateway:
            client = await connect(gateway.port, 1)
            for _ in range(8):
                client.send(49, 1)
            client.writer.write_eof()
            assert await client.ended() == "closed"
            assert len(gateway.seen.received("reqCurrentTime")) == 8

    async def test_what_waits_is_not_done_in_a_freeze(self, connect) -> None:
        async with Gateway(rate=5) as gateway:
            client = await connect(gateway.port, 1)
            for _ in range(8):
                client.send(49, 1)
            await gateway.wait_for(lambda gateway: len(gateway.seen.requests) == 5)
            await gateway.fault("freeze")
            with pytest.raises(TimeoutError):
                await gateway.wait_for(lambda gateway: len(gateway.seen.requests) > 5, 1.2)
            await gateway.fault("thaw")
            await gateway.wait_for(lambda gateway: len(gateway.seen.requests) == 9)

    async def test_a_flood_is_no_longer_read(self, connect) -> None:
        async with Gateway() as gateway:
            client = await connect(gateway.port, 1)
            (at_the_gateway,) = gateway._state.clients
            client.send_raw((b"\0\0\x10\0" + b"x" * 4096) * 2000)
            await gateway.wait_for(lambda _: not at_the_gateway.transport.is_reading())
            assert sum(map(len, at_the_gateway._rate_limiter._queue)) < 2 * 1024 * 1024

    async def test_rejected_with_100_and_cut_the_third_time(self, connect, caplog) -> None:
        async with Gateway(rate=10, on_rate="reject") as gateway:
            client = await connect(gateway.port, 1)
            for breach in (1, 2, 3):
                asked = now()
                while (line := await self.ask(client))[0] == "49":
                    pass
                assert line[2:5] == [
                    "-1",
                    "100",
                    f"Max rate of messages per second has been exceeded:max=10 rec=11 ({breach})",
                ]
                seen = len(gateway.seen.requests)
                if breach < 3:
                    client.send(49, 1)  # this message is in the same burst: it is rejected and not counted
                    await self.a_second_after(gateway, asked)
                    assert len(gateway.seen.requests) == seen
            assert await client.ended() == "closed"
            assert "disconnected: over 10 messages a second" in caplog.text

    async def ask(self, client) -> list[str]:
        client.send(49, 1)
        return await client.receive()

    async def a_second_after(self, gateway: Gateway, moment: float) -> None:
        with pytest.raises(TimeoutError):
            await gateway.wait_for(lambda _: False, moment + 1.1 - now())

    async def test_by_fault_and_off(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("limit_rate", 5)
        for _ in range(20):
            client.send(49, 1)
        assert (await client.error())[1] == 100
        await gateway.fault("limit_rate", on_rate="off")
        for _ in range(200):
            client.send(61, 1)
        for _ in range(200):
            await client.until(62)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"rate": 0}, "rate: at least 1 message a second is needed, not 0"),
            ({"on_rate": "drop"}, "on_rate: unknown value 'drop', choose pace, reject, off"),
        ],
    )
    def test_wrong_limits_are_refused(self, options, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Gateway(**options)


class TestIds:
    async def test_the_next_session_is_told_the_lower_id(self, connect) -> None:
        async with Gateway(next_order_id=100, id_hold=0) as gateway:
            for order_id in (100, 5, 100):
                client = await connect(gateway.port, 7, welcomed=False)
                assert (await client.until(9))[-1] == ["9", "1", str(order_id)]
                client.send(8, 1, 1)
                assert (await client.until(9))[-1] == ["9", "1", str(order_id)]
                await gateway.fault("close")
                await gateway.fault("roll_back_order_id", 5)
                if order_id == 5:
                    await gateway.fault("clear")


class TestClock:
    async def test_it_is_wrong_in_all_that_it_says(self, gateway, connect) -> None:
        await gateway.fault("clock_off", -3600)
        client = await connect(gateway.port, 1)
        client.send(49, 1)
        told = int((await client.until(49))[-1][2])
        assert -3602 <= told - time.time() <= -3599
        stamp = time.strptime(" ".join(client.connection_time.split()[:2]), "%Y%m%d %H:%M:%S")
        assert -3602 <= time.mktime(stamp) - time.time() <= -3599
        await gateway.fault("clock_off", 0)
        client.send(49, 1)
        assert abs(int((await client.until(49))[-1][2]) - time.time()) <= 2


class TestSequences:
    async def test_a_farm_flaps(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("flap_farm", "usfuture", 0.05)
        began = now()
        assert [(await client.error())[1] for _ in range(2)] == [2103, 2104]
        assert now() - began >= 0.04

    @pytest.mark.parametrize(("data", "last"), [("kept", 1102), ("lost", 1101)])
    async def test_the_nightly_reset_as_it_was_traced(self, gateway, connect, data: str, last: int) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(1, "5")
        await gateway.fault("nightly_reset", 0.4, data)
        codes = [(await client.error())[1] for _ in range(12)]
        assert codes == [2103, 2104, *[1100] * 5, 2103, 2103, last, 2104, 2104]
        assert gateway.seen.live_subscriptions(1) == ({} if data == "lost" else {5: "AAPL"})
        assert list(gateway.seen.faults) == ["nightly_reset"]

    async def test_the_night_is_the_same_on_a_machine_that_is_late(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("nightly_reset", 0.2)
        codes = [(await client.error())[1] for _ in range(3)]
        time.sleep(0.3)  # noqa: ASYNC251 - the rest of the night is then overdue
        codes += [(await client.error())[1] for _ in range(9)]
        assert codes == [2103, 2104, *[1100] * 5, 2103, 2103, 1102, 2104, 2104]

    async def test_what_ends_the_outage_ends_the_night(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("nightly_reset", 0.2)
        await client.until(4, "1100")
        await gateway.fault("restore_upstream")
        await client.until(4, "1102")
        assert await client.hears_nothing()
