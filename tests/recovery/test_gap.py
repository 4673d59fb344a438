"""Changes at the broker during an outage: trades are correct afterwards, and the gap report has each change once."""

from __future__ import annotations

import asyncio
import json

import pytest
from ib_async import Trade

from ibkr import ConnectionState, GapReport
from ibkr.session.orders import order_error_handler
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, MSFT, Make, Outage, StateOf

from .order_helpers import ACCOUNT, Reports, knows_the_others_orders, limit, resting, wait_until


@pytest.mark.parametrize("looks_up_after", [0.1, 0.0], ids=["", "look-up in start-up"])
@pytest.mark.parametrize("fault", ["reset", "1101"])
async def test_five_orders_that_change_in_an_outage(
    gateway: Gateway, make: Make, fault: str, looks_up_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_error_handler, "_FIRST_DELAY", looks_up_after)
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    trades = await resting(connector, *[AAPL] * 5)
    await knows_the_others_orders(gateway, connector)
    fills, part, cancelled, *_ = trades
    first = gateway.fill(part.order.orderId, 10, 1.0)
    await wait_until(connector, lambda: part.fills)
    told: list[str] = []
    ib.execDetailsEvent += lambda trade, fill: told.append(fill.execution.execId)
    fills.filledEvent += lambda trade: told.append("filled")
    cancelled.cancelledEvent += lambda trade: told.append("cancelled")
    gaps = Reports(connector)
    await play(fault, gateway, trades)
    report = await gaps.next()
    by_id = {execution.order.order_id: execution for execution in gateway.executions[1:]}
    missed = [by_id[fills.order.orderId].exec_id, by_id[part.order.orderId].exec_id]
    assert [each.exec_id for each in report.executions] == missed
    assert first.exec_id not in missed
    check_changes(report, trades)
    (position,) = report.positions
    at_broker = next(each.quantity for each in gateway.positions if (each.account, each.symbol) == (ACCOUNT, "AAPL"))
    assert (position.after, position.executed, position.is_explained) == (at_broker, 115, True)
    assert [each.position for each in ib.positions(ACCOUNT) if each.contract.symbol == "AAPL"] == [at_broker]
    check_trades(trades)
    own = [trade for trade in ib.trades() if trade.order.clientId == 7]
    assert all(any(trade is mine for mine in own) for trade in trades)
    assert not [trade for trade in ib.openTrades() if trade.order.clientId == 8], "the program has not asked for those"
    assert sorted(told) == sorted([*missed, "filled", "cancelled"])
    assert connector.last_gap is report
    outage = connector.status.outage
    assert outage is not None
    assert (report.outage, outage.cause) == (outage.number, {"reset": "session_lost", "1101": "upstream_lost"}[fault])


def check_changes(report: GapReport, trades: list[Trade]) -> None:
    """Check what the report says about the orders, and that it shows no account id without a mask."""
    fills, part, cancelled, rejected, _untouched = (trade.order.orderId for trade in trades)
    changes = {change.before.order_id: change.after.status for change in report.orders_changed}
    assert changes == {fills: "Filled", part: "Submitted", cancelled: "Cancelled", rejected: "Inactive"}
    (appeared,) = report.orders_appeared
    assert (appeared.client_id, appeared.symbol, appeared.quantity) == (8, "MSFT", 30)
    assert (report.orders_vanished, report.orders_unconfirmed) == ((), ())
    assert report.complete or "earlier day" in report.incomplete[0]
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["executions"][0]["account"] == "DU***67"
    assert ACCOUNT not in json.dumps(plain)


def check_trades(trades: list[Trade]) -> None:
    """Check that the program's trades say the same as the report."""
    assert [trade.orderStatus.status for trade in trades] == [
        "Filled", "Submitted", "Cancelled", "Inactive", "Submitted",
    ]  # fmt: skip
    assert [len(trade.fills) for trade in trades] == [1, 2, 0, 0, 0]
    fills, part = (trade.orderStatus for trade in trades[:2])
    assert (fills.filled, fills.remaining, fills.avgFillPrice) == (100, 0, 1.0)
    assert (part.filled, part.remaining) == (25, 75)


async def play(fault: str, gateway: Gateway, trades: list[Trade]) -> None:
    """Cause an outage, and the changes at the broker during the outage."""
    if fault == "reset":
        gateway.on_received("connection", lambda gateway: meanwhile(gateway, trades))
        await gateway.fault("reset")
    else:
        await gateway.fault("1100")
        meanwhile(gateway, trades)
        await gateway.fault("1101")


def meanwhile(gateway: Gateway, trades: list[Trade]) -> None:
    fills, part, cancelled, rejected, _ = (trade.order.orderId for trade in trades)
    gateway.fill(fills, price=1.0)
    gateway.fill(part, 15, 1.0)
    gateway.cancel_order(cancelled)
    gateway.reject_order(rejected)
    gateway.place_order("MSFT", "BUY", 30, limit_price=1.0, client_id=8, account=ACCOUNT)


