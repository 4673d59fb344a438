"""The handshake and the requests of a session, as a real gateway answers them."""

import asyncio
import re

import pytest
from ib_async import IB, Forex, Stock

from ibkr.simulator import Gateway


class TestHandshake:
    @pytest.mark.parametrize(
        ("server", "highest", "agreed"), [(178, 157, 157), (178, 176, 176), (178, 225, 178), (157, 178, 157)]
    )
    async def test_the_highest_common_version(self, connect, server: int, highest: int, agreed: int) -> None:
        async with Gateway(server_version=server) as gateway:
            client = await connect(gateway.port)
            await client.hello(highest=highest)
            assert client.version == agreed

    async def test_the_time_is_that_of_tws(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        await client.hello()
        assert re.fullmatch(r"\d{8} \d\d:\d\d:\d\d \S.*", client.connection_time)

    async def test_nothing_is_said_before_start_api(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        await client.hello()
        client.send(49, 1)
        assert await client.hears_nothing()

    async def test_no_common_version_closes(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        client.send_raw(b"API\0\0\0\0\tv227..300")
        assert await client.read() == b""

    @pytest.mark.parametrize("opening", [b"GET / HTTP/1.1\r\n\r\n", b"63\x007\0", b"API\0\0\0\0\x05hello", b"\0" * 9])
    async def test_what_is_not_the_api_is_closed(self, gateway, connect, opening: bytes) -> None:
        client = await connect(gateway.port)
        client.send_raw(opening)
        assert await client.read() == b""

    async def test_the_hello_may_come_byte_by_byte(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        client.writer.get_extra_info("socket").setsockopt(6, 1, True)
        for byte in b"API\0\0\0\0\tv100..157" + b"\0\0\0\x0771\x002\x007\x00\0":
            client.send_raw(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.receive())[0] == "157"
        assert (await client.receive())[0] == "15"

    async def test_the_welcome_is_one_packet_in_the_order_of_tws(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        await client.hello()
        await client.start_api(7)
        lines = await client.packet()
        assert [line[0] for line in lines] == ["15", "9", "4", "4", "4", "4"]
        assert lines[0] == ["15", "1", "DU1234567"]
        assert lines[1] == ["9", "1", "1"]
        assert [line[3] for line in lines[2:]] == ["2104", "2104", "2106", "2158"]
        assert lines[2][4] == "Market data farm connection is OK:usfarm"
        assert await client.hears_nothing()


class TestClientIds:
    async def test_a_client_id_in_use_gets_326_and_is_closed(self, gateway, connect) -> None:
        first = await connect(gateway.port, 7)
        second = await connect(gateway.port, 7, welcomed=False)
        assert await second.error() == (
            -1,
            326,
            "Unable to connect as the client id is already in use. Retry with a unique client id.",
        )
        assert await second.read() == b""
        first.send(49, 1)
        assert (await first.receive())[0] == "49"
        assert gateway.seen.refused_client_ids == 1

    async def test_a_client_id_is_free_when_its_session_ends(self, gateway, connect) -> None:
        first = await connect(gateway.port, 7)
        await first.close()
        await gateway.wait_for(lambda gateway: gateway.client_ids == [])
        await connect(gateway.port, 7)
        assert gateway.client_ids == [7]

    async def test_a_client_id_is_held_for_id_hold_seconds(self, connect) -> None:
        async with Gateway(id_hold=0.1) as gateway:
            await connect(gateway.port, 7)
            await gateway.fault("reset")
            refused = await connect(gateway.port, 7, welcomed=False)
            assert (await refused.error())[1] == 326
            while not gateway.client_ids:
                again = await connect(gateway.port, 7, welcomed=False)
                if (await again.receive())[0] == "15":
                    break
            assert gateway.seen.attempts[-1] - gateway.seen.attempts[1] >= 0.05

    async def test_a_client_id_is_not_held_when_the_client_disconnects(self, connect) -> None:
        async with Gateway(id_hold=1000) as gateway:
            first = await connect(gateway.port, 7)
            await first.close()
            await gateway.wait_for(lambda gateway: gateway.client_ids == [])
            await connect(gateway.port, 7)
            await gateway.fault("close")
            refused = await connect(gateway.port, 7, welcomed=False)
            assert (await refused.error())[1] == 326

    async def test_the_hold_starts_when_the_kernel_sees_the_end_of_the_connection(self, connect) -> None:
        async with Gateway(id_hold=0.2) as gateway:
            first = await connect(gateway.port, 7)
            await gateway.fault("freeze")
            first.send(61, 1)
            first.reset()
            await asyncio.sleep(0.3)  # longer than the gateway holds the id; no event shows the release
            await gateway.fault("thaw")
            assert [request.client_id for request in gateway.seen.received("reqPositions")] == [7]
            assert gateway.client_ids == []
            again = await connect(gateway.port, 7, welcomed=False)
            assert (await again.receive())[0] == "15"

    @pytest.mark.parametrize("fault", ["reset", "restart", "close", "clear"])
    async def test_a_frozen_gateway_lets_go_of_what_its_kernel_has_ended(self, connect, fault: str) -> None:
        async with Gateway(id_hold=0) as gateway:
            first = await connect(gateway.port, 7)
            await gateway.fault("freeze")
            first.reset()
            await asyncio.sleep(0.05)  # no event shows when the kernel has seen the end
            assert gateway.client_ids == [7]
            await gateway.fault(fault)
            await gateway.wait_for(lambda gateway: gateway.client_ids == [])
            await gateway.fault("freeze")
            await gateway.reset()
            await connect(gateway.port, 7)

    async def test_a_client_id_is_held_as_long_as_the_kernel_holds_its_connection(self, connect) -> None:
        async with Gateway(id_hold=0) as gateway:
            await connect(gateway.port, 7)
            await gateway.fault("freeze")
            late = await connect(gateway.port)
            late.send_raw(b"API\0\0\0\0\tv100..178" + b"\0\0\0\x0771\x002\x007\0\0")
            await gateway.fault("thaw")
            await late.until(4, "326")
            assert gateway.client_ids == [7]

    async def test_an_occupied_client_id_stays_occupied_when_its_session_ends(self, connect) -> None:
        async with Gateway(id_hold=0.01) as gateway:
            await connect(gateway.port, 7)
            await gateway.fault("occupy_client_id", 7)
            await gateway.fault("reset")
            await asyncio.sleep(0.05)
            refused = await connect(gateway.port, 7, welcomed=False)
            assert (await refused.error())[1] == 326


class TestIbAsync:
    async def test_connect_and_what_it_then_knows(self, gateway, ib: IB, caplog) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        assert ib.client.serverVersion() == 178
        assert ib.managedAccounts() == ["DU1234567"]
        assert {(item.contract.symbol, item.position) for item in ib.positions()} == {("AAPL", 100), ("ES", -1)}
        values = {item.tag: item.value for item in ib.accountValues("DU1234567")}
        assert values["NetLiquidation"] == "1023000.00"
        assert values["AccountType"] == "INDIVIDUAL"
        apple = next(item for item in ib.portfolio() if item.contract.symbol == "AAPL")
        assert (apple.marketValue, apple.unrealizedPNL) == (23000.0, pytest.approx(2812.0))
        assert (ib.openTrades(), ib.fills()) == ([], [])
        assert (await ib.reqCurrentTimeAsync()).year >= 2024
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    async def test_several_accounts(self, ib: IB) -> None:
        async with Gateway(accounts=("DU1", "DU2")) as gateway:
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
            assert ib.managedAccounts() == ["DU1", "DU2"]
            assert {item.account for item in ib.positions()} == {"DU1", "DU2"}
            assert {item.account for item in ib.accountValues()} == {"DU1", "DU2"}
            ib.disconnect()

    async def test_client_0_binds_orders_without_a_complaint(self, gateway, ib: IB, caplog) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=0, timeout=10)
        assert gateway.seen.received("reqAutoOpenOrders")
        assert "327" not in caplog.text

    async def test_contract_details(self, gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        (apple,) = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
        assert (apple.contract.conId, apple.longName, apple.minTick) == (265598, "APPLE INC", 0.01)
        (euro,) = await ib.reqContractDetailsAsync(Forex("EURUSD"))
        assert (euro.contract.conId, euro.contract.localSymbol) == (12087792, "EUR.USD")
        assert await ib.reqContractDetailsAsync(Stock("NOSUCH", "SMART", "USD")) == []

    async def test_account_summary(self, gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        rows = await ib.accountSummaryAsync()
        tags = [row.tag for row in rows]
        assert {"NetLiquidation", "BuyingPower"} <= set(tags)
        assert tags == sorted(tags)

    async def test_ticker_ticks_until_it_is_cancelled(self, gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        (contract,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
        assert contract is not None
        updates = asyncio.Queue[float]()
        ticker = ib.reqMktData(contract)
        ticker.updateEvent += lambda ticker: updates.put_nowait(ticker.bid)
        bids = [await asyncio.wait_for(updates.get(), 10) for _ in range(20)]
        assert len(set(bids)) > 3
        assert 0 < ticker.bid < ticker.ask
        assert ticker.marketDataType == 1
        assert ticker.minTick == 0.01
        assert min(ticker.last, ticker.volume, ticker.bidSize, ticker.askSize, ticker.close) > 0
        assert list(gateway.seen.live_subscriptions(7).values()) == ["AAPL"]
        ib.cancelMktData(contract)
        await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7) == {})

    async def test_its_requests_are_those_recorded(self, ib: IB) -> None:
        """The messages that ib_async 2.1.0 sends during a connect and a few calls, as they were recorded."""
        async with Gateway(accounts=("DU111",), next_order_id=5) as gateway:
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
            await ib.reqCurrentTimeAsync()
            (contract,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
            await ib.reqHistoricalDataAsync(contract, "", "1 D", "1 day", "TRADES", True)
            await ib.reqTickersAsync(contract)
            await ib.reqAccountSummaryAsync()
            seen = [list(request.fields) for request in gateway.seen.requests]
            ib.disconnect()
        apple = "265598 AAPL STK _ 0.0 _ _ SMART NASDAQ USD AAPL NMS".replace("_", "").split(" ")
        assert seen[:11] == [
            ["71", "2", "7", ""],
            ["61", "1"],
            ["5", "1"],
            ["99", "0"],
            ["6", "2", "1", "DU111"],
            ["76", "1", "5", "DU111", "", "0"],
            ["7", "3", "6", "0", "", "", "", "", "", ""],
            ["49", "1"],
            ["9", "8", "7", "0", "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", "0", "", "", ""],
            ["20", "8", *apple, "0", "", "1 day", "1 D", "1", "TRADES", "1", "0", ""],
            ["1", "11", "9", *apple, "0", "", "1", "0", ""],
        ]
        # A snapshot ends by itself, but ib_async also sends a cancel. The next message requests the account summary.
        assert seen[-1][:4] == ["62", "1", "10", "All"]
        assert seen[-1][4].startswith("AccountType,NetLiquidation,TotalCashValue,SettledCash,AccruedCash,BuyingPower,")

    @pytest.mark.parametrize("version", [157, 176, 178])
    async def test_each_version_in_full(self, ib: IB, version: int, caplog) -> None:
        async with Gateway(server_version=version, tick_interval=0.005) as gateway:
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
            assert ib.client.serverVersion() == version
            (contract,) = await ib.qualifyContractsAsync(Stock("SPY", "SMART", "USD"))
            assert contract is not None
            assert (contract.conId, contract.primaryExchange) == (756733, "ARCA")
            ticker = ib.reqMktData(contract)
            await gateway.wait_for(lambda gateway: gateway.seen.ticks > 5)
            await asyncio.wait_for(ticker.updateEvent, 10)
            assert ticker.hasBidAsk()
            assert not [record for record in caplog.records if record.levelname == "ERROR"]
            ib.disconnect()
