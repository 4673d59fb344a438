"""Every fault, seen from the client."""

import asyncio
import socket

import pytest
from ib_async import IB, Stock

from ibkr.simulator import FAULTS
from ibkr.wire import encode_fields, frame

SAMPLES: dict[str, object] = {
    "client_id": 7,
    "request": "reqPositions",
    "seconds": 0.01,
    "bytes_per_second": 1,
    "message": "positionEnd",
}


@pytest.mark.parametrize("name", FAULTS)
async def test_any_fault_then_clear_and_a_new_client_is_served(gateway, connect, name: str) -> None:
    standing = await connect(gateway.port, 3)
    standing.subscribe(5)
    await standing.until(58)
    required = [item for item in FAULTS[name].parameters if item.is_required]
    await gateway.fault(name, **{item.name: SAMPLES[item.name] for item in required})
    assert gateway.seen.faults[-1] == name
    await gateway.fault("clear")
    client = await connect(gateway.port, 7)
    client.send(61, 1)
    await client.until(62)
    client.send(5, 1)
    await client.until(53)
    client.subscribe(5)
    await client.until(1, "5")


class TestSocketsEnd:
    async def test_reset_is_a_reset(self, gateway, connect) -> None:
        clients = [await connect(gateway.port, 1), await connect(gateway.port, 2), await connect(gateway.port)]
        await gateway.fault("reset")
        assert [await client.ended() for client in clients] == ["reset"] * 3
        assert gateway.client_ids == []
        await connect(gateway.port, 1)

    async def test_close_is_an_end_in_good_order(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("close")
        assert await client.read() == b""
        await connect(gateway.port, 1)

    async def test_close_ends_frozen_connections_too(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("freeze")
        await gateway.fault("close")
        assert await client.read() == b""

    async def test_restart_refuses_then_listens_on_the_same_port(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(58)
        port = gateway.port
        await gateway.fault("restart", 0.2)
        assert gateway.seen.live_subscriptions(1) == {}
        assert not gateway.is_listening
        with pytest.raises(ConnectionRefusedError):
            await connect(port)
        assert await client.ended() == "closed"
        await gateway.wait_for(lambda gateway: gateway.is_listening)
        assert gateway.port == port
        again = await connect(port, 1)
        assert await again.hears_nothing()

    async def test_restart_ends_a_freeze(self, gateway, connect) -> None:
        await gateway.fault("freeze")
        await gateway.fault("restart", 0)
        await connect(gateway.port, 1)

    @pytest.mark.parametrize("rounds", range(4))
    async def test_restart_catches_a_connection_that_is_being_accepted(self, gateway, rounds: int) -> None:
        with socket.create_connection(("127.0.0.1", gateway.port), 2) as client:
            for _ in range(rounds):
                await asyncio.sleep(0)
            await gateway.fault("restart", 1000)
            client.setblocking(False)
            try:
                end = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 10)
            except ConnectionResetError:
                end = b""
            assert end == b""

    async def test_clear_ends_a_restart(self, gateway, connect) -> None:
        await gateway.fault("restart", 1000)
        await gateway.fault("clear")
        await connect(gateway.port, 1)

    async def test_the_later_restart_counts(self, gateway, connect) -> None:
        await gateway.fault("restart", 1000)
        await gateway.fault("restart", 0)
        await connect(gateway.port, 1)

    async def test_ib_async_sees_the_reset_and_ticks_again(self, gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        lost = asyncio.get_running_loop().create_future()
        ib.disconnectedEvent.connect(lambda: lost.set_result(None))
        await gateway.fault("reset")
        await asyncio.wait_for(lost, 10)
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        ticker = ib.reqMktData(Stock("AAPL", "SMART", "USD", conId=265598))
        await asyncio.wait_for(ticker.updateEvent, 10)
        assert gateway.seen.connects == 2


class TestFreeze:
    async def test_neither_written_nor_read_until_the_thaw(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(1, "1")
        await gateway.fault("freeze")
        ticks = gateway.seen.ticks
        await client.drain()
        client.send(49, 1)
        await gateway.fault("break_farm", "ushmds")
        assert await client.hears_nothing()
        assert gateway.seen.ticks == ticks
        assert gateway.seen.received("reqCurrentTime") == []
        await gateway.fault("thaw")
        messages = [*await client.until(4, "2105"), *await client.until(49)]
        assert messages[0][3] == "2105", "what waited comes first"
        await client.until(1, "5")

    async def test_new_connections_are_accepted_and_get_no_answer(self, gateway, connect) -> None:
        await gateway.fault("freeze")
        client = await connect(gateway.port)
        hello = asyncio.ensure_future(client.hello())
        await gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
        done, _ = await asyncio.wait([hello], timeout=0.15)
        assert not done
        await gateway.fault("thaw")
        await hello
        assert client.version == 178

    async def test_bytes_that_were_being_read_wait_too(self, gateway, connect) -> None:
        # On Windows, a read in progress cannot be paused, so bytes can arrive after the freeze.
        client = await connect(gateway.port, 1)
        await gateway.fault("freeze")
        (connection,) = gateway._state.clients
        connection.data_received(frame(encode_fields(49, 1)))
        assert gateway.seen.received("reqCurrentTime") == []
        await gateway.fault("thaw")
        await client.until(49)

    async def test_the_client_id_is_taken_until_the_end_is_noticed(self, gateway, connect) -> None:
        first = await connect(gateway.port, 7)
        await gateway.fault("freeze")
        await first.close()
        second = await connect(gateway.port)
        hello = asyncio.ensure_future(second.hello())
        await gateway.wait_for(lambda gateway: gateway.seen.connects == 2)
        assert gateway.client_ids == [7]
        await gateway.fault("thaw")
        await hello
        await second.start_api(7)
        assert (await second.receive())[0] == "15"


class TestUpstream:
    async def test_1100_stops_the_ticks_and_1102_lets_them_go_on(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(1, "1")
        await gateway.fault("1100")
        assert (await client.until(4))[-1][2:5] == [
            "-1",
            "1100",
            "Connectivity between IB and Trader Workstation has been lost.",
        ]
        assert await client.hears_nothing()
        await gateway.fault("1102")
        assert (await client.receive())[2:5] == [
            "-1",
            "1102",
            "Connectivity between IB and Trader Workstation has been restored - data maintained. "
            "All data farms are connected: usfarm; usfuture; ushmds; secdefnj.",
        ]
        assert (await client.receive())[:3] == ["1", "6", "5"]

    async def test_1101_forgets_the_subscriptions(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(58)
        await gateway.fault("lose_upstream")
        await gateway.fault("restore_upstream_data_lost")
        text = (await client.until(4, "1101"))[-1][4]
        assert text == "Connectivity between IB and Trader Workstation has been restored - data lost."
        assert await client.hears_nothing()
        assert gateway.seen.live_subscriptions(1) == {}
        client.send(2, 2, 5)
        assert (await client.error())[:2] == (5, 300)
        client.subscribe(5)
        await client.until(58, "5")

    async def test_1100_repeats_while_it_lasts(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("lose_upstream", 3, 0.01)
        assert [(await client.error())[1] for _ in range(3)] == [1100] * 3
        assert await client.hears_nothing()
        await gateway.fault("lose_upstream", repeats=1000, interval=0.01)
        for _ in range(3):
            await client.error()
        await gateway.fault("restore_upstream")
        await client.until(4, "1102")
        assert await client.hears_nothing()

    async def test_a_subscription_made_while_it_is_down_begins_when_it_is_back(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("lose_upstream")
        await client.until(4, "1100")
        client.subscribe(5)
        assert await client.hears_nothing()
        await gateway.fault("restore_upstream")
        assert [(await client.receive())[0] for _ in range(3)] == ["4", "58", "81"]

    async def test_2110_in_place_of_the_farms(self, gateway, connect) -> None:
        await gateway.fault("2110")
        client = await connect(gateway.port, 1, welcomed=False)
        assert [line[0] for line in await client.packet()] == ["15", "9", "4"]
        other = await connect(gateway.port, 2, welcomed=False)
        assert (await other.error())[1] == 2110

    async def test_ib_async_gets_the_codes(self, gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        codes = asyncio.Queue[int]()
        ib.errorEvent.connect(lambda _id, code, _text, _contract: codes.put_nowait(code))
        for fault in ("1100", "1101", "1100", "1102"):
            await gateway.fault(fault)
            assert await asyncio.wait_for(codes.get(), 10) == int(fault)


class TestFarms:
    @pytest.mark.parametrize(
        ("farm", "broken", "mended"),
        [("usfuture", 2103, 2104), ("ushmds", 2105, 2106), ("secdefnj", 2157, 2158), ("eufarm", 2103, 2104)],
    )
    async def test_codes_by_the_farms_kind(self, gateway, connect, farm: str, broken: int, mended: int) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("break_farm", farm)
        _, code, text = await client.error()
        assert (code, text[-len(farm) - 7 :]) == (broken, f"broken:{farm}")
        await gateway.fault("mend_farm", farm)
        _, code, text = await client.error()
        assert (code, text[-len(farm) - 3 :]) == (mended, f"OK:{farm}")

    async def test_ticks_stop_for_the_contracts_of_that_farm(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.subscribe(5)
        await client.until(58, "5")
        client.subscribe(6, 495512563, "ES", "FUT")
        await client.until(58, "6")
        await gateway.fault("break_farm", "usfarm")
        await client.until(4, "2103")
        seen = {(await client.until(1))[-1][2] for _ in range(20)}
        assert seen == {"6"}
        await gateway.fault("mend_farm", "usfarm")
        await client.until(4, "2104")
        await client.until(1, "5")

    async def test_a_new_session_is_told_of_a_broken_farm(self, gateway, connect) -> None:
        await gateway.fault("break_farm")
        client = await connect(gateway.port, 1, welcomed=False)
        codes = [line[3] for line in await client.packet() if line[0] == "4"]
        assert codes == ["2103", "2104", "2106", "2158"]


class TestClientId:
    async def test_taken_by_somebody_else_until_cleared(self, gateway, connect) -> None:
        await gateway.fault("occupy_client_id", 7)
        client = await connect(gateway.port, 7, welcomed=False)
        assert (await client.error())[:2] == (-1, 326)
        assert await client.read() == b""
        await connect(gateway.port, 8)
        await gateway.fault("clear")
        await connect(gateway.port, 7)

    async def test_released_after_its_time(self, gateway, connect) -> None:
        await gateway.fault("occupy_client_id", "7", "0.1")
        first = (await (await connect(gateway.port, 7, welcomed=False)).receive())[0]
        answers = [first]
        while answers[-1] != "15":
            client = await connect(gateway.port, 7, welcomed=False)
            answers.append((await client.receive())[0])
        assert answers[0] == "4"
        assert gateway.seen.attempts[-1] - gateway.seen.attempts[0] >= 0.05
