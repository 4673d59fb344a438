"""Orders in contracts without contract id: the gateway reports them with an id and a local symbol of its own."""

from __future__ import annotations

import pytest
from ib_async import Bond, Contract, Forex, Future, FuturesOption, Stock, Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from ibkr.simulator.market.instrument_loader import load_instruments
from tests.fixture_types import Make

from .order_helpers import Reports, limit, wait_until

EURO = Future("EUR", "202712", "CME")
"""Its local symbol is 6EZ7."""
OPTION = next(each for each in load_instruments().find({"symbol": "GBL", "sec_type": "FOP", "con_id": ""}))
CONTRACTS = {
    "6EZ7": EURO,
    "VXZ7": Future("VIX", "202712", "CFE"),
    "FGBL DEC 27": Future("GBL", "202712", "EUREX"),
    OPTION.local_symbol: FuturesOption(
        "GBL", OPTION.last_trade_date, OPTION.strike, OPTION.right, "EUREX", OPTION.multiplier, "EUR"
    ),
    "IBCID15960357": Bond(symbol="IBM", exchange="SMART", currency="USD"),
    "EUR.USD": Forex("EURUSD"),
    "BRK B": Stock("BRK B", "SMART", "USD"),
    "by local symbol": Future(localSymbol="6EZ7", exchange="CME"),
}

EACH_FORM = pytest.mark.parametrize("gateway", [{}, {"server_version": 178}], ids=["protobuf", "text"], indirect=True)


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    connector = make()
    await connector.connect_async()
    return connector


def fresh(contract: Contract) -> Contract:
    """A copy without what a library may have filled in."""
    return Contract.create(**{name: getattr(contract, name) for name in vars(contract)})


async def at_the_broker(gateway: Gateway, connector: IBConnector, *messages: str) -> Trade:
    """Place an order about which these messages never come."""
    for message in messages:
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(fresh(EURO), limit(1, orderRef="mine"))
    await gateway.wait_for(lambda gateway: [each for each in gateway.orders if each.order_id == trade.order.orderId])
    await connector.ib.reqCurrentTimeAsync()
    assert (trade.orderStatus.status, trade.order.permId) == ("PendingSubmit", 0)
    return trade


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("messages", [(), ("openOrder", "orderStatus")], ids=["all messages", "execution only"])
async def test_it_is_acknowledged_and_filled(
    gateway: Gateway, connector: IBConnector, name: str, messages: tuple[str, ...]
) -> None:
    for message in messages:
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(fresh(CONTRACTS[name]), limit(1))
    await gateway.wait_for(lambda gateway: [each for each in gateway.orders if each.order_id == trade.order.orderId])
    if not messages:
        await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    gateway.fill(trade.order.orderId, price=1.0)
    await wait_until(connector, lambda: trade.fills)
    await gateway.fault("clear")
    await wait_until(connector, lambda: trade.orderStatus.status == "Filled")
    assert len(trade.fills) == 1
    assert connector.status.unconfirmed == connector.orders == ()
    assert connector.ib.trades().count(trade) == len(connector.ib.trades()) - 1, "the other one is in the fixture"


@EACH_FORM
async def test_it_is_cancelled(gateway: Gateway, connector: IBConnector) -> None:
    trade = connector.ib.placeOrder(fresh(EURO), limit(1))
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    assert [(each.stage.value, each.symbol) for each in connector.orders] == [("open", "6EZ7")]
    connector.ib.cancelOrder(trade.order)
    await wait_until(connector, lambda: trade.orderStatus.status == "Cancelled")
    assert connector.status.unconfirmed == connector.orders == ()


@EACH_FORM
async def test_after_a_lost_session_it_is_found_among_the_open_orders(gateway: Gateway, connector: IBConnector) -> None:
    trade = await at_the_broker(gateway, connector, "openOrder", "orderStatus")
    await gateway.fault("clear")
    reports = Reports(connector)
    await gateway.fault("reset")
    report = await reports.next()
    assert [(each.order_id, each.symbol) for each in report.orders_confirmed] == [(trade.order.orderId, "6EZ7")]
    assert (trade.orderStatus.status, connector.status.unconfirmed) == ("Submitted", ())


@EACH_FORM
async def test_after_a_lost_session_it_is_found_among_the_executions(gateway: Gateway, connector: IBConnector) -> None:
    trade = await at_the_broker(gateway, connector, "openOrder", "orderStatus")
    gateway.on_received("connection", lambda gateway: gateway.fill(trade.order.orderId, price=1.0))
    reports = Reports(connector)
    await gateway.fault("reset")
    report = await reports.next()
    assert [(each.order_id, each.symbol) for each in report.executions] == [(trade.order.orderId, "6EZ7")]
    assert (trade.orderStatus.status, len(trade.fills)) == ("Filled", 1)
    assert connector.status.unconfirmed == ()


@EACH_FORM
async def test_after_a_lost_session_it_is_found_among_the_completed_orders(
    gateway: Gateway, connector: IBConnector
) -> None:
    trade = await at_the_broker(gateway, connector, "openOrder", "orderStatus")
    gateway.on_received("connection", lambda gateway: gateway.cancel_order(trade.order.orderId))
    reports = Reports(connector)
    await gateway.fault("reset")
    await reports.next()
    assert (trade.orderStatus.status, connector.status.unconfirmed) == ("Cancelled", ())
