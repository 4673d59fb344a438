"""Gaps and the orders of other clients: none is wrongly called new or vanished."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import Make

from .order_helpers import ACCOUNT, Reports, knows_the_others_orders


async def test_what_another_client_did_is_found_in_orders_and_positions(gateway: Gateway, make: Make) -> None:
    """Executions are sent to their own client only, so the position change is unexplained."""
    open_before = gateway.place_order("AAPL", "BUY", 5, limit_price=1.0, client_id=8, account=ACCOUNT)
    connector = make()
    told = Reports(connector)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)

    def meanwhile(gateway: Gateway) -> None:
        gateway.fill(open_before.order_id, price=1.0)
        gateway.fill(gateway.place_order("AAPL", "BUY", 7, limit_price=1.0, client_id=8, account=ACCOUNT).order_id)

    gateway.on_received("connection", meanwhile)
    await gateway.fault("reset")
    report = await told.next()
    assert [(each.before.perm_id, each.after.status) for each in report.orders_changed] == [
        (open_before.perm_id, "Filled")
    ]
    assert [(order.quantity, order.status) for order in report.orders_appeared] == [(7, "Filled")]
    (position,) = report.positions
    assert (position.after - position.before, position.executed, position.is_explained) == (12, 0, False)
    assert report.needs_a_look


async def test_orders_of_others_that_were_not_requested_before_the_loss_are_not_called_new(
    gateway: Gateway, make: Make
) -> None:
    gateway.place_order("AAPL", "BUY", 5, limit_price=1.0, client_id=8, account=ACCOUNT)

    def lose(gateway: Gateway) -> None:
        gateway.faults.call("reset")
        gateway.fill(gateway.place_order("MSFT", "BUY", 7, limit_price=1.0, client_id=8, account=ACCOUNT).order_id)

    gateway.on_received("reqAllOpenOrders", lose)
    connector = make()
    told = Reports(connector)
    await connector.connect_async()
    report = await told.next()
    assert [(order.symbol, order.status) for order in report.orders_appeared] == [("MSFT", "Filled")]
    assert "1 order of other clients that may have existed before: BUY 5 AAPL" in report.incomplete[0]
    await gateway.fault("reset")
    assert (await told.next()).orders_appeared == (), "they are known by now"


async def test_orders_of_others_that_are_not_told_after_an_outage_have_not_vanished(
    gateway: Gateway, make: Make
) -> None:
    gateway.place_order("AAPL", "BUY", 5, limit_price=1.0, client_id=8, account=ACCOUNT)
    connector = make(request_timeout=0.2)
    told = Reports(connector)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    await gateway.fault("mute", "reqAllOpenOrders")
    await gateway.fault("reset")
    report = await told.next()
    assert (report.orders_vanished, report.orders_changed) == ((), ())
    assert "no answer to the request for orders of other clients" in report.incomplete[0]


async def test_who_asks_for_the_orders_of_others_while_our_asking_is_on_its_way_gets_them(
    gateway: Gateway, make: Make
) -> None:
    stands = gateway.place_order("AAPL", "BUY", 5, limit_price=1.0, client_id=8, account=ACCOUNT)
    connector = make()
    asked: asyncio.Future[asyncio.Future[list[Trade]]] = asyncio.get_running_loop().create_future()
    gateway.on_received(
        "reqAllOpenOrders", lambda _: asked.set_result(asyncio.ensure_future(connector.ib.reqAllOpenOrdersAsync()))
    )
    await connector.connect_async()
    async with asyncio.timeout(10):
        trades = await (await asked)
    assert [trade.order.permId for trade in trades] == [stands.perm_id]


@pytest.mark.parametrize("client_id", [0, 9], ids=["client 0", "the master"])
async def test_who_sees_the_orders_of_others_anyway_goes_on_doing_so(client_id: int) -> None:
    async with Gateway(id_hold=0, master_client_id=9) as gateway:
        connector = IBConnector("127.0.0.1", gateway.port, client_id)
        told = Reports(connector)
        async with connector:
            by = client_id and 8
            before = gateway.place_order("AAPL", "BUY", 5, limit_price=1.0, client_id=by)
            async with asyncio.timeout(5):
                while before.perm_id not in [trade.order.permId for trade in connector.ib.openTrades()]:
                    await connector.ib.reqOpenOrdersAsync()
            (trade,) = connector.ib.openTrades()
            await knows_the_others_orders(gateway, connector)

            def meanwhile(gateway: Gateway) -> None:
                gateway.fill("AAPL", 2, 1.0)
                gateway.place_order("MSFT", "BUY", 7, limit_price=1.0, client_id=by)

            gateway.on_received("connection", meanwhile)
            await gateway.fault("reset")
            report = await told.next()
            assert [order.symbol for order in report.orders_appeared] == ["MSFT"]
            assert [each.shares for each in report.executions] == [2]
            assert [each.execution.shares for each in trade.fills] == [2]
            assert sorted(each.contract.symbol for each in connector.ib.openTrades()) == ["AAPL", "MSFT"]
            assert any(each is trade for each in connector.ib.openTrades())


async def test_upstream_that_flaps_while_the_orders_of_others_are_awaited_does_not_hold_up_start_up(
    gateway: Gateway, make: Make
) -> None:
    """Both requests for open orders share one key of the library: the end of one answer must not end the other."""

    def flap(gateway: Gateway) -> None:
        gateway.faults.call("1100")
        gateway.faults.call("1101")
        gateway.faults.call("1102")

    connector = make()
    gateway.on_received("reqAllOpenOrders", flap)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    await connector.wait_ready_async(3)
    assert connector.status.may_trade
