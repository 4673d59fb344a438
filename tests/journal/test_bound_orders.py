"""What the journal and the next program know of changes and cancels of orders that client 0 has taken over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ib_async import Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import Make
from tests.recovery.order_helpers import SLOW, all_left, make_wait, wait_until

Look = Callable[..., list[tuple[Any, ...]]]
INTENTS = "SELECT kind, state, order_id FROM intents WHERE order_id <= 0 ORDER BY number"


@pytest.fixture
async def zero(gateway: Gateway, make: Make) -> IBConnector:
    gateway.place_order("AAPL", "BUY", 100, limit_price=1.0)
    connector = make(0, **SLOW)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector


@pytest.fixture
async def trade(zero: IBConnector) -> Trade:
    (trade,) = (each for each in zero.ib.openTrades() if each.order.orderId == -1)
    return trade


async def test_its_changes_and_cancels_are_recorded_as_such(zero: IBConnector, trade: Trade, look: Look) -> None:
    trade.order.lmtPrice = 2.0
    zero.ib.placeOrder(trade.contract, trade.order)
    await wait_until(zero, lambda: trade.log[-1].message == "Modified")
    zero.ib.cancelOrder(trade.order)
    await wait_until(zero, trade.isDone)
    await zero.disconnect_async()
    assert [(kind, order_id) for kind, _, order_id in look(INTENTS)] == [("change", -1), ("cancel", -1)]
    assert look(INTENTS)[0][1] == "acknowledged"


async def test_the_next_program_knows_a_change_that_never_left(
    zero: IBConnector, trade: Trade, make: Make, look: Look
) -> None:
    make_wait(zero)
    trade.order.lmtPrice = 2.0
    zero.ib.placeOrder(trade.contract, trade.order)
    zero.halt("meanwhile")
    await all_left(zero)
    zero.resume()
    await zero.disconnect_async()
    second = make(0)
    await second.connect_async()
    await second.wait_ready_async(5)
    assert [(each.order_id, each.has_left, each.is_change) for each in second.status.unconfirmed] == [(-1, False, True)]
    (found,) = (each for each in second.ib.openTrades() if each.order.orderId == -1)
    found.order.lmtPrice = 3.0
    second.ib.placeOrder(found.contract, found.order)
    await wait_until(second, lambda: found.log and found.log[-1].message == "Modified")
    assert second.status.unconfirmed == ()
