"""Orders and changes that were dropped or refused, and what the journal and the next program know of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ib_async import LimitOrder

from ibkr import IBConnector, NotReady
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf
from tests.recovery.order_helpers import SLOW, all_left, dropped, limit, make_wait, resting

Look = Callable[..., list[tuple[object, ...]]]


async def started(make: Make, **options: object) -> IBConnector:
    connector = make(**options)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the journal as a backup does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def left(connector: IBConnector) -> dict[int, bool]:
    return {order.order_id: order.has_left for order in connector.status.unconfirmed}


async def test_a_refused_change_does_not_let_a_waiting_order_pass_the_halt(
    gateway: Gateway, make: Make, path: Path
) -> None:
    connector = await started(make, **SLOW)
    make_wait(connector)
    trade, beside = connector.ib.placeOrder(AAPL, limit()), connector.ib.placeOrder(AAPL, limit())
    with locked(path), pytest.raises(NotReady, match="locked"):
        connector.ib.placeOrder(AAPL, trade.order)
    connector.halt("risk")
    await all_left(connector)
    assert not gateway.seen.received("placeOrder")
    assert left(connector) == {trade.order.orderId: False, beside.order.orderId: False}


async def test_an_order_that_the_journal_refused_is_checked_again(
    gateway: Gateway, make: Make, path: Path, state_of: StateOf
) -> None:
    connector, order = await started(make), limit()
    with locked(path), pytest.raises(NotReady, match="locked"):
        connector.ib.placeOrder(AAPL, order)
    connector.halt("risk")
    with pytest.raises(NotReady):
        connector.ib.client.placeOrder(connector.ib.client.getReqId(), AAPL, order)
    await all_left(connector)
    assert not gateway.seen.received("placeOrder")


@pytest.mark.parametrize("is_old_file", [False, True])
async def test_an_order_that_was_dropped_and_placed_again_may_have_left(
    gateway: Gateway, make: Make, look: Look, is_old_file: bool
) -> None:
    """Earlier versions recorded the second sending of an order as a change."""
    first = await started(make, **SLOW)
    trade = await dropped(first)
    await gateway.fault("mute", "placeOrder")
    first.ib.placeOrder(AAPL, trade.order)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await first.disconnect_async()
    if is_old_file:
        look("UPDATE intents SET kind = 'change' WHERE order_id = ? AND state = 'sent'", trade.order.orderId)
    second = await started(make)
    assert left(second) == {trade.order.orderId: True}


async def test_an_order_that_was_placed_again_and_acknowledged_is_known_to_the_next_program(
    gateway: Gateway, make: Make
) -> None:
    first = await started(make, **SLOW)
    trade = await dropped(first)
    first.ib.placeOrder(AAPL, trade.order)
    await gateway.wait_for(lambda gateway: gateway.orders)
    await all_left(first)
    assert first.status.unconfirmed == ()
    await first.disconnect_async()
    second = await started(make)
    assert second.status.unconfirmed == ()


async def test_a_dropped_change_is_unconfirmed_though_the_order_is_reported(
    gateway: Gateway, make: Make, look: Look
) -> None:
    first = await started(make, **SLOW)
    (trade,) = await resting(first, AAPL)
    make_wait(first)
    trade.order.lmtPrice = 2.0
    first.ib.placeOrder(AAPL, trade.order)
    first.halt("risk")
    await all_left(first)
    await first.ib.reqOpenOrdersAsync()
    first.resume()
    await first.disconnect_async()
    assert look("SELECT state FROM intents WHERE kind = 'change'") == [("not sent",)]
    second = await started(make)
    assert [(order.is_change, order.has_left) for order in second.status.unconfirmed] == [(True, False)]


async def test_an_unconfirmed_order_is_shown_with_the_terms_that_left(gateway: Gateway, make: Make) -> None:
    first = await started(make, order_ack_after=0.0, **SLOW)
    await gateway.fault("mute", "placeOrder")
    trade = first.ib.placeOrder(AAPL, limit())
    make_wait(first)
    trade.order.totalQuantity = 70
    first.ib.placeOrder(AAPL, trade.order)
    first.halt("risk")
    await all_left(first)
    first.resume()
    await first.disconnect_async()
    expected = [(100, False), (70, True)]
    assert [(order.quantity, order.is_change) for order in first.status.unconfirmed] == expected
    second = await started(make)
    assert [(order.quantity, order.is_change) for order in second.status.unconfirmed] == expected


async def test_a_change_that_cannot_be_encoded_is_never_acknowledged(make: Make, look: Look) -> None:
    connector = await started(make)
    (trade,) = await resting(connector, AAPL)
    no_tags: Any = ["bad"]
    trade.order.lmtPrice, trade.order.algoStrategy, trade.order.algoParams = 2.0, "Twap", no_tags
    with pytest.raises(AttributeError):
        connector.ib.placeOrder(AAPL, trade.order)
    assert (trade.order.lmtPrice, trade.order.algoStrategy, trade.order.algoParams) == (1.0, "", [])
    await connector.ib.reqOpenOrdersAsync()
    await connector.disconnect_async()
    assert look("SELECT state FROM intents WHERE kind = 'change'") == [("cleared",)]


async def test_children_of_a_parent_that_the_journal_refused_are_refused(
    gateway: Gateway, make: Make, path: Path, state_of: StateOf
) -> None:
    connector = await started(make)
    parent, profit, stop = connector.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    with locked(path), pytest.raises(NotReady, match="locked"):
        connector.ib.placeOrder(AAPL, parent)
    await state_of(connector, lambda status: status.may_trade)
    for child in (profit, stop):
        with pytest.raises(NotReady, match=f"its parent, order {parent.orderId}, was never sent"):
            connector.ib.placeOrder(AAPL, child)
    for order in (parent, profit, stop):
        connector.ib.placeOrder(AAPL, order)
    await gateway.wait_for(lambda gateway: len([order for order in gateway.orders if order.client_id == 7]) == 3)


async def test_children_of_a_parent_that_a_halt_refused_are_refused(gateway: Gateway, make: Make) -> None:
    connector = await started(make)
    parent, profit, _ = connector.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    connector.halt("risk")
    with pytest.raises(NotReady, match="halted"):
        connector.ib.placeOrder(AAPL, parent)
    connector.resume()
    with pytest.raises(NotReady, match=f"its parent, order {parent.orderId}, was never sent"):
        connector.ib.placeOrder(AAPL, profit)
    assert not gateway.seen.received("placeOrder")


async def test_children_are_added_to_a_live_parent_after_a_refused_change_of_it(gateway: Gateway, make: Make) -> None:
    connector = await started(make)
    (parent,) = await resting(connector, AAPL)
    connector.halt("risk")
    with pytest.raises(NotReady, match="halted"):
        connector.ib.placeOrder(AAPL, parent.order)
    connector.resume()
    connector.ib.placeOrder(AAPL, limit(parentId=parent.order.orderId))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)


async def test_an_order_of_the_clients_own_call_is_changed_by_the_next(
    gateway: Gateway, make: Make, look: Look
) -> None:
    """The library makes no trade for it before the gateway has reported it."""
    connector = await started(make)
    client = connector.ib.client
    order_id = client.getReqId()
    for price in (1.0, 2.0):
        client.placeOrder(order_id, AAPL, LimitOrder("BUY", 100, price))
    await all_left(connector)
    await connector.disconnect_async()
    assert look("SELECT kind, state FROM intents") == [("order", "acknowledged"), ("change", "acknowledged")]
    assert (await started(make)).status.unconfirmed == ()


async def test_the_real_order_after_a_what_if_is_in_the_journal_and_the_what_if_is_not(
    gateway: Gateway, make: Make, look: Look
) -> None:
    first, order = await started(make), limit(whatIf=True)
    first.ib.placeOrder(AAPL, order)
    await first.ib.reqCurrentTimeAsync()
    assert look("SELECT kind FROM intents") == []
    await gateway.fault("mute", "placeOrder")
    order.whatIf = False
    first.ib.placeOrder(AAPL, order)
    assert look("SELECT kind, state FROM intents") == [("order", "sent")]
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)
    await first.disconnect_async()
    assert left(await started(make)) == {order.orderId: True}
