"""Orders need may_trade, other requests need a session; ids are never used twice; freshness on demand."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest
from ib_async import Contract

from ibkr import ConnectionState, IBConnector, NotReady
from ibkr.core.states import SessionState
from ibkr.simulator import Gateway, ThreadedGateway
from tests.fixture_types import AAPL, Make, Outage, StateOf

from .order_helpers import ACCOUNT, Reports, limit, resting, wait_until

ORDERS: dict[str, Callable[[IBConnector], Any]] = {
    "placeOrder": lambda connector: connector.ib.placeOrder(AAPL, limit()),
    "a changed order": lambda connector: connector.ib.placeOrder(AAPL, limit(orderId=5)),
    "the client's own call": lambda connector: connector.ib.client.placeOrder(99, AAPL, limit()),
    "bracketOrder": lambda connector: connector.ib.bracketOrder("BUY", 1, 100, 110, 90),
    "exerciseOptions": lambda connector: connector.ib.exerciseOptions(Contract(conId=1), 1, 1, ACCOUNT, 0),
}


@pytest.mark.parametrize("send", ORDERS.values(), ids=ORDERS)
async def test_no_order_without_may_trade_and_no_id_is_taken(
    gateway: Gateway, make: Make, send: Callable[[IBConnector], Any], state_of: StateOf
) -> None:
    connector = make()
    with pytest.raises(NotReady, match=r"not sent.*connect\(\) has not been called"):
        send(connector)
    await connector.connect_async()
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    next_id = connector.ib.client._reqIdSeq
    with pytest.raises(NotReady, match="lost its link to IB") as caught:
        send(connector)
    assert caught.value.status.state is ConnectionState.DEGRADED
    assert connector.ib.client._reqIdSeq == next_id
    assert not gateway.seen.received("placeOrder")
    assert not [trade for trade in connector.ib.trades() if trade.order.clientId == 7]


async def test_a_read_only_program_sends_no_order(gateway: Gateway) -> None:
    connector = IBConnector("127.0.0.1", gateway.port, 7, account=ACCOUNT, readonly=True)
    async with connector:
        with pytest.raises(NotReady, match="readonly = true"):
            connector.ib.placeOrder(AAPL, limit())


async def test_cancels_and_what_if_orders_need_a_session_alone(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.orders[-1].order_id == trade.order.orderId)
    await gateway.fault("mute", "reqExecutions")
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    assert connector.status.may_trade_reason.startswith("start-up has not ended")
    state = await connector.ib.whatIfOrderAsync(AAPL, limit())
    assert float(state.initMarginChange) > 0
    connector.ib.cancelOrder(trade.order)
    await gateway.wait_for(lambda gateway: gateway.orders[-1].status == "Cancelled")
    connector.ib.reqGlobalCancel()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))


async def test_without_a_session_there_is_neither(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make()
    await connector.connect_async()
    trade = connector.ib.placeOrder(AAPL, limit())
    await gateway.stop()
    await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
    for call in (
        lambda: connector.ib.cancelOrder(trade.order),
        lambda: connector.ib.reqGlobalCancel(),
        lambda: connector.ib.whatIfOrderAsync(AAPL, limit()),
    ):
        with pytest.raises(NotReady, match="there is no session: "):
            call()
    assert trade.orderStatus.status != "PendingCancel"


async def test_ids_rolled_back_at_a_restart_are_not_given_again(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    ids = {connector.ib.placeOrder(AAPL, limit()).order.orderId for _ in range(3)}
    ids |= {connector.ib.placeOrder(AAPL, limit(orderId=500)).order.orderId}
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 4)
    await gateway.fault("roll_back_order_id", 1)
    await outage(connector, "restart")
    ids |= {connector.ib.placeOrder(AAPL, limit()).order.orderId}
    assert len(ids) == 5
    assert max(ids) > 500
    await gateway.wait_for(lambda gateway: len([each for each in gateway.orders if each.client_id == 7]) == 5)


async def test_an_id_of_the_callers_own_choice_is_used_too(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "placeOrder")  # so no answer mentions the order
    connector.ib.placeOrder(AAPL, limit(orderId=500))
    assert connector.ib.placeOrder(AAPL, limit()).order.orderId == 501


async def test_an_id_of_the_callers_own_choice_is_used_for_an_exercise_too(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "exerciseOptions")
    connector.ib.client.exerciseOptions(500, Contract(conId=1), 1, 1, ACCOUNT, 0)
    assert connector.ib.placeOrder(AAPL, limit()).order.orderId == 501


async def test_a_what_if_order_is_not_an_order(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    reports = Reports(connector)
    connector.ib.placeOrder(AAPL, limit(whatIf=True))
    await connector.ib.reqCurrentTimeAsync()
    assert not [order for order in connector.orders if order.client_id == 7]
    assert not [trade for trade in connector.ib.trades() if trade.order.clientId == 7]
    await outage(connector, "reset")
    report = await reports.next()
    assert (report.orders_vanished, report.orders_unconfirmed) == ((), ())


@pytest.mark.parametrize("end", ["overdue", "reset"])
async def test_the_real_order_after_a_what_if_with_the_same_object_is_new(
    gateway: Gateway, make: Make, state_of: StateOf, end: str
) -> None:
    connector = make(order_ack_after=0.3)
    await connector.connect_async()
    order = limit(whatIf=True)
    asked = connector.ib.placeOrder(AAPL, order)
    await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("mute", "placeOrder")
    order.whatIf = False
    trade = connector.ib.placeOrder(AAPL, order)
    assert trade is not asked
    assert trade in connector.ib.openTrades()
    if end == "reset":
        await gateway.fault("reset")
    await state_of(connector, lambda status: [each.order_id for each in status.unconfirmed] == [order.orderId])


async def test_a_what_if_of_a_live_order_keeps_its_trade(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    trade.order.whatIf = True
    assert connector.ib.placeOrder(AAPL, trade.order) is trade
    assert trade in connector.ib.openTrades()


@pytest.mark.parametrize("by_client", [False, True])
@pytest.mark.parametrize("what_if", [False, True])
async def test_an_order_that_has_ended_is_not_sent_again(
    gateway: Gateway, make: Make, by_client: bool, what_if: bool
) -> None:
    connector = make()
    await connector.connect_async()
    (trade,) = await resting(connector, AAPL)
    connector.ib.cancelOrder(trade.order)
    await wait_until(connector, trade.isDone)
    order_id, log = trade.order.orderId, list(trade.log)
    trade.order.whatIf = what_if

    def place_again() -> None:
        if by_client:
            connector.ib.client.placeOrder(order_id, AAPL, trade.order)
        else:
            connector.ib.placeOrder(AAPL, trade.order)

    with pytest.raises(ValueError, match=f"order {order_id} .*has ended: Cancelled.*new Order object"):
        place_again()
    connector.halt("risk")
    with pytest.raises(ValueError, match="has ended"):  # waiting for may_trade would not help
        place_again()
    connector.resume()
    await connector.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("placeOrder")) == 1
    assert (trade.orderStatus.status, trade.log) == ("Cancelled", log)
    assert connector.status.unconfirmed == ()
    assert connector.ib.placeOrder(AAPL, limit()).order.orderId == order_id + 1


async def test_a_copy_of_an_order_that_has_ended_is_an_order_of_its_own(
    gateway: Gateway, make: Make, outage: Outage
) -> None:
    """The copy has the permanent id of the other order."""
    connector = make()
    await connector.connect_async()
    (ended,) = await resting(connector, AAPL)
    connector.ib.cancelOrder(ended.order)
    await wait_until(connector, ended.isDone)
    again = copy.copy(ended.order)
    again.orderId = 0
    await gateway.fault("mute", "placeOrder")
    trade = connector.ib.placeOrder(AAPL, again)
    await outage(connector, "reset")
    assert trade.orderStatus.status == "PendingSubmit"
    assert [order.order_id for order in connector.status.unconfirmed] == [again.orderId]


async def test_a_fresh_session_is_not_probed_and_a_silent_one_is(gateway: Gateway, make: Make) -> None:
    connector = make(suspect_after=0.3, probe_timeout=3)
    with pytest.raises(NotReady):
        await connector.ensure_fresh_async(1)
    await connector.connect_async()
    await connector.ensure_fresh_async(60)
    assert not gateway.seen.received("reqCurrentTime")
    await connector.ensure_fresh_async(0)
    assert len(gateway.seen.received("reqCurrentTime")) == 1


async def test_a_half_open_socket_is_found_before_it_swallows_an_order(gateway: Gateway, make: Make) -> None:
    connector = make(suspect_after=0.3, probe_timeout=30)
    await connector.connect_async()
    await gateway.fault("freeze")
    assert connector.status.may_trade
    with pytest.raises(NotReady, match="the session may be dead"):
        await connector.ensure_fresh_async(0)
    assert connector.status.session is SessionState.SUSPECT
    with pytest.raises(NotReady, match="half-open"):
        connector.ib.placeOrder(AAPL, limit())
    await gateway.fault("thaw")
    await connector.wait_ready_async(5)
    await connector.ensure_fresh_async(0)


def test_in_a_plain_script(script_loop: asyncio.AbstractEventLoop) -> None:
    with ThreadedGateway(id_hold=0) as gateway, IBConnector("127.0.0.1", gateway.port, 7) as connector:
        connector.ensure_fresh(0)
        trade = connector.ib.placeOrder(AAPL, limit())
        connector.ensure_fresh(0)
        assert trade.orderStatus.status == "Submitted"


async def test_cancels_are_written_before_the_socket_is_ended_at_once(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    trades = [connector.ib.placeOrder(AAPL, limit()) for _ in range(20)]
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == len(trades))
    before = connector.stats.messages_out
    for trade in trades:
        connector.ib.cancelOrder(trade.order)
    connector.disconnect()
    assert connector.stats.messages_out - before == len(trades)


@pytest.mark.parametrize("end", ["disconnect_async", "reconnect"])
async def test_cancels_that_wait_for_their_turn_are_sent_before_the_session_ends(
    gateway: Gateway, make: Make, end: str
) -> None:
    connector = make()
    await connector.connect_async()
    trades = [connector.ib.placeOrder(AAPL, limit()) for _ in range(20)]
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == len(trades))
    for trade in trades:
        connector.ib.cancelOrder(trade.order)
    ended = getattr(connector, end)()
    if ended is not None:
        await ended
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("cancelOrder")) == len(trades))
    await gateway.wait_for(lambda gateway: [each.status for each in gateway.orders].count("Cancelled") == len(trades))
