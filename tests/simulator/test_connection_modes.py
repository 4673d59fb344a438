"""Faults that change what a new connection meets, and how requests are answered."""

import asyncio

import pytest
from ib_async import IB

from ibkr.simulator import Gateway
from ibkr.wire import Opening, classify_opening

from .order_helpers import order_request, post


class TestGreetings:
    async def first_bytes(self, gateway: Gateway, connect, fault: str) -> bytes:
        await gateway.fault(fault)
        client = await connect(gateway.port)
        client.send_raw(b"API\0\0\0\0\tv100..178")
        return await client.read()

    async def test_silent(self, gateway, connect) -> None:
        await gateway.fault("silent")
        client = await connect(gateway.port)
        client.send_raw(b"API\0\0\0\0\tv100..178")
        assert await client.hears_nothing()
        assert gateway.seen.connects == 1

    async def test_http(self, gateway, connect) -> None:
        await gateway.fault("http")
        client = await connect(gateway.port)
        assert await client.hears_nothing()
        client.send_raw(b"API\0")
        answer = await client.reader.read()
        assert classify_opening(answer) is Opening.HTTP
        head, body = answer.split(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"

    async def test_a_web_server_waits_for_a_request(self, gateway, connect) -> None:
        await gateway.fault("web_server", 100)
        client = await connect(gateway.port)
        client.send_raw(b"API\0\0\0\0\tv100..178")
        assert await client.hears_nothing()
        client.send_raw(b"\r\n\r\n")
        assert (await client.reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        asking = await connect(gateway.port)
        asking.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asking.reader.read()
        assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert classify_opening(answer) is Opening.HTTP

    @pytest.mark.parametrize(("end", "start"), [("400", b"HTTP/1.1 400 Bad Request\r\n"), ("close", b"")])
    async def test_a_web_server_waits_so_long(self, gateway, connect, end: str, start: bytes) -> None:
        await gateway.fault("web_server", 0.05, end)
        client = await connect(gateway.port)
        client.send_raw(b"API\0\0\0\0\tv100..178")
        answer = await asyncio.wait_for(client.reader.read(), 10)
        assert answer[: len(start) or None] == start

    async def test_a_web_server_takes_no_more_than_a_request_may_have(self, gateway, connect) -> None:
        await gateway.fault("web_server", 100, "close")
        client = await connect(gateway.port)
        client.send_raw(b"x" * 9000)
        await client.ended()

    async def test_ssh(self, gateway, connect) -> None:
        await gateway.fault("ssh")
        client = await connect(gateway.port)
        assert classify_opening(await client.read()) is Opening.SSH
        client.send_raw(b"API\0")
        assert await client.ended() == "closed"

    async def test_garbage(self, gateway, connect) -> None:
        await gateway.fault("garbage")
        client = await connect(gateway.port)
        client.send_raw(b"API\0")
        data = await asyncio.wait_for(client.reader.readexactly(1024 * 1024), 10)
        assert data.startswith(b"\x7f\xff\xff\xff")
        assert classify_opening(data) is Opening.UNKNOWN

    async def test_close_on_accept(self, gateway, connect) -> None:
        await gateway.fault("close_on_accept")
        client = await connect(gateway.port)
        assert await client.read() == b""

    async def test_close_after_handshake(self, gateway, connect) -> None:
        await gateway.fault("close_after_handshake")
        client = await connect(gateway.port, 7, welcomed=False)
        assert await client.read() == b""
        assert [session.client_id for session in gateway.seen.sessions] == [7]

    async def test_old_version(self, gateway, connect) -> None:
        await gateway.fault("old_version")
        client = await connect(gateway.port, 7, welcomed=False)
        assert client.version == 100
        assert await client.hears_nothing()

    async def test_connections_that_stand_are_left_alone(self, gateway, connect) -> None:
        client = await connect(gateway.port, 7)
        await gateway.fault("silent")
        await client.caught_up()

    @pytest.mark.parametrize(
        "fault",
        [
            "silent",
            "http",
            "web_server",
            "ssh",
            "garbage",
            "close_on_accept",
            "close_after_handshake",
            "old_version",
            "freeze",
        ],
    )
    async def test_ib_async_does_not_connect(self, gateway, ib: IB, fault: str) -> None:
        await gateway.fault(fault)
        with pytest.raises(TimeoutError):
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=0.2)
        assert gateway.seen.connects == 1


class TestAnswers:
    async def test_read_only_refuses_what_is_about_orders(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("read_only")
        text = "Error validating request.-'bN' : cause - The API interface is currently in Read-Only mode."
        for request in ((5, 1), (99, 0), (16, 1)):
            client.send(*request)
            assert await client.error() == (2147483647, 321, text)
        client.send(3, 41, 265598, "AAPL")
        assert await client.error() == (41, 321, text)
        client.send(4, 1, 42, "")
        assert await client.error() == (42, 321, text)
        client.send(7, 3, 9, 0, "", "", "", "", "", "")
        await client.until(55, "9")

    async def test_read_only_in_the_middle_of_a_session_and_off_again(self, connect) -> None:
        async with Gateway(control_port=0) as gateway:
            client = await connect(gateway.port, 1)
            client.send_raw(order_request(1, lmt_price=100.0))
            await client.until(3, "Submitted")
            await post(gateway, "read_only")
            client.send_raw(order_request(2, lmt_price=100.0))
            client.send_raw(order_request(1, lmt_price=101.0))
            client.send(4, 1, 1, "")
            client.send(58, 1)
            client.send(5, 1)
            assert [(await client.error())[:2] for _ in range(5)] == [
                (2, 321),
                (1, 321),
                (1, 321),
                (2147483647, 321),
                (2147483647, 321),
            ]
            assert [(order.limit_price, order.status) for order in gateway.orders] == [(100.0, "Submitted")]
            await post(gateway, "end_read_only")
            client.send_raw(order_request(1, lmt_price=101.0))
            client.send_raw(order_request(2, lmt_price=102.0))
            client.send(4, 1, 1, "")
            assert (await client.error())[:2] == (1, 202)
            assert [(order.limit_price, order.status) for order in gateway.orders] == [
                (101.0, "Cancelled"),
                (102.0, "Submitted"),
            ]

    async def test_fills_are_reported_in_read_only_mode_too(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        gateway.faults.read_only()
        gateway.fill(1)
        await client.until(59)
        gateway.faults.end_read_only()
        client.send(99, 0)
        assert len(await client.until(102)) == 2

    async def test_read_only_finds_the_id_of_a_cancel_at_any_version(self, connect) -> None:
        async with Gateway(server_version=200) as gateway:
            client = await connect(gateway.port, 1, highest=200)
            await gateway.fault("read_only")
            client.send(4, 42, "", "", "")
            assert (await client.until(4, "321"))[-1][1:3] == ["42", "321"]

    async def test_muted_requests_are_seen_and_not_answered(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("mute", "reqPositions")
        await gateway.fault("mute", "reqMktData")
        client.send(61, 1)
        client.subscribe(5)
        assert await client.hears_nothing()
        assert len(gateway.seen.received("reqPositions")) == 1
        assert gateway.seen.live_subscriptions(1) == {}
        await client.caught_up()

    async def test_muted_start_api(self, gateway, connect) -> None:
        await gateway.fault("mute", "startApi")
        client = await connect(gateway.port, 7, welcomed=False)
        assert await client.hears_nothing()

    async def test_delay_holds_everything_back_in_order(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("delay", 0.1)
        asked = asyncio.get_running_loop().time()
        client.send(61, 1)
        await gateway.wait_for(lambda gateway: gateway.seen.received("reqPositions"))
        await gateway.fault("delay", 0)
        client.send(49, 1)
        order = [line[0] for line in await client.until(49)]
        assert order == ["61", "61", "62", "49"]
        assert asyncio.get_running_loop().time() - asked >= 0.1

    async def test_delay_holds_the_handshake_back_too(self, gateway, connect) -> None:
        await gateway.fault("delay", 0.1)
        started = asyncio.get_running_loop().time()
        client = await connect(gateway.port)
        await client.hello()
        assert asyncio.get_running_loop().time() - started >= 0.1
