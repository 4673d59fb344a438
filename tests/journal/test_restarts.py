"""A program ends, and the next one opens its journal: the time between them is a gap like any other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ib_async import Contract, Future, LimitOrder, Trade

from ibkr import ClientIdInUse, IBConnector, Policy
from ibkr.core.journal_records import PROGRAM_ENDED
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make
from tests.recovery.order_helpers import Reports, limit, renumber, resting, wait_until

Look = Callable[..., list[tuple[object, ...]]]


async def started(make: Make, **options: object) -> IBConnector:
    connector = make(**options)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector


async def succeeded(make: Make) -> tuple[IBConnector, Reports]:
    """The next program, and its gap report."""
    connector = make()
    reports = Reports(connector)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector, reports


async def lose(gateway: Gateway, connector: IBConnector, contract: Contract) -> Trade:
    """Place an order, and end the program before the gateway has acknowledged the order."""
    for message in ("openOrder", "orderStatus"):
        await gateway.fault("drop_message", message)
    trade = connector.ib.placeOrder(contract, limit(1))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await connector.ib.reqCurrentTimeAsync()
    await connector.disconnect_async()
    await gateway.fault("clear")
    return trade


async def test_the_next_program_is_told_what_happened_meanwhile(gateway: Gateway, make: Make) -> None:
    first = await started(make)
    kept, gone = await resting(first, AAPL, AAPL)
    await first.disconnect_async()
    gateway.fill(gone.order.orderId, price=1.0)
    second, reports = await succeeded(make)
    report = await reports.next()
    assert report == second.last_gap
    assert (report.cause, report.complete, report.outage) == (PROGRAM_ENDED, True, 0)
    assert [each.order_id for each in report.executions] == [gone.order.orderId]
    assert [change.after.status for change in report.orders_changed] == ["Filled"]
    assert [change.is_explained for change in report.positions] == [True]
    assert not report.needs_a_look
    assert timedelta(0) <= datetime.now(UTC) - report.start < timedelta(seconds=10)
    assert second.ib.trades()[0].order.orderId == kept.order.orderId


async def test_a_gap_is_reported_once(gateway: Gateway, make: Make, look: Look) -> None:
    first = await started(make)
    (trade,) = await resting(first, AAPL)
    await first.disconnect_async()
    gateway.fill(trade.order.orderId, price=1.0)
    for summary in ("1 missed execution", "no changes found"):
        connector, reports = await succeeded(make)
        assert (await reports.next()).summary.startswith(summary)
        await connector.disconnect_async()
    assert [json.loads(report)["complete"] for (report,) in look("SELECT report FROM gaps")] == [True, True]


async def test_without_earlier_knowledge_there_is_no_gap(make: Make) -> None:
    _, reports = await succeeded(make)
    await asyncio.sleep(0)
    assert reports.are_none


@pytest.mark.parametrize("days", [1, 3], ids=["over midnight", "over a weekend"])
async def test_executions_of_earlier_days_are_not_told(make: Make, look: Look, days: int) -> None:
    """The gap report is then incomplete, and positions show the difference."""
    await (await started(make)).disconnect_async()
    look("UPDATE facts SET value = ? WHERE name = 'until'", json.dumps(str(datetime.now(UTC) - timedelta(days=days))))
    (row,) = look("SELECT row FROM positions WHERE con_id = ?", AAPL.conId)[0]
    earlier = json.loads(row) | {"quantity": 40.0}
    look("UPDATE positions SET row = ? WHERE con_id = ?", json.dumps(earlier), AAPL.conId)
    _, reports = await succeeded(make)
    report = await reports.next()
    assert not report.complete
    assert any("earlier day" in words for words in report.incomplete)
    assert [(each.before, each.after, each.is_explained) for each in report.positions] == [(40.0, 100.0, False)]
    assert report.seconds >= days * 86400


async def test_orders_that_nobody_acknowledged_are_still_unconfirmed(gateway: Gateway, make: Make) -> None:
    first = await started(make)
    await gateway.fault("mute", "placeOrder")
    lost = first.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await first.disconnect_async()
    await gateway.fault("clear")
    second, reports = await succeeded(make)
    (order,) = second.status.unconfirmed
    assert (order.order_id, order.has_left) == (lost.order.orderId, True)
    assert (await reports.next()).orders_unconfirmed == (order,)
    second.clear_unconfirmed()
    await second.disconnect_async()
    third, _ = await succeeded(make)
    assert third.status.unconfirmed == ()
    assert third.ib.client.getReqId() > lost.order.orderId


async def test_an_unacknowledged_order_that_did_arrive_is_found(gateway: Gateway, make: Make, look: Look) -> None:
    first = await started(make)
    await gateway.fault("mute", "placeOrder")
    lost = first.ib.placeOrder(AAPL, limit(orderRef="mine"))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await first.disconnect_async()
    await gateway.fault("clear")
    session = IBConnector("127.0.0.1", gateway.port, 7, policy=Policy(region="none"))
    await session.connect_async()
    session.ib.placeOrder(AAPL, limit(orderId=lost.order.orderId, orderRef="mine"))
    await gateway.wait_for(lambda gateway: gateway.orders)
    await session.disconnect_async()
    second, reports = await succeeded(make)
    assert [each.order_id for each in (await reports.next()).orders_confirmed] == [lost.order.orderId]
    assert second.status.unconfirmed == ()
    await second.disconnect_async()
    assert look("SELECT state FROM intents") == [("acknowledged",)]


@pytest.mark.parametrize("is_older", [False, True], ids=["", "a journal that has no underlying"])
@pytest.mark.parametrize("is_filled", [False, True], ids=["open", "filled"])
async def test_an_order_in_a_contract_without_id_is_found(
    gateway: Gateway, make: Make, look: Look, is_older: bool, is_filled: bool
) -> None:
    """The gateway reports the future EUR as 6EZ7."""
    lost = await lose(gateway, await started(make), Future("EUR", "202712", "CME"))
    if is_filled:
        gateway.fill(lost.order.orderId, price=1.0)
    if is_older:
        look("UPDATE intents SET terms = json_remove(terms, '$.underlying')")
    second, reports = await succeeded(make)
    report = await reports.next()
    told = report.executions if is_filled else report.orders_confirmed
    assert [(each.order_id, each.symbol) for each in told] == [(lost.order.orderId, "6EZ7")]
    assert second.status.unconfirmed == ()
    await second.disconnect_async()
    assert look("SELECT state FROM intents") == [("acknowledged",)]


async def test_an_order_of_another_contract_is_no_evidence(gateway: Gateway, make: Make) -> None:
    """Another program has used the client id and the order id meanwhile."""
    await gateway.fault("mute", "placeOrder")
    lost = await lose(gateway, await started(make), AAPL)
    renumber(gateway, gateway.place_order("MSFT", "SELL", 7, limit_price=9000.0), 7, lost.order.orderId)
    second, _ = await succeeded(make)
    assert [each.order_id for each in second.status.unconfirmed] == [lost.order.orderId]


async def test_orders_that_never_left_are_reported_as_such(gateway: Gateway, make: Make, look: Look) -> None:
    first = await started(make)
    trades = [first.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0)) for _ in range(60)]
    await gateway.fault("reset")
    await wait_until(first, lambda: first.status.unconfirmed)
    dropped = {order.order_id for order in first.status.unconfirmed if not order.has_left}
    assert dropped
    await first.disconnect_async()
    second, _ = await succeeded(make)
    assert {order.order_id for order in second.status.unconfirmed if not order.has_left} == dropped
    assert len(look("SELECT 1 FROM intents WHERE state = 'not sent'")) == len(dropped) < len(trades)


async def test_a_change_that_never_left_is_reported_too(gateway: Gateway, make: Make) -> None:
    first = await started(make)
    (trade,) = await resting(first, AAPL)
    for price in range(60):
        trade.order.lmtPrice = 1 + price / 100
        first.ib.placeOrder(AAPL, trade.order)
    await gateway.fault("reset")
    await wait_until(first, lambda: first.status.unconfirmed)
    await first.disconnect_async()
    second, _ = await succeeded(make)
    (order,) = second.status.unconfirmed
    assert (order.order_id, order.is_change, order.has_left) == (trade.order.orderId, True, False)
    second.clear_unconfirmed(order.order_id)
    await second.disconnect_async()
    third, _ = await succeeded(make)
    assert third.status.unconfirmed == ()


async def test_ids_are_not_used_again_though_the_gateway_has_forgotten_them(gateway: Gateway, make: Make) -> None:
    first = await started(make)
    await gateway.fault("mute", "placeOrder")
    used = [first.ib.placeOrder(AAPL, limit()).order.orderId for _ in range(3)][-1]
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 3)
    await first.disconnect_async()
    await gateway.fault("clear")
    await gateway.fault("roll_back_order_id", 1)
    second, _ = await succeeded(make)
    assert second.ib.client.getReqId() > used


async def test_the_same_connector_goes_on_from_what_it_knows_itself(make: Make) -> None:
    connector = await started(make)
    await resting(connector, AAPL)
    reports = Reports(connector)
    for _ in range(2):
        await connector.disconnect_async()
        await connector.connect_async()
        assert (await reports.next()).cause != PROGRAM_ENDED


async def test_a_client_id_in_use_is_the_dead_program_s(gateway: Gateway, make: Make) -> None:
    """The first connect waits after 326, because the journal proves that we had a session."""
    await (await started(make)).disconnect_async()
    await gateway.fault("occupy_client_id", 7, 0.7)
    with pytest.raises(ClientIdInUse):
        await make(journal="", connect_attempts=1).connect_async()
    assert await make(connect_attempts=1).connect_async()
    assert gateway.seen.refused_client_ids >= 3


async def test_without_an_earlier_session_it_is_another_program_s(gateway: Gateway, make: Make) -> None:
    await gateway.fault("occupy_client_id", 7, 30)
    with pytest.raises(ClientIdInUse):
        await make(connect_attempts=1).connect_async()


@pytest.mark.rest
async def test_a_program_that_is_killed_leaves_the_journal_free(gateway: Gateway, make: Make, path: Path) -> None:
    program = Path(__file__).parents[2] / "soak" / "trading_program.py"
    arguments = (sys.executable, str(program), str(gateway.port), str(path), "1")
    child = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"), 10)
    finally:
        child.kill()
        await child.wait()
    second, reports = await succeeded(make)
    assert (await reports.next()).cause == PROGRAM_ENDED
    assert second.status.may_trade


async def test_the_same_connector_takes_over_from_a_program_in_between(gateway: Gateway, make: Make) -> None:
    first = await started(make)
    (gone,) = await resting(first, AAPL)
    await first.disconnect_async()
    between = await started(make)
    gateway.fill(gone.order.orderId, price=1.0)
    await wait_until(between, lambda: between.ib.fills())
    await gateway.fault("mute", "placeOrder")
    lost = between.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)
    await between.disconnect_async()
    await gateway.fault("clear")
    reports = Reports(first)
    await first.connect_async()
    await first.wait_ready_async(5)
    assert [order.order_id for order in first.status.unconfirmed] == [lost.order.orderId]
    report = await reports.next()
    assert [each.order_id for each in report.executions] == [gone.order.orderId], "this program did not know of it"
