"""Brackets, chains and OCA groups that have to wait are sent together or not at all."""

from __future__ import annotations

import pytest
from ib_async import LimitOrder, Order, StopOrder

from ibkr import IBConnector, NotReady
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf

LIMIT = 20
"""Messages that may be sent in a second."""


@pytest.fixture
async def connector(make: Make, gateway: Gateway) -> IBConnector:
    """A low limit, so that the messages of a group do not all fit into the rest of the second."""
    connector = make(send_limit=LIMIT, send_rate=LIMIT - 8.0)
    await connector.connect_async()
    return connector


def bracket(connector: IBConnector) -> tuple[Order, Order, Order]:
    parent, profit, stop = connector.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    return parent, profit, stop


def fill_up(connector: IBConnector, left: int) -> int:
    """Place orders until only this many more messages may be sent in this second. Returns the number of orders."""
    number = 0
    while internals.messages_in_window(connector) < LIMIT - left:
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
        number += 1
    return number


def unsent(connector: IBConnector) -> set[int]:
    return {order.order_id for order in connector.status.unconfirmed if not order.has_left}


async def test_a_bracket_that_waits_is_dropped_as_a_whole(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    number = fill_up(connector, 0)
    orders = bracket(connector)
    for order in orders:
        connector.ib.placeOrder(AAPL, order)
    await gateway.fault("1100")
    await state_of(connector, lambda _: not internals.rate_limiter(connector).has_waiting_orders)
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("placeOrder")) == number
    assert unsent(connector) == {order.orderId for order in orders}


@pytest.mark.parametrize("group", ["bracket", "oca"])
async def test_it_leaves_when_all_of_it_may(group: str, gateway: Gateway, connector: IBConnector) -> None:
    number = fill_up(connector, 0)
    if group == "bracket":
        orders: tuple[Order, ...] = bracket(connector)
    else:
        orders = tuple(LimitOrder("BUY", 1, 1.0, ocaGroup="one") for _ in range(3))
    for order in orders:
        connector.ib.placeOrder(AAPL, order)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == number + 3)
    times = [request.time for request in gateway.seen.received("placeOrder")][-3:]
    assert times[-1] - times[0] < 0.1
    assert unsent(connector) == set()


async def test_a_group_of_more_than_a_seconds_messages_leaves_all_the_same(
    gateway: Gateway, connector: IBConnector
) -> None:
    number = fill_up(connector, 0)
    for _ in range(LIMIT + 5):
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0, ocaGroup="one"))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == number + LIMIT + 5)


async def test_a_child_of_a_parent_that_never_left_is_refused(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    fill_up(connector, 0)
    parent, profit, _ = bracket(connector)
    connector.ib.placeOrder(AAPL, parent)
    await gateway.fault("1100")
    await state_of(connector, lambda status: bool(unsent(connector)))
    await gateway.fault("1102")
    await state_of(connector, lambda status: status.may_trade)
    with pytest.raises(NotReady, match=f"its parent, order {parent.orderId}, was never sent"):
        connector.ib.placeOrder(AAPL, profit)


async def test_an_untransmitted_order_is_not_unconfirmed_and_with_its_chain_it_is(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("mute", "placeOrder")
    alone = StopOrder("SELL", 1, 0.5, transmit=False)
    connector.ib.placeOrder(AAPL, alone)
    orders = bracket(connector)
    for order in orders[:2]:
        connector.ib.placeOrder(AAPL, order)
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.upstream == "down")
    assert connector.status.unconfirmed == ()
    await gateway.fault("1102")
    await state_of(connector, lambda status: status.may_trade)
    connector.ib.placeOrder(AAPL, orders[2])
    await gateway.fault("reset")
    await state_of(connector, lambda status: bool(status.unconfirmed))
    assert {order.order_id for order in connector.status.unconfirmed} == {order.orderId for order in orders}
