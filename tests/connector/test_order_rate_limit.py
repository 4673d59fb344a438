"""Orders and cancels pass other waiting requests, and a waiting order is sent only while orders are allowed."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import LimitOrder, Trade

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import Gateway, ThreadedGateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf

from .test_rate_limit import most_in_a_second


def place(connector: IBConnector, number: int) -> list[Trade]:
    return [connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1 + each, 1.0)) for each in range(number)]


def left(connector: IBConnector) -> dict[int, bool]:
    """The unconfirmed orders by id, and whether each was sent."""
    return {order.order_id: order.has_left for order in connector.status.unconfirmed}


async def test_right_after_connect_all_leave_at_once(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    before = connector.stats.messages_out
    trades = place(connector, 20)
    for trade in trades[:12]:
        connector.ib.cancelOrder(trade.order)
    assert connector.stats.messages_out - before == 32, "without a turn of the loop"
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("cancelOrder")) == 12)
    assert len(gateway.seen.received("placeOrder")) == 20


async def test_they_pass_other_requests_that_wait_and_these_make_room(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    for _ in range(60):
        connector.ib.client.reqMarketDataType(1)
    place(connector, 20)
    assert not internals.rate_limiter(connector).has_waiting_orders
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 20)
    assert len(gateway.seen.received("reqMarketDataType")) <= 10
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 60)
    assert most_in_a_second(gateway) <= 50


async def test_no_second_has_more_than_the_gateway_takes(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    times: list[float] = []
    conn = connector.ib.client.conn
    write = conn.sendMsg
    conn.sendMsg = lambda message: (times.append(asyncio.get_running_loop().time()), write(message))
    place(connector, 120)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 120)
    assert len(times) >= 120
    assert max(sum(first <= at < first + 1 for at in times) for first in times) <= 50
    assert left(connector) == {}


async def test_after_a_1100_no_order_leaves_that_waited(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make()
    await connector.connect_async()
    trades = place(connector, 200)
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    await connector.ib.reqCurrentTimeAsync()  # everything that was sent before has arrived
    arrived = len(gateway.seen.received("placeOrder"))
    await state_of(connector, lambda _: not internals.rate_limiter(connector).has_waiting_orders)
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("placeOrder")) == arrived < 100
    reported = left(connector)
    assert set(reported.values()) == {False}
    assert len(reported) == 200 - arrived
    assert {trade.order.orderId for trade in trades[-10:]} <= reported.keys()
    assert connector.status.state is ConnectionState.DEGRADED
    await gateway.fault("1102")
    status = await connector.wait_ready_async(5)
    assert "orders not sent" in status.reason
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("placeOrder")) == arrived, "nor later"


async def test_waiting_orders_are_not_sent_in_a_suspect_session_but_cancels_are(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    probes = {"probe_after": 0.1, "suspect_after": 0.1, "probe_timeout": 30.0}
    connector = make(send_limit=30, send_rate=20, send_burst=10, order_ack_after=0.0, **probes)
    await connector.connect_async()
    resting = place(connector, 5)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 5)
    await gateway.fault("freeze")
    place(connector, 60)
    for trade in resting:
        connector.ib.cancelOrder(trade.order)
    await state_of(connector, lambda status: status.session == "suspect")
    await state_of(connector, lambda _: not internals.rate_limiter(connector).has_waiting_orders)
    reported = left(connector)
    assert set(reported.values()) == {False}
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("cancelOrder")) == 5)
    assert len(gateway.seen.received("placeOrder")) == 65 - len(reported)


async def test_a_change_that_may_not_leave_any_more_is_reported_as_one(gateway: Gateway, make: Make) -> None:
    connector = make(send_limit=20, send_rate=10, send_burst=10)
    await connector.connect_async()
    (trade,) = place(connector, 1)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await connector.ib.reqCurrentTimeAsync()
    place(connector, 20)
    trade.order.lmtPrice = 2.0
    connector.ib.placeOrder(AAPL, trade.order)
    await gateway.fault("1100")
    async with asyncio.timeout(5):
        async for status in connector.changes():
            if trade.order.orderId in {order.order_id for order in status.unconfirmed}:
                break
    (change,) = [order for order in status.unconfirmed if order.order_id == trade.order.orderId]
    assert (change.is_change, change.has_left) == (True, False)
    assert "a change to BUY 1 AAPL LMT, which was never sent" in str(change)
    connector.clear_unconfirmed(trade.order.orderId)
    assert trade.order.orderId not in left(connector)


@pytest.mark.parametrize("end", ["reset", "stop"])
async def test_what_waits_at_the_end_of_a_session_is_reported(
    end: str, gateway: Gateway, make: Make, state_of: StateOf, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    trades = place(connector, 100)
    connector.ib.cancelOrder(trades[0].order)
    await (gateway.fault("reset") if end == "reset" else gateway.stop())
    await state_of(connector, lambda status: status.state is not ConnectionState.READY and bool(status.unconfirmed))
    reported = left(connector)
    assert reported[trades[-1].order.orderId] is False
    arrived = {int(request.fields[1]) for request in gateway.seen.received("placeOrder")}
    assert not arrived & {order_id for order_id, has_left in reported.items() if not has_left}
    assert f"The cancel of order {trades[0].order.orderId} was not sent" in caplog.text


async def test_cancelling_the_programs_tasks_does_not_end_the_connection(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    (trade,) = place(connector, 1)
    for task in asyncio.all_tasks():
        if task.get_name() == "ibkr-orders":
            task.cancel()
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    assert connector.is_connected()
    connector.ib.cancelOrder(trade.order)
    await gateway.wait_for(lambda gateway: gateway.seen.received("cancelOrder"))


def test_an_emergency_run_inside_an_except_block_is_a_normal_one() -> None:
    with ThreadedGateway(id_hold=0) as gateway:

        async def flatten() -> None:
            connector = IBConnector("127.0.0.1", gateway.port, 7)
            await connector.connect_async()
            place(connector, 80)

        try:
            raise ValueError("the strategy failed")
        except ValueError:
            asyncio.run(flatten())
        gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 80)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_loop_that_is_closed_under_waiting_orders_tells_of_them() -> None:
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector("127.0.0.1", gateway.port, 7)

        async def main() -> None:
            await connector.connect_async()
            place(connector, 300)  # a busy machine can lose seconds here: place more orders than it could send in them

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        assert connector.status.state is ConnectionState.FAILED
        reported = left(connector)
        never_left = {order_id for order_id, has_left in reported.items() if not has_left}
        gateway.wait_for(lambda gateway: not gateway.client_ids)
        received = {int(request.fields[1]) for request in gateway.seen.received("placeOrder")}
        assert never_left
        assert not received & never_left
        connector.clear_unconfirmed()
        assert left(connector) == {}


async def test_after_too_many_messages_cancels_are_slower_but_not_for_long(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    for _ in range(8):
        await gateway.fault("warn_of_pace")
    await connector.ib.reqCurrentTimeAsync()
    place(connector, 20)
    connector.ib.reqGlobalCancel()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"), 3)
