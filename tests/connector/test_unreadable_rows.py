"""Rows that cannot be decoded: the answer is treated as missing, not as complete."""

from __future__ import annotations

import pytest
from ib_async import LimitOrder, Trade

from ibkr import ConnectionState, GapReport, IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Back, Make, Spoil, StateOf

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED
ROWS = ("open orders", "executions", "positions", "completed orders")


async def with_order(gateway: Gateway, make: Make) -> tuple[IBConnector, Trade]:
    """A connected program with one order that rests at the gateway."""
    connector = make()
    await connector.connect_async()
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await connector.ib.reqCurrentTimeAsync()
    return connector, trade


@pytest.mark.parametrize("name", ROWS)
async def test_in_start_up_the_answer_is_missing_until_it_can_be_read(
    name: str, gateway: Gateway, make: Make, spoil: Spoil, state_of: StateOf
) -> None:
    first = make(client_id=7, missing_every=0.3)
    await first.connect_async()
    order = first.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    done = first.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: len(gateway.orders) >= 2)
    gateway.fill(done.order.orderId, price=1.0)
    reports: list[GapReport] = []
    first.on_gap(reports.append)
    spoil(name)
    await gateway.fault("reset")
    status = await state_of(first, lambda status: status.outages == 1 and status.is_connected)
    assert status.state is DEGRADED
    assert f"could not be decoded, the log has the rows: {name}" in status.reason
    assert status.may_trade is (name == "completed orders")
    if reports:
        assert not reports[0].complete
    spoil("")
    status = await state_of(first, lambda status: status.state is READY)
    assert status.may_trade
    assert order.orderStatus.status == "Submitted"


async def test_a_live_row_takes_the_permission_away_until_it_is_reported_again(
    gateway: Gateway, make: Make, spoil: Spoil, state_of: StateOf
) -> None:
    connector, trade = await with_order(gateway, make)
    spoil("executions")
    gateway.fill(trade.order.orderId, price=1.0)
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert (status.may_trade, "executions" in status.may_trade_reason) == (False, True)
    spoil("")
    await state_of(connector, lambda status: status.state is READY and status.may_trade)
    assert [fill.execution.shares for fill in trade.fills] == [10]


async def test_an_answer_whose_end_is_late_keeps_its_mark(
    gateway: Gateway, make: Make, spoil: Spoil, state_of: StateOf
) -> None:
    first = make()
    await first.connect_async()
    first.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await first.disconnect_async()
    await gateway.fault("delay_message", "openOrderEnd", 0.5, 1)
    spoil("open orders")
    connector = make(request_timeout=0.2)
    await connector.connect_async()
    await connector.ib.reqCurrentTimeAsync()
    await state_of(connector, lambda status: "could not be decoded" in status.reason)
    assert not connector.may_trade


async def test_others_rows_are_no_reason(gateway: Gateway, make: Make, spoil: Spoil, back: Back) -> None:
    connector = make()
    await connector.connect_async()
    spoil("completed orders")
    await gateway.fault("reset")
    assert (await back(connector)).may_trade, "there is no row to be read"
