"""Errors about an order: no code alone ends a working order, and in doubt the connector asks the broker."""

from __future__ import annotations

import pytest
from ib_async import Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf

from .order_helpers import limit, session_of, wait_until

NOTES = {10349: "TIF was set to DAY based on order preset.", 399: "Order Message:\nWarning: held", 2109: "Outside RTH"}
REFUSED_CHANGES = (201, 105, 110, 321, 329, 434, 461)
REFUSED_CANCELS = (135, 136, 161, 10147, 10148)
NO_WORD_OF_IT = (100, 504, 2100, 10197, 1102)


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    connector = make(request_timeout=1)
    await connector.connect_async()
    return connector


def told(connector: IBConnector, code: int) -> list[int]:
    """The ids for which an error with this code comes, from now on."""
    ids: list[int] = []
    connector.ib.errorEvent.connect(
        lambda req_id, each, *_: ids.append(req_id) if each == code else None, keep_ref=True
    )
    return ids


async def looked_up(gateway: Gateway, connector: IBConnector, times: int) -> None:
    """Wait until the order was requested this many times since start-up."""
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 1 + times)
    await connector.ib.reqCurrentTimeAsync()


@pytest.mark.parametrize("code", NOTES)
async def test_a_note_does_not_end_a_working_order(
    code: int, gateway: Gateway, connector: IBConnector, trade: Trade
) -> None:
    ended: list[Trade] = []
    trade.cancelledEvent += ended.append
    ids = told(connector, code)
    session_of(gateway).send_error(trade.order.orderId, code, NOTES[code])
    await wait_until(connector, lambda: ids)
    assert (trade.orderStatus.status, ended, connector.ib.openTrades()) == ("Submitted", [], [trade])
    assert (trade.log[-1].errorCode, trade.log[-1].status) == (code, "Submitted")
    gateway.fill(trade.order.orderId, price=1.0)
    await wait_until(connector, lambda: trade.orderStatus.status == "Filled")
    assert len(gateway.seen.received("reqOpenOrders")) == 1, "a note is no reason to ask"


@pytest.mark.parametrize("code", NOTES)
async def test_a_note_does_not_end_a_new_order(code: int, gateway: Gateway, connector: IBConnector) -> None:
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    ids = told(connector, code)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    session_of(gateway).send_error(trade.order.orderId, code, NOTES[code])
    await wait_until(connector, lambda: ids)
    assert trade.orderStatus.status == "PendingSubmit"
    assert connector.ib.openTrades() == [trade]


@pytest.mark.parametrize("code", REFUSED_CHANGES + REFUSED_CANCELS + NO_WORD_OF_IT)
async def test_no_code_ends_a_working_order(code: int, gateway: Gateway, connector: IBConnector, trade: Trade) -> None:
    ids = told(connector, code)
    session_of(gateway).send_error(trade.order.orderId, code, "what the gateway says")
    await wait_until(connector, lambda: ids)
    assert not trade.isDone()
    if code not in NO_WORD_OF_IT or code in (100, 504):
        await looked_up(gateway, connector, 1)
    await connector.wait_ready_async(5)
    assert (trade.orderStatus.status, connector.status.unconfirmed) == ("Submitted", ())
    assert connector.status.may_trade


async def test_a_refused_change_leaves_the_order_on_the_brokers_terms(
    gateway: Gateway, connector: IBConnector, trade: Trade
) -> None:
    await gateway.fault("mute", "placeOrder")
    trade.order.totalQuantity = 700
    connector.ib.placeOrder(AAPL, trade.order)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected - reason:too many")
    await wait_until(connector, lambda: trade.order.totalQuantity == 100)
    assert (trade.orderStatus.status, connector.ib.openTrades()) == ("Submitted", [trade])


async def test_a_refused_cancel_of_a_filled_order_tells_of_the_fill(
    gateway: Gateway, connector: IBConnector, trade: Trade
) -> None:
    fills: list[float] = []
    connector.ib.execDetailsEvent.connect(lambda trade, fill: fills.append(fill.execution.shares), keep_ref=True)
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("clear")
    connector.ib.cancelOrder(trade.order)
    session_of(gateway).send_error(trade.order.orderId, 10148, "cannot be cancelled, state: Filled.")
    await wait_until(connector, lambda: trade.isDone())
    assert (trade.orderStatus.status, trade.filled(), fills) == ("Filled", 100, [100])


async def test_an_order_that_the_broker_does_not_tell_of_any_more_is_unconfirmed_until_it_does(
    gateway: Gateway, connector: IBConnector, trade: Trade, state_of: StateOf
) -> None:
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected")
    status = await state_of(connector, lambda status: bool(status.unconfirmed))
    assert [(order.order_id, order.has_left) for order in status.unconfirmed] == [(trade.order.orderId, True)]
    assert "may be at the broker" in status.reason
    assert not trade.isDone()
    assert len(gateway.seen.received("reqOpenOrders")) == 3, "on its way from list to list it may be in neither"
    await gateway.fault("clear")
    await connector.ib.reqOpenOrdersAsync()
    assert connector.status.unconfirmed == ()


async def test_a_rejected_new_order_is_ended_and_is_no_unconfirmed_one(
    gateway: Gateway, connector: IBConnector
) -> None:
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected - reason:no money")
    await wait_until(connector, lambda: trade.isDone())
    assert (trade.orderStatus.status, trade.log[-1].errorCode) == ("Cancelled", 201)
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await connector.wait_ready_async(5)
    assert connector.status.unconfirmed == ()


async def test_it_is_asked_at_most_once_a_second(gateway: Gateway, connector: IBConnector, trade: Trade) -> None:
    for _ in range(5):
        session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected")
    await looked_up(gateway, connector, 1)
    session_of(gateway).send_error(trade.order.orderId, 201, "Order rejected")
    await looked_up(gateway, connector, 2)
    times = [request.time for request in gateway.seen.received("reqOpenOrders")]
    assert times[2] - times[1] >= 0.99


async def test_a_code_of_unknown_meaning_is_a_reason_to_look(gateway: Gateway, connector: IBConnector) -> None:
    """The code is 10052. Other sources call it harmless, but the simulator refuses an order with this code."""
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    session_of(gateway).send_error(trade.order.orderId, 10052, "Invalid time in force")
    await looked_up(gateway, connector, 1)
    assert not trade.isDone()
