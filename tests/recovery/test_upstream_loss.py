"""The gateway's link to IB is lost (1100) and returns (1101, 1102): what the program knows about its orders."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import ComboLeg, Contract, LimitOrder, Option, Trade

from ibkr import IBConnector, NotReady
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, MSFT, Make, StateOf

from .order_helpers import ACCOUNT, Reports, limit, resting, wait_until

BACK = ("1101", "1102")


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    connector = make(late_look=0.3, late_look_last=0.6)
    await connector.connect_async()
    return connector


async def down(gateway: Gateway, connector: IBConnector, state_of: StateOf) -> None:
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.upstream == "down")


def ids(connector: IBConnector) -> list[int]:
    return [order.order_id for order in connector.status.unconfirmed]


@pytest.mark.parametrize("back", BACK)
async def test_an_order_that_was_not_acknowledged_at_1100_is_unconfirmed(
    back: str, gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    told = Reports(connector)
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await down(gateway, connector, state_of)
    assert ids(connector) == [trade.order.orderId]
    await gateway.fault(back)
    report = await told.next()
    assert [order.order_id for order in report.orders_unconfirmed] == [trade.order.orderId]
    await connector.wait_ready_async(5)
    assert ids(connector) == [trade.order.orderId]
    assert not trade.isDone()


@pytest.mark.parametrize("back", BACK)
async def test_it_is_found_if_the_broker_has_it(
    back: str, gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    told = Reports(connector)
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: any(each.order_id == trade.order.orderId for each in gateway.orders))
    await down(gateway, connector, state_of)
    await gateway.fault("clear")
    await gateway.fault(back)
    report = await told.next()
    assert [order.order_id for order in report.orders_confirmed] == [trade.order.orderId]
    assert (ids(connector), trade.orderStatus.status) == ([], "Submitted")


async def test_a_late_acknowledgement_of_the_same_session_confirms_it(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("delay_message", "any", 0.3)
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: any(each.order_id == trade.order.orderId for each in gateway.orders))
    await gateway.fault("clear")
    await down(gateway, connector, state_of)
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    assert ids(connector) == []


@pytest.mark.parametrize("back", BACK)
async def test_the_exercise_of_an_option_that_is_lost_is_unconfirmed(
    back: str, gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("mute", "exerciseOptions")
    option = Option("AAPL", "", 200, "C", "SMART", conId=7)
    connector.ib.exerciseOptions(option, 1, 2, ACCOUNT, 0)
    await gateway.wait_for(lambda gateway: gateway.seen.received("exerciseOptions"))
    await down(gateway, connector, state_of)
    await gateway.fault(back)
    await connector.wait_ready_async(5)
    (order,) = connector.status.unconfirmed
    assert (order.action, order.quantity, order.symbol, order.has_left) == ("EXERCISE", 2, "AAPL", True)
    assert "EXERCISE 2 AAPL)" in connector.status.reason


async def test_the_exercise_of_an_option_that_is_refused_is_over(gateway: Gateway, connector: IBConnector) -> None:
    option = Option("AAPL", "", 200, "C", "SMART", conId=7)
    refused = asyncio.ensure_future(wait_until(connector, lambda: errors))
    errors: list[int] = []
    connector.ib.errorEvent.connect(lambda _, code, *__: errors.append(code), keep_ref=True)
    connector.ib.exerciseOptions(option, 1, 2, ACCOUNT, 0)
    await refused
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await connector.wait_ready_async(5)
    assert ids(connector) == []


async def test_after_1102_the_program_may_trade_once_the_brokers_books_are_compared(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await down(gateway, connector, state_of)
    await gateway.fault("mute", "reqExecutions")
    await gateway.fault("1102")
    status = await state_of(connector, lambda status: status.upstream == "up")
    assert (status.state, status.may_trade) == ("SYNCING", False)
    with pytest.raises(NotReady):
        connector.ib.placeOrder(AAPL, limit())


async def test_fills_that_the_gateway_does_not_push_after_1102_are_found(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    (trade,) = await resting(connector, AAPL)
    told, events = Reports(connector), list[str]()
    for name in ("execDetailsEvent", "commissionReportEvent"):
        event = getattr(connector.ib, name)
        event.connect(lambda *_, name=name: events.append(name), keep_ref=True)
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    await down(gateway, connector, state_of)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("clear")
    await gateway.fault("1102")
    report = await told.next()
    assert [(each.symbol, each.shares) for each in report.executions] == [("AAPL", 100)]
    assert [change.after.status for change in report.orders_changed] == ["Filled"]
    assert [change.is_explained for change in report.positions] == [True]
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 100)
    assert events == ["execDetailsEvent", "commissionReportEvent"]
    assert report.complete


async def test_after_1101_fills_are_found_while_many_requests_wait_to_be_sent(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(send_rate=10, send_burst=10)
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    told = Reports(connector)
    options = [each for each in gateway._state.instruments if each.sec_type == "OPT" and each.market_data == "live"]
    for each in options[:60]:
        connector.ib.reqMktData(Contract(secType="OPT", conId=each.con_id, symbol=each.symbol, exchange="SMART"))
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    await down(gateway, connector, state_of)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("clear")
    may_trade: list[bool] = []
    connector.on_status(lambda status: may_trade.append(status.may_trade))
    await gateway.fault("1101")
    status = await state_of(connector, lambda status: status.may_trade)
    assert may_trade.index(True) > 0, "not with the 1101 itself"
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 100)
    assert (status.state, len(gateway.seen.received("reqMktData")) < 60) == ("SYNCING", True)
    await gateway.fault("reset")  # the rest of the queue would take seconds
    assert [(each.symbol, each.shares) for each in (await told.next()).executions] == [("AAPL", 100)]


async def test_after_two_1101_within_a_second_no_order_is_sent_before_the_second_comparison(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("1101")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqOpenOrders")) == 2)
    await connector.wait_ready_async(5)
    await down(gateway, connector, state_of)
    await gateway.fault("1101")
    status = await state_of(connector, lambda status: status.upstream == "up")
    assert (status.state, status.may_trade) == ("SYNCING", False)
    with pytest.raises(NotReady):
        connector.ib.placeOrder(AAPL, limit())
    await state_of(connector, lambda status: status.may_trade)
    assert len(gateway.seen.received("reqOpenOrders")) == 3


async def test_executions_that_come_late_amend_the_report(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    (trade,) = await resting(connector, AAPL)
    told, events = Reports(connector), list[object]()
    trade.fillEvent.connect(lambda *told: events.append(told), keep_ref=True)
    await gateway.fault("late_executions", 0.45)
    await down(gateway, connector, state_of)
    gateway.fill(trade.order.orderId, price=1.0)
    await gateway.fault("1102")
    first = await told.next()
    assert (first.executions, first.is_amended, [each.is_explained for each in first.positions]) == ((), False, [False])
    await gateway.fault("drop_message", "execDetails", 1)  # drop the message that the gateway sends without a request
    amended = await told.next()
    assert [(each.symbol, each.shares) for each in amended.executions] == [("AAPL", 100)]
    assert (amended.is_amended, amended.start, amended.outage) == (True, first.start, first.outage)
    assert [each.is_explained for each in amended.positions] == [True]
    assert (trade.filled(), len(trade.fills), len(events)) == (100, 1, 1)


def combo() -> Contract:
    legs = [ComboLeg(conId=AAPL.conId, ratio=2, action="BUY", exchange="SMART")]
    legs.append(ComboLeg(conId=MSFT.conId, ratio=1, action="SELL", exchange="SMART"))
    return Contract(secType="BAG", symbol="AAPL,MSFT", exchange="SMART", currency="USD", comboLegs=legs)


async def filled_combo(gateway: Gateway, connector: IBConnector, fault: str, state_of: StateOf) -> Trade:
    trade = connector.ib.placeOrder(combo(), LimitOrder("BUY", 10, -1000.0, account=ACCOUNT))
    await wait_until(connector, lambda: trade.orderStatus.status == "Submitted")
    for message in ("execDetails", "orderStatus", "commissionReport"):
        await gateway.fault("drop_message", message)
    if fault == "1102":
        await down(gateway, connector, state_of)
    gateway.fill(trade.order.orderId, price=-90.5)
    await gateway.fault("clear")
    await gateway.fault(fault)
    return trade


@pytest.mark.parametrize("fault", ["1102", "reset"])
async def test_a_combination_that_was_filled_has_its_own_price_and_its_legs_explain_the_positions(
    fault: str, gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    told = Reports(connector)
    trade = await filled_combo(gateway, connector, fault, state_of)
    report = await told.next()
    # After a reset, start-up of the new session has already brought the changes.
    changed = {("AAPL", 20, True), ("MSFT", -10, True)} if fault == "1102" else set()
    assert {(change.symbol, change.executed, change.is_explained) for change in report.positions} == changed
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 10)
    assert trade.orderStatus.avgFillPrice == pytest.approx(-90.5)


async def test_the_fill_of_a_combination_that_was_lost_on_its_way_is_evidence(
    gateway: Gateway, connector: IBConnector
) -> None:
    told = Reports(connector)
    for message in ("openOrder", "orderStatus", "execDetails", "commissionReport"):
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(combo(), LimitOrder("BUY", 10, -1000.0, account=ACCOUNT))
    await gateway.wait_for(lambda gateway: any(each.order_id == trade.order.orderId for each in gateway.orders))
    gateway.fill(trade.order.orderId, price=-90.5)
    await gateway.fault("clear")
    await gateway.fault("reset")
    report = await told.next()
    assert ids(connector) == []
    assert (trade.orderStatus.status, trade.filled(), len(trade.fills)) == ("Filled", 10, 3)
    assert all(change.is_explained for change in report.positions)


async def test_read_only_in_mid_session_ends_trading_until_it_is_asked_again(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("read_only")
    trade = connector.ib.placeOrder(AAPL, limit())
    status = await state_of(connector, lambda status: not status.may_trade)
    assert (status.read_only, trade.orderStatus.status) == (True, "Cancelled")
    assert "retry_now()" in status.may_trade_reason
    with pytest.raises(NotReady, match="Read-Only"):
        connector.ib.placeOrder(AAPL, limit())
    await gateway.fault("end_read_only")
    connector.retry_now()
    status = await state_of(connector, lambda status: status.may_trade)
    assert not status.read_only
    await resting(connector, AAPL)


async def test_a_refused_change_in_read_only_mode_leaves_the_order_as_it_is(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    (trade,) = await resting(connector, AAPL)
    await gateway.fault("read_only")
    trade.order.lmtPrice = 2.0
    connector.ib.placeOrder(AAPL, trade.order)
    await state_of(connector, lambda status: status.read_only)
    assert (trade.orderStatus.status, ids(connector)) == ("Submitted", [])
