"""What is evidence that a lost order is at the broker: rows that match it and are newer than its sending."""

from __future__ import annotations

import pytest
from ib_async import Order, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, MSFT, Make

from .order_helpers import ACCOUNT, Reports, knows_the_others_orders, limit, renumber, say, session_of, wait_until

LARGEST = 2**31 - 1


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    connector = make()
    await connector.connect_async()
    return connector


async def lose(gateway: Gateway, connector: IBConnector, trade_of: Trade | None = None, **fields: object) -> Trade:
    """Send an order that the gateway never reads, and recover from the loss of the session."""
    told = Reports(connector)
    await gateway.fault("mute", "placeOrder")
    trade = trade_of or connector.ib.placeOrder(AAPL, limit(**fields))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder")[-1:])
    await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("clear")
    await gateway.fault("reset")
    await told.next()
    return trade


def unconfirmed(connector: IBConnector) -> list[int]:
    return [order.order_id for order in connector.status.unconfirmed]


async def filled(gateway: Gateway, connector: IBConnector, **fields: object) -> Trade:
    """An order of the program that has ended."""
    trade = connector.ib.placeOrder(AAPL, limit(**fields))
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    gateway.fill(trade.order.orderId, price=1.0)
    await wait_until(connector, lambda: trade.orderStatus.status == "Filled" and trade.fills)
    return trade


async def test_an_earlier_order_with_the_same_reference_is_no_evidence(
    gateway: Gateway, connector: IBConnector
) -> None:
    await filled(gateway, connector, orderRef="mine")
    trade = await lose(gateway, connector, orderRef="mine")
    assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
    assert unconfirmed(connector) == [trade.order.orderId]


async def test_an_order_of_an_earlier_program_with_the_same_reference_is_no_evidence(
    gateway: Gateway, make: Make
) -> None:
    """The order comes as completed, without its order id, and with executions that have the id."""
    first = make()
    await first.connect_async()
    await filled(gateway, first, orderRef="mine")
    await first.disconnect_async()
    connector = make()
    await connector.connect_async()
    trade = await lose(gateway, connector, orderRef="mine")
    assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
    assert unconfirmed(connector) == [trade.order.orderId]


async def test_the_order_ids_of_executions_are_not_used_again(gateway: Gateway, make: Make) -> None:
    first = make()
    await first.connect_async()
    used = (await filled(gateway, first)).order.orderId
    await first.disconnect_async()
    await gateway.fault("roll_back_order_id", 1)
    connector = make()
    await connector.connect_async()
    assert connector.ib.client.getReqId() > used


async def test_an_earlier_order_with_the_same_id_before_a_rollback_is_no_evidence(gateway: Gateway, make: Make) -> None:
    first = make()
    await first.connect_async()
    old = await filled(gateway, first)
    await first.disconnect_async()
    connector = make()
    await connector.connect_async()
    trade = await lose(gateway, connector, orderId=old.order.orderId)
    assert (trade.orderStatus.status, trade.fills, trade.order.permId) == ("PendingSubmit", [], 0)
    assert unconfirmed(connector) == [trade.order.orderId]
    assert connector.ib.trades().count(trade) == 1


async def test_a_completed_order_that_is_new_and_fits_is_evidence(gateway: Gateway, connector: IBConnector) -> None:
    """The order fits by its reference, if no other order has the same reference."""
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(AAPL, limit(orderRef="only one"))
    await gateway.wait_for(lambda gateway: any(each.terms.order_ref == "only one" for each in gateway.orders))
    gateway.on_received("connection", lambda gateway: gateway.cancel_order(trade.order.orderId))
    told = Reports(connector)
    await gateway.fault("reset")
    await told.next()
    assert (trade.orderStatus.status, unconfirmed(connector)) == ("Cancelled", [])


@pytest.mark.parametrize("code", [504, 100, 399, 2100, 2109, 10349, 1100])
async def test_a_code_with_its_id_is_no_evidence(code: int, gateway: Gateway, connector: IBConnector) -> None:
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    session_of(gateway).send_error(trade.order.orderId, code, "what the gateway says")
    await connector.ib.reqCurrentTimeAsync()
    if code == 1100:
        await gateway.fault("1102")
    await lose(gateway, connector, trade_of=trade)
    assert unconfirmed(connector) == [trade.order.orderId]
    assert not trade.isDone()


