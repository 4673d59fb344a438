"""Resting orders, and helpers that wait for messages about them and about gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ib_async import Contract, LimitOrder, Trade

from ibkr import GapReport, IBConnector
from ibkr.simulator import Gateway, Order
from tests import internals
from tests.fixture_types import AAPL

ACCOUNT = "DU1234567"


def limit(quantity: float = 100, **fields: Any) -> LimitOrder:
    """A limit order far away from the market."""
    return LimitOrder("BUY", quantity, 1.0, account=ACCOUNT, **fields)


async def wait_until(connector: IBConnector, holds: Callable[[], object]) -> None:
    """Wait until the library knows it: ``await wait_until(connector, lambda: trade.fills)``."""
    async with asyncio.timeout(5):
        while not holds():
            await connector.ib.updateEvent


async def resting(connector: IBConnector, *contracts: Contract) -> list[Trade]:
    """Place orders that the gateway acknowledges."""
    trades = [connector.ib.placeOrder(contract, limit()) for contract in contracts]
    await wait_until(connector, lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))
    return trades


async def knows_the_others_orders(gateway: Gateway, connector: IBConnector) -> None:
    """Wait for the orders of other clients, which the connector requests after start-up."""
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqAllOpenOrders"))
    await connector.ib.reqCurrentTimeAsync()


class Reports:
    """The gap reports of a connector, from now on."""

    def __init__(self, connector: IBConnector) -> None:
        self._told: asyncio.Queue[GapReport] = asyncio.Queue()
        connector.on_gap(self._told.put_nowait)

    async def next(self) -> GapReport:
        async with asyncio.timeout(10):
            return await self._told.get()

    @property
    def are_none(self) -> bool:
        """Whether all reports were read."""
        return self._told.empty()


def session_of(gateway: Gateway, client_id: int = 7) -> Any:
    """The gateway's side of a session, to send unsolicited messages: ``session.send_error(5, 399, "held")``."""
    return gateway._state.sessions[client_id]


def say(gateway: Gateway, *fields: object, client_id: int = 7) -> None:
    """Make the gateway send a message of these fields."""
    session_of(gateway, client_id).send("".join(f"{field}\0" for field in fields).encode())


def renumber(gateway: Gateway, order: Order, client_id: int, order_id: int) -> None:
    """Give an order at the broker other ids, as TWS reports manual orders."""
    orders = gateway._state.order_handler.engine.orders
    orders[order.perm_id] = replace(orders[order.perm_id], client_id=client_id, order_id=order_id)


SEND_LIMIT = 20
SLOW: dict[str, Any] = {"send_limit": SEND_LIMIT, "send_rate": 10.0, "send_burst": 10}
"""A policy with which ``make_wait`` needs few messages."""


def make_wait(connector: IBConnector) -> None:
    """Send more cancels than the rate limit allows, so that the next order has to wait."""
    for number in range(SEND_LIMIT + 5):
        connector.ib.client.cancelOrder(99_000 + number)


async def all_left(connector: IBConnector) -> None:
    """Wait until no order waits, and the gateway has read everything that was sent."""
    await internals.rate_limiter(connector).wait_orders_sent()
    await connector.ib.reqCurrentTimeAsync()


async def dropped(connector: IBConnector, **fields: Any) -> Trade:
    """Place an order that must wait and is dropped because of a halt. Then end the halt."""
    make_wait(connector)
    trade = connector.ib.placeOrder(AAPL, limit(**fields))
    connector.halt("meanwhile")
    await all_left(connector)
    connector.resume()
    assert [(order.order_id, order.has_left) for order in connector.status.unconfirmed] == [
        (trade.order.orderId, False)
    ]
    return trade
