"""Who sees which order, and when: several clients, client 0, the master client, accounts, outages, restarts."""

import asyncio
from collections.abc import Callable

import pytest
from ib_async import IB, ExecutionFilter, LimitOrder, MarketOrder

from ibkr.simulator import Gateway, ThreadedGateway

from .order_helpers import APPLE, TIMEOUT


@pytest.fixture
def two(ib: IB, new_ib: Callable[[], IB]) -> tuple[IB, IB]:
    return ib, new_ib()


async def connected(ib: IB, gateway: Gateway, client_id: int) -> IB:
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=client_id, timeout=TIMEOUT)
    return ib


class TestClients:
    async def test_each_sees_its_own_orders_and_fills(self, gateway: Gateway, two: tuple[IB, IB]) -> None:
        one = await connected(two[0], gateway, 1)
        other = await connected(two[1], gateway, 2)
        one.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        one.placeOrder(APPLE, MarketOrder("BUY", 10))
        await one.reqOpenOrdersAsync()
        assert await other.reqOpenOrdersAsync() == []
        assert await other.reqExecutionsAsync() == []
        assert len(await one.reqExecutionsAsync()) == 1
        (seen,) = await other.reqAllOpenOrdersAsync()
        assert (seen.order.clientId, seen.order.lmtPrice) == (1, 100.0)

    async def test_the_master_hears_of_all_at_once_and_when_it_connects(self, two: tuple[IB, IB]) -> None:
        async with Gateway(master_client_id=9) as gateway:
            gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=1)
            master = await connected(two[0], gateway, 9)
            assert [trade.order.clientId for trade in master.openTrades()] == [1]
            filled = gateway.place_order("MSFT", "BUY", 10, client_id=1)
            await asyncio.wait_for(master.commissionReportEvent, TIMEOUT)
            fills = await master.reqExecutionsAsync()
            assert [fill.execution.permId for fill in fills] == [filled.perm_id]
            mine = await connected(two[1], gateway, 1)
            assert len(await mine.reqExecutionsAsync()) == 1

    async def test_the_master_is_told_what_is_live_before_it_asks(self, connect) -> None:
        async with Gateway(master_client_id=9) as gateway:
            placed = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=1)
            gateway.place_order("AAPL", "BUY", 100, client_id=1)
            client = await connect(gateway.port, 9)
            assert (await client.receive())[:2] == ["5", str(placed.order_id)]
            assert (await client.receive())[:3] == ["3", str(placed.order_id), "Submitted"]
            assert await client.hears_nothing()

    async def test_only_client_0_sees_and_binds_the_orders_of_tws(self, gateway: Gateway, connect) -> None:
        placed = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0)
        assert (placed.client_id, placed.order_id) == (0, 0)
        zero, other = await connect(gateway.port, 0), await connect(gateway.port, 1)
        other.send(5, 1)
        assert (await other.receive())[0] == "53"
        zero.send(5, 1)
        bound, order, status, _ = await zero.until(53)
        assert bound == ["100", str(placed.perm_id), "0", "-1"]
        assert (order[:2], status[:3]) == (["5", "-1"], ["3", "-1", "Submitted"])
        zero.send(4, 1, -1, "")
        await zero.until(4, "202")
        assert gateway.orders[0].status == "Cancelled"

    async def test_client_0_may_have_them_bound_as_they_come(self, gateway: Gateway, connect) -> None:
        zero = await connect(gateway.port, 0)
        zero.send(15, 1, 1)
        await gateway.wait_for(lambda gateway: gateway.seen.received("reqAutoOpenOrders"))
        gateway.place_order("AAPL", "BUY", 100, limit_price=100.0)
        assert (await zero.until(100))[-1][2:] == ["0", "-1"]

    async def test_a_global_cancel_ends_the_orders_of_all(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        for client_id in (0, 1, 2):
            gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=client_id)
        client.send(58, 1)
        await client.until(4, "202")
        assert {order.status for order in gateway.orders} == {"Cancelled"}