async def test_a_row_of_another_contract_or_size_is_no_evidence(gateway: Gateway, make: Make) -> None:
    """Another program used the same client id during the outage."""
    connector = make()
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await gateway.fault("clear")
    told = Reports(connector)

    def other(gateway: Gateway) -> None:
        order = gateway.place_order("MSFT", "SELL", 7, limit_price=9000.0, client_id=7)
        assert order.order_id == trade.order.orderId

    gateway.on_received("connection", other)
    await gateway.fault("reset")
    report = await told.next()
    assert unconfirmed(connector) == [trade.order.orderId]
    assert trade.contract.conId == AAPL.conId
    assert (trade.orderStatus.status, trade.order.totalQuantity) == ("PendingSubmit", 100)
    assert [(order.symbol, order.quantity) for order in report.orders_appeared] == [(MSFT.symbol, 7)]


async def test_ids_of_others_and_impossible_ones_do_not_count(
    gateway: Gateway, connector: IBConnector, caplog: pytest.LogCaptureFixture
) -> None:
    before = connector.ib.client._reqIdSeq
    for client_id, order_id in ((0, LARGEST), (99, 5_000_000), (0, -5)):
        order = gateway.place_order("MSFT", "SELL", 7, limit_price=9000.0, account=ACCOUNT)
        renumber(gateway, order, client_id, order_id)
    await connector.ib.reqAllOpenOrdersAsync()
    await connector.ib.reqOpenOrdersAsync()
    assert connector.ib.client._reqIdSeq == before
    say(gateway, 9, 1, 2**40)
    await connector.ib.reqCurrentTimeAsync()
    trade = connector.ib.placeOrder(AAPL, limit())
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    assert trade.order.orderId == before


async def test_manual_executions_do_not_block_orders(gateway: Gateway, connector: IBConnector) -> None:
    """TWS reports executions of manual orders with the largest possible id."""
    contract = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "USD", "AAPL", "NMS")
    execution = ("0000e1a7.1", "20260302 14:30:00 UTC", ACCOUNT, "NASDAQ", "BOT", 5, 190.5, 777, 7, 0, 5, 190.5)
    before = connector.ib.client._reqIdSeq
    newest = [0] if session_of(gateway).server_version >= 178 else []
    say(gateway, 11, -1, LARGEST, *contract, *execution, "", "", "", "", 1, *newest)
    await wait_until(connector, connector.ib.fills)
    assert connector.ib.client._reqIdSeq == before
    trade = connector.ib.placeOrder(AAPL, limit())
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")


async def test_a_fill_of_another_clients_order_with_the_same_reference_is_no_evidence(
    gateway: Gateway, connector: IBConnector, make: Make
) -> None:
    other = make(client_id=8)
    await other.connect_async()
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit(orderRef="rebalance"))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await gateway.fault("clear")
    await filled(gateway, other, orderRef="rebalance")
    told = Reports(connector)
    await gateway.fault("reset")
    await told.next()
    assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
    assert unconfirmed(connector) == [trade.order.orderId]


async def test_an_order_without_a_quantity_is_not_filled_by_nothing(gateway: Gateway, connector: IBConnector) -> None:
    await gateway.fault("mute", "placeOrder")
    order = Order(action="BUY", orderType="MKT", totalQuantity=0, cashQty=1000.0, account=ACCOUNT)
    trade = connector.ib.placeOrder(AAPL, order)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    say(gateway, 3, order.orderId, "PreSubmitted", 0, 0, 0, 99887766, 0, 0, 7, "", 0)
    await wait_until(connector, lambda: trade.orderStatus.status == "PreSubmitted")
    told = Reports(connector)
    await gateway.fault("reset")
    await told.next()
    assert not trade.isDone()


async def test_a_code_does_not_end_an_unconfirmed_order_of_an_earlier_session(
    gateway: Gateway, connector: IBConnector
) -> None:
    trade = await lose(gateway, connector)
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 3)
    await connector.ib.reqCurrentTimeAsync()
    assert not trade.isDone()
    assert unconfirmed(connector) == [trade.order.orderId]


async def test_ids_end_with_the_last_that_there_is(gateway: Gateway, make: Make) -> None:
    await gateway.fault("roll_back_order_id", LARGEST - 60)
    connector = make()
    await connector.connect_async()
    ids = range(connector.ib.client.getReqId() + 1, LARGEST)
    assert [connector.ib.client.getReqId() for _ in ids] == list(ids)
    with pytest.raises(RuntimeError, match="reset the API order ID sequence"):
        connector.ib.client.getReqId()
