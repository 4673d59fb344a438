"""Requests that replace others: the program's, start-up's, and second requests.

This file has over 300 lines because a handler of ``connectedEvent`` may repeat every kind of request.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ib_async import PnL, PnLSingle, Ticker, WshEventData

from ibkr.core.subscription_tracker import SubscriptionStage
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Ask, Counter, InStep, Make, Outage

from .order_helpers import ACCOUNT
from .subscription_kinds import OTHER


async def test_a_second_request_replaces_the_first(
    gateway: Gateway, make: Make, in_step: InStep, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    assert ib.reqMktData(AAPL) is ib.reqMktData(AAPL, "233")
    assert ib.reqMktDepth(AAPL) is ib.reqMktDepth(AAPL, 3)
    for kind in ("BidAsk", "MidPoint", "MidPoint"):
        ib.reqTickByTickData(AAPL, kind)
    await ib.reqAccountSummaryAsync()
    await ib.reqAccountSummaryAsync()
    await ib.reqAccountSummaryAsync()
    assert len(await in_step(connector)) == 5
    await outage(connector, "reset")
    assert sorted(name for name, _ in await in_step(connector)) == [
        "reqAccountSummary",
        "reqMktData",
        "reqMktDepth",
        "reqTickByTickData",
        "reqTickByTickData",
    ]
    assert [request.fields[-4] for request in gateway.seen.received("reqMktData")][-1] == "233"
    ib.cancelMktData(AAPL)
    ib.cancelMktDepth(AAPL)
    ib.cancelTickByTickData(AAPL, "BidAsk")
    ib.cancelTickByTickData(AAPL, "MidPoint")
    assert [name for name, _ in await in_step(connector)] == ["reqAccountSummary"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_start_up_asks_for_is_not_requested_twice(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    await connector.ib.reqAccountUpdatesAsync(ACCOUNT)
    await connector.ib.reqAccountUpdatesMultiAsync(ACCOUNT)
    asked = {name: len(gateway.seen.received(name)) for name in ("reqAccountUpdates", "reqAccountUpdatesMulti")}
    await outage(connector, "reset")
    await connector.ib.reqCurrentTimeAsync()
    by_start_up = {"reqAccountUpdates": 1, "reqAccountUpdatesMulti": 2}
    assert {name: len(gateway.seen.received(name)) - times for name, times in asked.items()} == by_start_up


async def test_what_was_requested_in_start_up_and_forgotten_at_1101_is_requested_again(
    gateway: Gateway, make: Make, in_step: InStep, counter: Counter
) -> None:
    """This session has had no restore yet, because it did not need one."""
    connector = make()
    await gateway.fault("mute", "reqExecutions")
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqExecutions"))
    ticker = connector.ib.reqMktData(AAPL)
    news = counter(ticker.updateEvent)
    await news.beyond(0)
    await gateway.fault("clear")
    await gateway.fault("1101")
    await connecting
    await connector.wait_ready_async(5)
    await news.beyond(news.times)
    assert [name for name, _ in await in_step(connector)] == ["reqMktData"]


async def test_who_awaits_what_is_replaced_is_served_by_what_replaces_it(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    both = asyncio.gather(ib.reqAccountSummaryAsync(), ib.reqAccountSummaryAsync())
    await asyncio.wait_for(both, 5)
    assert ib.wrapper.acctSummary
    await gateway.fault("mute", "reqAccountUpdatesMulti")
    waiting = ib.reqAccountUpdatesMultiAsync(ACCOUNT)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqAccountUpdatesMulti")) == 3)
    await gateway.fault("clear")
    await gateway.fault("1101")  # after 1101, start-up requests the same data
    await asyncio.wait_for(waiting, 5)
    await connector.wait_ready_async(5)


async def test_start_ups_own_streams_do_not_pile_up(gateway: Gateway, make: Make, outage: Outage) -> None:
    connector = make()
    await connector.connect_async()
    client = gateway._state.sessions[7]
    before = sorted(name for name, _ in client.account_streams._streams)
    for _ in range(3):
        await outage(connector, "1101")
    await connector.ib.reqCurrentTimeAsync()
    assert sorted(name for name, _ in client.account_streams._streams) == before


async def test_what_is_refused_at_first_may_be_requested_again(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    for times in (1, 2):
        connector.ib.reqPnL("DU0000000")
        await gateway.wait_for(lambda gateway, times=times: len(gateway.seen.received("reqPnL")) == times)
        await connector.ib.reqCurrentTimeAsync()
        assert not connector.ib.wrapper.reqId2PnL
    assert connector.subscriptions == ()


async def test_a_snapshot_on_a_streams_ticker_leaves_the_stream_alone(
    gateway: Gateway, make: Make, outage: Outage, in_step: InStep
) -> None:
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    ticker = ib.reqMktData(AAPL)
    assert ib.reqMktData(AAPL, snapshot=True) is ticker
    assert await ib.reqTickersAsync(AAPL) == [ticker]
    [(_, key)] = await in_step(connector)
    assert ib.wrapper.ticker2ReqId["mktData"][ticker] == key, "the one that a cancel is about"
    await outage(connector, "reset")
    assert len(gateway.seen.received("reqMktData")) == 4
    assert ib.cancelMktData(AAPL) is not False
    assert await in_step(connector) == set()


@pytest.mark.parametrize("as_task", [False, True], ids=["handler", "coroutine"])
async def test_who_subscribes_whenever_he_is_connected_has_each_stream_once(
    make: Make, outage: Outage, in_step: InStep, counter: Counter, as_task: bool
) -> None:
    """Programs for the bare library subscribe in connectedEvent. Two handlers with the same request get a list each."""
    connector = make()
    ib, lists, bars = connector.ib, [], []
    connector.ib.connectedEvent += lambda: lists.append(ib.reqRealTimeBars(AAPL, 5, "TRADES", False))

    def subscribe() -> None:
        asked = ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
        asked.updateEvent += lambda *_: bars.append(asked)
        lists.append(asked)

    async def subscribe_in_a_task() -> None:
        subscribe()

    ib.connectedEvent += subscribe_in_a_task if as_task else subscribe
    await connector.connect_async()
    own = ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    for _ in range(2):
        await outage(connector, "reset")
    assert len(lists) == 6
    assert len(await in_step(connector)) == 3
    bars.clear()
    await counter(own.updateEvent).beyond(1)
    assert {id(each) for each in bars} == {id(lists[-1])}
    assert len({each.reqId for each in (own, *lists[-2:])}) == 3
    for each in (own, *lists[-2:]):
        ib.cancelRealTimeBars(each)
    assert await in_step(connector) == set()


async def test_a_cancel_of_the_last_request_that_waits_ends_the_restore(gateway: Gateway, make: Make) -> None:
    connector = make(send_rate=5.0, send_burst=1, restore_grace=0.1, request_timeout=20.0)
    await connector.connect_async()
    connector.ib.reqMktData(AAPL)
    connector.ib.client.reqAccountUpdates(True, OTHER)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqAccountUpdates")) == 2)
    await gateway.fault("mute", "reqMktData")
    await gateway.fault("reset")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == 2, 15)
    assert internals.subscription_ids(connector, SubscriptionStage.QUEUED) == ["account updates"]
    connector.ib.client.reqAccountUpdates(False, OTHER)
    await connector.wait_ready_async(5)


@pytest.mark.parametrize("losses", [1, 2])
async def test_a_stream_of_the_client_can_be_cancelled_with_its_id_after_1101(
    losses: int, gateway: Gateway, make: Make, in_step: InStep, outage: Outage
) -> None:
    connector = make()
    await connector.connect_async()
    client = connector.ib.client
    ids = [client.getReqId() for _ in range(3)]
    client.reqAccountSummary(ids[0], "All", "NetLiquidation")
    client.reqAccountUpdatesMulti(ids[1], ACCOUNT, "model", False)
    client.reqMktData(ids[2], AAPL, "", False, False, [])
    assert len(await in_step(connector)) == 3
    for number in range(losses):
        await outage(connector, "1101")
        await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == number + 2)  # noqa: B023
        await in_step(connector)
    client.cancelAccountSummary(ids[0])
    client.cancelAccountUpdatesMulti(ids[1])
    client.cancelMktData(ids[2])
    assert connector.subscriptions == ()
    assert await in_step(connector) == set()


async def test_a_caller_that_awaits_a_replaced_stream_gets_the_answer_of_its_successor(
    gateway: Gateway, make: Make
) -> None:
    connector = make(probe_after=60.0)
    await connector.connect_async()
    client = connector.ib.client
    await gateway.fault("freeze")
    first = asyncio.ensure_future(connector.ib.reqAccountSummaryAsync())
    await asyncio.sleep(0)
    *_, (_, sub) = internals.session(connector).subscriptions._registry
    answered_at = internals.session(connector).last_answer
    client.reqAccountSummary(client.getReqId(), **sub.arguments)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not first.done()
    assert internals.session(connector).last_answer == answered_at
    await gateway.fault("thaw")
    async with asyncio.timeout(5):
        await first
    assert connector.ib.wrapper.acctSummary


def _error_logs(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


async def test_a_handler_of_connected_event_may_request_every_kind_in_every_session(
    case: Any,
    make: Make,
    ask: Ask,
    outage: Outage,
    in_step: InStep,
    counter: Counter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connector = make()
    asked: asyncio.Queue[Any] = asyncio.Queue()

    async def subscribe() -> None:
        asked.put_nowait(await ask(case, connector))

    connector.ib.connectedEvent += subscribe
    await connector.connect_async()
    async with asyncio.timeout(15):
        thing = await asked.get()
        before, count = await in_step(connector), len(connector.subscriptions)
        for _ in range(2):
            caplog.clear()
            await outage(connector, "reset")
            former, thing = thing, await asked.get()
            assert len(await in_step(connector)) == len(before)
            assert len(connector.subscriptions) == count
            if isinstance(thing, (Ticker, PnL, PnLSingle)):  # each request of bars has its own list
                assert thing is former
            assert not [text for text in _error_logs(caplog) if "RECONNECTING" not in text]
        news = counter(case.event(connector.ib, thing), case.fits)
        if not case.is_told_once:
            await news.beyond(0)
    case.cancel(connector.ib, thing)
    if case.cancels:
        assert connector.subscriptions == ()
        assert await in_step(connector) == set()


@pytest.mark.parametrize("is_lost_twice", [False, True])
@pytest.mark.parametrize("name", ["PnL", "PnL single"])
async def test_a_pnl_may_be_requested_again_once_after_a_loss(
    name: str,
    is_lost_twice: bool,
    cases: dict[str, Any],
    make: Make,
    outage: Outage,
    in_step: InStep,
    counter: Counter,
) -> None:
    """A second request in the same session is an error, as in the library."""
    case, connector = cases[name], make()
    await connector.connect_async()
    pnl = case.ask(connector.ib)
    for _ in range(1 + is_lost_twice):
        with pytest.raises(AssertionError):
            case.ask(connector.ib)
        await outage(connector, "reset")
        assert case.ask(connector.ib) is pnl
    assert len(await in_step(connector)) == 1
    await counter(case.event(connector.ib, pnl)).beyond(0)
    case.cancel(connector.ib, pnl)
    assert connector.subscriptions == ()
    assert await in_step(connector) == set()
    assert case.ask(connector.ib) is not pnl
    assert len(await in_step(connector)) == 1


@pytest.mark.parametrize("name", ["PnL", "PnL single"])
async def test_a_pnl_may_be_requested_again_while_there_is_no_session(
    name: str, gateway: Gateway, cases: dict[str, Any], make: Make, in_step: InStep
) -> None:
    case, connector = cases[name], make()
    await connector.connect_async()
    pnl, lost = case.ask(connector.ib), asyncio.Event()
    connector.ib.disconnectedEvent += lost.set
    await gateway.fault("reset")
    await lost.wait()
    assert case.ask(connector.ib) is pnl
    await connector.wait_ready_async(5)
    assert case.ask(connector.ib) is pnl
    assert len(await in_step(connector)) == 1


async def test_wsh_events_with_another_filter_replace_those_of_the_last_session(
    gateway: Gateway, make: Make, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    ib = connector.ib
    ib.reqWshEventData(WshEventData(conId=AAPL.conId))
    for limit in (10, 20):
        caplog.clear()
        await outage(connector, "reset")
        ib.reqWshEventData(WshEventData(conId=AAPL.conId, totalLimit=limit))
        assert "already active" not in caplog.text
        assert len(connector.subscriptions) == 1
        await gateway.wait_for(
            lambda gateway, limit=limit: str(limit) in gateway.seen.received("reqWshEventData")[-1].fields
        )
    ib.reqWshEventData(WshEventData(conId=AAPL.conId))
    assert "already active" in caplog.text, "in the same session, as in the library"
    ib.cancelWshEventData()
    assert connector.subscriptions == ()
