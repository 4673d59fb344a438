"""Other gaps: disconnects, a second loss, 1102, read-only, vanished orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from ib_async import Trade

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Ask, Make, StateOf

from .order_helpers import ACCOUNT, Reports, knows_the_others_orders, limit, resting, wait_until


@pytest.fixture
def told(connector: IBConnector) -> Reports:
    return Reports(connector)


async def test_after_the_callers_own_disconnect_there_is_a_report_and_no_trade_is_kept(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade
) -> None:
    gateway.fill(trade.order.orderId, 10, 1.0)
    await wait_until(connector, lambda: trade.fills and trade.orderStatus.filled)
    await connector.disconnect_async()
    assert not connector.ib.trades()
    assert trade.fillEvent.done()
    gateway.fill(trade.order.orderId, price=1.0)
    fills: list[str] = []
    connector.ib.execDetailsEvent += lambda trade, fill: fills.append(fill.execution.execId)
    await connector.connect_async()
    report = await told.next()
    assert report.cause == "the program had disconnected, or connect() had stopped trying"
    (missed,) = report.executions
    assert (missed.shares, fills) == (90, [missed.exec_id])
    assert [(each.before.filled, each.after.status) for each in report.orders_changed] == [(10, "Filled")]
    assert [len(each.fills) for each in connector.ib.trades() if each.order.permId == trade.order.permId] == [2]


async def test_lost_again_while_subscriptions_are_restored_it_is_reported_at_once(gateway: Gateway, make: Make) -> None:
    connector = make(restore_grace=30)
    told = Reports(connector)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    gateway.market_is_open = False
    await gateway.fault("break_farm")
    connector.ib.reqMktData(AAPL)
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqMktData"))
    await gateway.fault("reset")
    gateway.fill(trade.order.orderId, 40, 1.0)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == 2)
    await wait_until(connector, lambda: connector.may_trade)
    assert told.are_none
    await gateway.fault("reset")
    first = await told.next()
    assert [each.shares for each in first.executions] == [40]
    assert first.incomplete[-1] == "subscriptions: the session ended before all were restored"
    gateway.fill(trade.order.orderId, 60, 1.0)
    await gateway.fault("mend_farm")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == 3)
    gateway.market_is_open = True
    second = await told.next()
    assert [each.shares for each in second.executions] == [60]
    assert (trade.orderStatus.status, [fill.execution.shares for fill in trade.fills]) == ("Filled", [40, 60])


async def test_a_session_lost_in_start_up_makes_no_gap_of_its_own(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade
) -> None:
    told_fills: list[float] = []
    trade.fillEvent += lambda trade, fill: told_fills.append(fill.execution.shares)
    await gateway.fault("mute", "reqPositions")
    await gateway.fault("reset")
    gateway.fill(trade.order.orderId, 40, 1.0)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await wait_until(connector, lambda: trade.fills)
    assert told_fills == [], "orders may not be placed yet, so no listener is called"
    await gateway.fault("clear")
    await gateway.fault("reset")
    report = await told.next()
    assert [each.shares for each in report.executions] == [40]
    assert told_fills == [40]


async def test_a_handler_may_place_an_order_when_it_is_told_of_a_missed_fill(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade
) -> None:
    trade.filledEvent += lambda trade: connector.ib.placeOrder(AAPL, limit(orderRef="hedge"))
    gateway.on_received("connection", lambda gateway: gateway.fill(trade.order.orderId, price=1.0))
    await gateway.fault("reset")
    await told.next()
    await gateway.wait_for(lambda gateway: gateway.orders[-1].terms.order_ref == "hedge")


async def test_what_1101_has_cost_is_reported_although_the_link_breaks_again_before_start_up_has_ended(
    gateway: Gateway, told: Reports, trade: Trade
) -> None:
    await gateway.fault("1100")
    await gateway.fault("mute", "reqExecutions")
    await gateway.fault("1101")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await gateway.fault("1100")
    gateway.fill(trade.order.orderId, 40, 1.0)
    await gateway.fault("clear")
    await gateway.fault("1102")
    report = await told.next()
    assert "1101" in report.cause
    assert [each.shares for each in report.executions] == [40]


async def test_a_gateway_that_is_blind_itself_makes_no_report(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade, state_of: StateOf
) -> None:
    """The session is lost while upstream is down. When the new session begins, the gateway does not know the fills."""
    await gateway.fault("1100")
    await gateway.fault("reset")
    await state_of(
        connector, lambda status: status.is_connected and connector.last_gap is None and gateway.seen.connects == 2
    )
    gateway.fill(trade.order.orderId, 40, 1.0)
    await connector.ib.reqCurrentTimeAsync()
    assert told.are_none
    await gateway.fault("1102")
    report = await told.next()
    assert connector.status.state is ConnectionState.READY
    assert [each.shares for each in report.executions] == [40]
    assert report.complete


async def test_the_gap_of_a_half_open_socket_begins_with_the_silence(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(probe_after=0.2, probe_apart=0.1, suspect_after=0.1, probe_timeout=0.5)
    told = Reports(connector)
    suspected: list[datetime] = []
    await connector.connect_async()
    connector.on_status(lambda status: status.state is ConnectionState.DEGRADED and suspected.append(status.since))
    await gateway.fault("freeze")
    await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
    await gateway.fault("thaw")
    report = await told.next()
    assert report.start <= suspected[0]


async def test_what_the_gateway_pushes_after_1102_is_reported_once_and_is_part_of_the_report(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade
) -> None:
    await gateway.fault("1100")
    gateway.fill(trade.order.orderId, 40, 1.0)
    await gateway.fault("1102")
    report = await told.next()
    assert [each.shares for each in report.executions] == [40]
    assert [fill.execution.shares for fill in trade.fills] == [40]
    await gateway.fault("reset")
    report = await told.next()
    assert report.executions == (), "it was told"
    assert told.are_none


async def test_what_was_not_caught_up_before_the_loss_is_part_of_its_gap(
    gateway: Gateway, told: Reports, trade: Trade
) -> None:
    await gateway.fault("1100")
    gateway.fill(trade.order.orderId, 40, 1.0)
    await gateway.fault("restart", 0.2)
    report = await told.next()
    assert [each.shares for each in report.executions] == [40]
    assert [fill.execution.shares for fill in trade.fills] == [40]


async def test_a_gateway_that_turned_read_only_tells_no_orders_and_none_vanishes(gateway: Gateway, make: Make) -> None:
    gateway.place_order("MSFT", "BUY", 5, limit_price=1.0, client_id=8)
    connector = make()
    told = Reports(connector)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    await knows_the_others_orders(gateway, connector)
    await gateway.fault("read_only")
    await gateway.fault("reset")
    report = await told.next()
    assert (report.orders_vanished, report.orders_changed) == ((), ())
    assert "no answer to the request for completed orders, open orders" in report.incomplete[0]
    assert trade.orderStatus.status == "Submitted"


async def test_a_read_only_program_is_told_of_positions(gateway: Gateway) -> None:
    async with IBConnector("127.0.0.1", gateway.port, 7, account=ACCOUNT, readonly=True) as connector:
        told = Reports(connector)
        gateway.on_received(
            "connection", lambda gateway: gateway.place_order("AAPL", "BUY", 7, client_id=8, account=ACCOUNT)
        )
        await gateway.fault("reset")
        report = await told.next()
        assert [change.after - change.before for change in report.positions] == [7]
        assert not report.complete
        assert not gateway.seen.received("reqAllOpenOrders")


async def test_what_had_ended_before_an_outage_is_no_part_of_it(
    gateway: Gateway, connector: IBConnector, told: Reports, trade: Trade
) -> None:
    gateway.fill(trade.order.orderId)
    await wait_until(connector, lambda: trade.fills and trade.isDone())
    for _ in range(2):
        await gateway.fault("reset")
        report = await told.next()
        assert (report.orders_appeared, report.orders_changed, report.orders_vanished) == ((), (), ())
        assert report.executions == ()


async def test_an_order_that_is_nowhere_has_vanished_once(gateway: Gateway, told: Reports, trade: Trade) -> None:
    gateway._state.order_handler.orders.clear()
    await gateway.fault("reset")
    report = await told.next()
    assert [order.order_id for order in report.orders_vanished] == [trade.order.orderId]
    assert "1 vanished order" in str(report)
    await gateway.fault("reset")
    assert (await told.next()).orders_vanished == ()


async def test_bars_and_subscriptions_are_in_the_report(
    gateway: Gateway, connector: IBConnector, told: Reports, cases: dict[str, Any], ask: Ask
) -> None:
    await ask(cases["historical bars"], connector)
    await ask(cases["market data"], connector)
    await gateway.fault("restart", 0.6)
    report = await told.next()
    assert sorted(report.subscriptions_restored) == ["AAPL", "AAPL bars of 5 secs TRADES"]
    assert [each.subscription for each in report.bars] == ["AAPL bars of 5 secs TRADES"]
    assert connector.status.state is ConnectionState.READY


async def test_a_failing_callback_hurts_nobody(gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    connector = make()
    connector.on_gap(lambda report: 1 / 0)
    told = Reports(connector)
    await connector.connect_async()
    await gateway.fault("reset")
    await told.next()
    assert "The gap callback" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_an_order_that_the_limiter_held_back_has_never_left(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(send_burst=9, send_limit=1, send_rate=1.0)
    await connector.connect_async()
    trades = [connector.ib.placeOrder(AAPL, limit()) for _ in range(20)]
    await gateway.stop()
    status = await state_of(connector, lambda status: bool(status.unconfirmed))
    assert {order.order_id: order.has_left for order in status.unconfirmed}[trades[-1].order.orderId] is False