async def test_nothing_happened_is_a_report_too_and_what_was_told_is_not_told_again(
    gateway: Gateway, make: Make, outage: Outage
) -> None:
    gateway.place_order("MSFT", "BUY", 30, limit_price=1.0, client_id=8)
    connector = make()
    reports: list[GapReport] = []
    connector.on_gap(reports.append)
    await connector.connect_async()
    await knows_the_others_orders(gateway, connector)
    (trade,) = await resting(connector, AAPL)
    gateway.fill(trade.order.orderId, 10, 1.0)
    charges: list[str] = []
    connector.ib.commissionReportEvent += lambda trade, fill, report: charges.append(report.execId)
    ticker = connector.ib.reqMktData(AAPL)
    await ticker.updateEvent
    for _ in range(2):
        await outage(connector, "restart")
        await asyncio.sleep(0)
    first, second = reports
    for report in reports:
        assert (report.executions, report.orders_changed, report.orders_appeared) == ((), (), ())
        assert (report.orders_vanished, report.positions) == ((), ())
        assert report.subscriptions_restored == ("AAPL",)
        assert (report.cause, report.start < report.end) == ("the gateway closed the connection", True)
    assert first.end <= second.start
    assert len(trade.fills) == 1
    assert len(charges) == 1
    assert connector.last_gap is second


async def test_an_order_written_into_a_half_open_socket_is_unconfirmed_then_found_filled(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(probe_after=0.4, probe_apart=0.2, suspect_after=0.2, probe_timeout=0.5)
    await connector.connect_async()
    await gateway.fault("freeze")
    trade = connector.ib.placeOrder(AAPL, limit(orderRef="mine"))
    await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
    (unconfirmed,) = connector.status.unconfirmed
    assert (unconfirmed.order_id, unconfirmed.has_left) == (trade.order.orderId, True)
    assert connector.status.to_dict()["unconfirmed"][0]["account"] == "DU***67"
    await gateway.fault("thaw")
    await gateway.wait_for(lambda gateway: gateway.orders[-1].order_id == trade.order.orderId)
    gateway.fill(trade.order.orderId, price=1.0)
    await state_of(connector, lambda status: not status.unconfirmed and status.state is ConnectionState.READY)
    assert (trade.orderStatus.status, trade.orderStatus.filled, len(trade.fills)) == ("Filled", 100, 1)
    assert [each for each in connector.ib.trades() if each.order.permId == trade.order.permId] == [trade]
    assert len(gateway.seen.received("placeOrder")) == 1


async def test_an_order_that_never_arrived_stays_unconfirmed_until_the_caller_knows_better(
    gateway: Gateway, make: Make, outage: Outage
) -> None:
    connector = make()
    gaps = Reports(connector)
    await connector.connect_async()
    gateway.on_received("placeOrder", lambda gateway: gateway.faults.call("reset"))
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    report = await gaps.next()
    assert [order.order_id for order in report.orders_unconfirmed] == [trade.order.orderId]
    assert not report.orders_vanished
    assert report.needs_a_look
    status = await connector.wait_ready_async(5)
    assert "orders unconfirmed, they may be at the broker" in status.reason
    assert status.may_trade
    connector.clear_unconfirmed(trade.order.orderId)
    assert not connector.status.unconfirmed
    await outage(connector, "reset")
    assert len(gateway.seen.received("placeOrder")) == 1


async def test_an_unconfirmed_order_that_was_cancelled_is_found_by_its_reference(gateway: Gateway, make: Make) -> None:
    connector = make()
    gaps = Reports(connector)
    await connector.connect_async()

    def lose(gateway: Gateway) -> None:
        for client in list(gateway._state.clients):
            asyncio.get_running_loop().call_soon(client.abort)
        asyncio.get_running_loop().call_soon(lambda: gateway.cancel_order("MSFT"))

    await gateway.fault("mute", "reqExecutions")
    gateway.on_received("placeOrder", lose)
    await gateway.fault("delay", 0.2)
    trade = connector.ib.placeOrder(MSFT, limit(orderRef="mine"))
    await gateway.wait_for(lambda gateway: gateway.orders[-1].status == "Cancelled")
    await gateway.fault("clear")
    report = await gaps.next()
    assert [(order.order_ref, order.status) for order in report.orders_confirmed] == [("mine", "Cancelled")]
    assert not report.orders_unconfirmed
    assert not report.orders_appeared
    assert trade.orderStatus.status == "Cancelled"
    assert [each for each in connector.ib.trades() if each.order.orderRef == "mine"] == [trade]


async def test_an_order_that_had_not_left_and_is_sent_again_by_the_caller_may_be_at_the_broker(
    gateway: Gateway, make: Make, outage: Outage
) -> None:
    connector = make()
    await connector.connect_async()
    for _ in range(60):
        connector.ib.client.cancelOrder(999, "")  # after these messages, the order must wait for the rate limit
    trade = connector.ib.placeOrder(AAPL, limit())
    await outage(connector, "reset")
    (unconfirmed,) = connector.status.unconfirmed
    assert not unconfirmed.has_left
    await gateway.fault("mute", "placeOrder")
    connector.ib.placeOrder(AAPL, trade.order)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    assert connector.status.unconfirmed == (), "it is awaited like a new one"
    await outage(connector, "reset")
    (unconfirmed,) = connector.status.unconfirmed
    assert unconfirmed.has_left
