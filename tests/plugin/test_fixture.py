"""The fixture itself: this test suite also uses the plugin, as a user does."""

from __future__ import annotations

import asyncio
import socket

import pytest
from ib_async import IB, Stock

from ibkr.simulator import FAULTS
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@pytest.fixture
def raw(ib_gateway):
    """A session of a client that uses no library. Gives the socket."""
    with socket.create_connection(("127.0.0.1", ib_gateway.port), 2) as client:
        client.sendall(hello_bytes(ClientHello(100, 157)) + frame(encode_fields(71, 2, 7, "")))
        ib_gateway.wait_for(lambda gateway: gateway.client_ids == [7])
        yield client


class TestWithoutAnEventLoop:
    def test_what_was_received(self, ib_gateway, raw) -> None:
        raw.sendall(frame(encode_fields(62, 1, 10, "All", "NetLiquidation")))
        (request,) = ib_gateway.assert_received("reqAccountSummary", "All", 10, times=1)
        assert (request.client_id, request.fields) == (7, ("62", "1", "10", "All", "NetLiquidation"))
        assert ib_gateway.received("reqAccountSummary", 10.0) == [request]
        assert ib_gateway.received("reqAccountSummary", "Some") == []
        ib_gateway.assert_not_received("reqAccountSummary", True, "Some")
        ib_gateway.assert_not_received("reqPositions")

    def test_what_is_wrong_is_reported(self, ib_gateway, raw) -> None:
        raw.sendall(frame(encode_fields(61, 1)))
        ib_gateway.assert_received("reqPositions")
        with pytest.raises(AssertionError, match="reqPositions was received 1 times, not 2; received: 1"):
            ib_gateway.assert_received("reqPositions", times=2, timeout=0.01)
        with pytest.raises(AssertionError, match=r"reqPositions 5 was not received within 0\.01 s; received: 1"):
            ib_gateway.assert_received("reqPositions", 5, timeout=0.01)
        with pytest.raises(AssertionError, match="reqPositions was received: 1"):
            ib_gateway.assert_not_received("reqPositions")
        with pytest.raises(ValueError, match="no request 'placeOrders'; perhaps: placeOrder"):
            ib_gateway.assert_received("placeOrders")
        with pytest.raises(AssertionError, match="nobody is subscribed to IBM; subscriptions: none"):
            ib_gateway.assert_subscribed("IBM", timeout=0.01)

    def test_it_waits_no_longer_than_it_must(self, ib_gateway, raw, stopwatch) -> None:
        elapsed = stopwatch()
        ib_gateway.on_received("reqPositions", lambda gateway: gateway.faults.reset())
        raw.sendall(frame(encode_fields(61, 1)))
        ib_gateway.assert_received("reqPositions", timeout=60)
        ib_gateway.wait_for(lambda gateway: gateway.client_ids == [], 60)
        assert elapsed() < 5

    def test_every_fault_is_a_method(self, ib_gateway, raw) -> None:
        assert set(FAULTS) <= set(dir(ib_gateway.faults))
        ib_gateway.faults.mute("reqPositions")
        ib_gateway.faults.lose_upstream(repeats=2, interval=100)
        ib_gateway.faults.slow(bytes_per_second=10)
        ib_gateway.faults.reset()
        assert ib_gateway.client_ids == []
        assert list(ib_gateway.seen.faults) == ["mute", "lose_upstream", "slow", "reset"]
        with pytest.raises(AttributeError, match="no fault 'frezee'; perhaps: freeze"):
            ib_gateway.faults.frezee()
        with pytest.raises(ValueError, match="seconds from 0 are needed"):
            ib_gateway.faults.restart(-1)

    def test_a_fill_is_the_gateway_s(self, ib_gateway, raw) -> None:
        order = ib_gateway.place_order("AAPL", "BUY", 10, limit_price=1.0, client_id=7)
        execution = ib_gateway.fill(order.order_id, 4, price=0.5)
        assert (execution.shares, execution.price) == (4, 0.5)
        assert [item.shares for item in ib_gateway.call(lambda gateway: gateway.executions)] == [4]


class TestInACoroutine:
    async def test_a_client_in_the_test_s_own_loop(self, ib_gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", ib_gateway.port, clientId=5, timeout=10)
        ib_gateway.assert_received("reqPositions", times=1)
        ib.reqMktData(AAPL)
        ib_gateway.assert_subscribed("AAPL", client_id=5)
        with pytest.raises(AssertionError, match="subscriptions: none"):
            ib_gateway.assert_subscribed("AAPL", client_id=6, timeout=0.01)
        ib.cancelMktData(AAPL)
        ib_gateway.assert_not_subscribed("AAPL")

    async def test_a_wait_leaves_the_loop_running(self, ib_gateway, ib: IB) -> None:
        connecting = asyncio.ensure_future(ib.connectAsync("127.0.0.1", ib_gateway.port, clientId=5, timeout=10))
        await ib_gateway.wait_for_async(lambda gateway: gateway.client_ids == [5])
        await connecting
        with pytest.raises(TimeoutError, match=r"not true after 0.01 s; seen: 1 connects"):
            await ib_gateway.wait_for_async(lambda _: False, 0.01)