class TestHistory:
    async def test_fills_while_nobody_is_there_are_found_over_a_restart(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        trade = ib.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0, orderRef="mine"))
        kept = ib.placeOrder(APPLE, LimitOrder("BUY", 50, 90.0))
        await ib.reqOpenOrdersAsync()
        await gateway.fault("restart", 0)
        gateway.fill(trade.order.orderId)
        await gateway.wait_for(lambda gateway: gateway.is_listening)
        again = IB()
        await connected(again, gateway, 7)
        assert [(order.orderId, order.permId) for order in again.openOrders()] == [
            (kept.order.orderId, kept.order.permId)
        ]
        (fill,) = again.fills()
        assert (fill.execution.permId, fill.execution.orderRef) == (trade.order.permId, "mine")
        assert fill.commissionReport.commission == 1.0
        (ended,) = [item for item in again.trades() if item.order.permId == trade.order.permId]
        assert (ended.orderStatus.status, ended.order.filledQuantity) == ("Filled", 100)
        assert again.client.getReqId() > kept.order.orderId
        assert next(item for item in again.positions() if item.contract.symbol == "AAPL").position == 200
        ended_ = asyncio.get_running_loop().create_future()
        again.client.conn.disconnected.connect(lambda _: ended_.set_result(None))
        again.disconnect()
        await asyncio.wait_for(ended_, TIMEOUT)

    async def test_executions_are_filtered(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        for symbol, action in (("AAPL", "BUY"), ("MSFT", "SELL")):
            gateway.place_order(symbol, action, 10, client_id=7)

        async def symbols(**wanted: object) -> list[str]:
            fills = await ib.reqExecutionsAsync(ExecutionFilter(**wanted))
            return [fill.contract.symbol for fill in fills]

        assert await symbols() == ["AAPL", "MSFT"]
        assert await symbols(symbol="AAPL") == ["AAPL"]
        assert await symbols(side="SELL") == ["MSFT"]
        assert await symbols(clientId=8) == []
        assert await symbols(time="20200101-00:00:00") == ["AAPL", "MSFT"]
        assert await symbols(time="20990101 00:00:00") == []

    async def test_completed_orders_of_the_api_alone(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        gateway.place_order("AAPL", "BUY", 10)
        gateway.place_order("MSFT", "BUY", 10, client_id=3)
        assert [trade.contract.symbol for trade in await ib.reqCompletedOrdersAsync(False)] == ["AAPL", "MSFT"]
        assert [trade.contract.symbol for trade in await ib.reqCompletedOrdersAsync(True)] == ["MSFT"]

    async def test_completed_orders_say_what_was_not_filled_and_when(self, gateway: Gateway, connect) -> None:
        placed = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=5)
        gateway.fill(placed.order_id, 40)
        gateway.cancel_order(placed.order_id)
        for highest, has_zone in ((157, False), (178, True)):
            client = await connect(gateway.port, 5, highest=highest)
            client.send(99, 0)
            line = (await client.receive()) if highest > 165 else (await client.until(101))[-1]
            assert line[:3] == ["101", "265598", "AAPL"]
            assert line[13] == "60"
            (when,) = [text for text in line if len(text) > 16 and text[:8].isdigit() and ":" in text]
            assert when.endswith(" UTC") is has_zone
            await client.close()
            await gateway.wait_for(lambda gateway: gateway.client_ids == [])


class TestUpstreamDown:
    async def test_fills_are_reported_when_it_is_back(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        trade = ib.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        await ib.reqOpenOrdersAsync()
        await gateway.fault("lose_upstream")
        gateway.fill(trade.order.orderId)
        await ib.reqOpenOrdersAsync()
        assert (trade.orderStatus.status, ib.fills()) == ("Submitted", [])
        assert next(item for item in ib.positions() if item.contract.symbol == "AAPL").position == 100
        assert len(gateway.executions) == 1
        await gateway.fault("restore_upstream")
        await ib.reqOpenOrdersAsync()
        assert trade.orderStatus.status == "Filled"
        assert next(item for item in ib.positions() if item.contract.symbol == "AAPL").position == 200

    async def test_what_is_requested_waits(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        old = ib.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        changed = ib.placeOrder(APPLE, LimitOrder("BUY", 100, 99.0))
        await ib.reqOpenOrdersAsync()
        await gateway.fault("lose_upstream")
        new = ib.placeOrder(APPLE, MarketOrder("BUY", 100))
        changed.order.lmtPrice = 98.0
        ib.placeOrder(APPLE, changed.order)
        ib.cancelOrder(old.order)
        await ib.reqOpenOrdersAsync()
        assert (old.orderStatus.status, new.orderStatus.status) == ("PendingCancel", "PendingSubmit")
        assert gateway.orders[1].limit_price == 99.0
        by_hand = [gateway.place_order("MSFT", "BUY", 10).perm_id for _ in range(2)]
        assert len(set(by_hand)) == 2
        with pytest.raises(ValueError, match="cannot be filled"):
            gateway.fill(new.order.orderId)
        await gateway.fault("restore_upstream")
        await ib.reqOpenOrdersAsync()
        assert (old.orderStatus.status, new.orderStatus.status) == ("Cancelled", "Filled")
        assert gateway.orders[1].limit_price == 98.0

    async def test_a_cancel_comes_too_late(self, gateway: Gateway, ib: IB) -> None:
        await connected(ib, gateway, 7)
        trade = ib.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        await ib.reqOpenOrdersAsync()
        await gateway.fault("lose_upstream")
        ib.cancelOrder(trade.order)
        await ib.reqOpenOrdersAsync()
        gateway.fill(trade.order.orderId)
        await gateway.fault("restore_upstream_data_lost")
        await ib.reqOpenOrdersAsync()
        assert trade.orderStatus.status == "Filled"


class TestAccounts:
    async def test_an_order_moves_its_own_account_alone(self, ib: IB) -> None:
        async with Gateway(accounts=("DU1", "DU2")) as gateway:
            await connected(ib, gateway, 7)
            errors: list[int] = []
            ib.errorEvent += lambda req_id, code, *_: errors.append(code) if req_id > 0 else None
            ib.placeOrder(APPLE, MarketOrder("BUY", 100))
            ib.placeOrder(APPLE, MarketOrder("BUY", 100, account="DU2"))
            positions = await ib.reqPositionsAsync()
            held = {(item.account, item.contract.symbol): item.position for item in positions}
            assert errors == [435]
            assert (held["DU1", "AAPL"], held["DU2", "AAPL"]) == (100, 200)
            rows = await ib.accountSummaryAsync()
            cash = {row.account: float(row.value) for row in rows if row.tag == "TotalCashValue"}
            assert cash["DU1"] == 1_000_000 > cash["DU2"]


async def test_read_only_refuses_orders(gateway: Gateway, ib: IB) -> None:
    await gateway.fault("read_only")
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=TIMEOUT, readonly=True)
    trade = ib.placeOrder(APPLE, MarketOrder("BUY", 100))
    await asyncio.wait_for(trade.statusEvent, TIMEOUT)
    assert trade.log[-1].errorCode == 321
    assert gateway.orders == []


def test_orders_from_a_plain_program() -> None:
    with ThreadedGateway() as gateway:
        order = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=5)
        execution = gateway.fill(order.order_id, 40)
        assert (execution.shares, execution.price, execution.side) == (40, 100.0, "BOT")
        gateway.cancel_order("AAPL")
        gateway.place_order("MSFT", "SELL", 10, limit_price=900.0)
        gateway.reject_order("MSFT", "no")
        assert [order.status for order in gateway.orders] == ["Cancelled", "Inactive"]
        assert [item.exec_id for item in gateway.executions] == [execution.exec_id]
        assert {held.symbol: held.quantity for held in gateway.positions} == {"AAPL": 140, "ES": -1}
