"""Edge cases: handlers at unusual moments, calls without a pause between them, garbage collection."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from ib_async import Stock, Ticker

from ibkr import (
    ConfigError,
    ConnectionState,
    Fleet,
    GatewayUnreachable,
    IBConnector,
    NotReady,
    Policy,
    SessionState,
    Status,
)
from ibkr.simulator import Gateway, ThreadedGateway
from tests.fixture_types import AAPL, Back, Make, NextTick, Ticking

READY = ConnectionState.READY


def test_connectors_are_collected_while_others_are_made() -> None:
    """A finalizer once waited for a lock that another connector's constructor held. A deadlock fails the test."""
    thresholds = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(100):
            IBConnector("127.0.0.1", 7497, 1)
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    "wrong",
    [
        {"journal": "/"},
        {"journal": "a\0b"},
        {"record": "a\0b"},
        {"client_id": -1},
        {"client_id": None},
        {"fleet": Fleet("nats://127.0.0.1:9", name="a"), "client_id": None, "journal": "/"},
        {"policy": Policy(region="none"), "journal_sync": "often"},
        {"timeout": -1},
    ],
)
def test_a_connector_that_cannot_be_made_leaves_nothing_to_complain_about(wrong: dict[str, Any]) -> None:
    """The library's finalizer also runs for an object whose constructor has failed. A failing finalizer fails here."""
    with pytest.raises(ConfigError):
        IBConnector(**{"host": "127.0.0.1", "port": 7497, "client_id": 1, **wrong})
    gc.collect()


async def test_a_contract_that_the_caller_alters_later(
    gateway: Gateway, make: Make, next_tick: NextTick, back: Back
) -> None:
    connector = make()
    await connector.connect_async()
    contract = Stock("AAPL", "SMART", "USD", conId=265598)
    ticker = connector.ib.reqMktData(contract)
    await next_tick(ticker)
    contract.conId = 0
    await gateway.fault("reset")
    await back(connector)
    await next_tick(ticker)


async def test_a_request_that_the_library_refuses_is_not_kept(gateway: Gateway, make: Make, back: Back) -> None:
    connector = make()
    await connector.connect_async()
    with pytest.raises(AttributeError):
        connector.ib.reqMktData(AAPL, mktDataOptions=["x"])  # type: ignore[list-item]
    await gateway.fault("reset")
    await back(connector)
    assert not gateway.seen.received("reqMktData")


async def test_ids_taken_by_a_handler_of_the_first_packet(
    gateway: Gateway, next_tick: NextTick, ticking: Ticking, back: Back
) -> None:
    connector, ticker = await ticking()
    others: list[Ticker] = []

    def on_error(req_id: int, code: int, text: str, contract: object) -> None:
        if code == 2104 and not others:
            for symbol, con_id in (("MSFT", 272093), ("SPY", 756733)):
                others.append(connector.ib.reqMktData(Stock(symbol, "SMART", "USD", conId=con_id)))

    connector.ib.errorEvent.connect(on_error)
    await gateway.fault("reset")
    await back(connector)
    for each in (ticker, *others):
        await next_tick(each)
    assert sorted(gateway.seen.live_subscriptions(7).values()) == ["AAPL", "MSFT", "SPY"]


async def test_subscribing_again_in_connected_event_is_one_stream(
    gateway: Gateway, make: Make, next_tick: NextTick, back: Back
) -> None:
    """Programs for the bare library subscribe in connectedEvent, because the library restores nothing."""
    connector = make()
    connector.ib.connectedEvent.connect(lambda: connector.ib.reqMktData(AAPL), keep_ref=True)
    await connector.connect_async()
    for outage in (1, 2, 3):
        await gateway.fault("reset")
        await back(connector, outage)
    [ticker] = connector.ib.tickers()
    await next_tick(ticker)
    await gateway.wait_for(lambda gateway: len(gateway.seen.live_subscriptions(7)) == 1)
    assert connector.ib.cancelMktData(AAPL) is not False
    await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))


async def test_a_probe_does_not_wait_behind_the_callers_requests(gateway: Gateway, make: Make) -> None:
    connector = make(probe_after=0.3, suspect_after=0.3, probe_timeout=0.6)
    await connector.connect_async()
    suspects: list[Status] = []

    def note(status: Status) -> None:
        if status.session is SessionState.SUSPECT:
            suspects.append(status)

    connector.on_status(note)
    for _ in range(60):
        connector.ib.reqMarketDataType(1)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqCurrentTime")) >= 2)
    assert not suspects
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMarketDataType")) == 60)


@pytest.mark.parametrize("turns", range(4))
async def test_disconnect_is_over_when_somebody_connects_again(make: Make, turns: int) -> None:
    connector = make()
    first = asyncio.ensure_future(connector.connect_async())
    for _ in range(turns):
        await asyncio.sleep(0)
    leaving = asyncio.ensure_future(connector.disconnect_async())
    await asyncio.sleep(0)
    assert await asyncio.wait_for(connector.connect_async(), 5) is True
    await asyncio.wait_for(leaving, 10)
    await asyncio.wait_for(first, 10)


async def test_connect_says_what_is_true_when_a_callback_went_on(make: Make) -> None:
    connector = make()
    connector.on_status(lambda status: connector.disconnect() if status.state is READY else None)
    assert await connector.connect_async() is False
    connecting = asyncio.ensure_future(connector.connect_async())
    with pytest.raises(NotReady):
        await connector.wait_ready_async(5)
    await connecting


async def test_a_caller_who_asks_for_positions_at_the_same_time(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "reqPositions")
    pending = asyncio.ensure_future(connector.ib.reqPositionsAsync())
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqPositions")) == 2)
    await gateway.fault("1100")
    await gateway.fault("clear")
    await gateway.fault("1101")
    await connector.wait_ready_async(5)
    assert await asyncio.wait_for(pending, 10)


async def test_a_caller_who_asks_for_orders_during_start_up(make: Make) -> None:
    connector = make(request_timeout=0.3)
    asked: list[asyncio.Future[object]] = []

    def ask(status: Status) -> None:
        if status.state is ConnectionState.SYNCING and not asked:
            asked.append(asyncio.ensure_future(connector.ib.reqOpenOrdersAsync()))

    connector.on_status(ask)
    await connector.connect_async()
    assert connector.status.state is READY
    await asyncio.wait_for(asked[0], 10)


async def test_a_finished_ticker_does_not_come_back(make: Make, next_tick: NextTick) -> None:
    connector = make()
    await connector.connect_async()
    old = connector.ib.reqMktData(AAPL)
    await next_tick(old)
    await connector.disconnect_async()
    assert old.updateEvent.done()
    await connector.connect_async()
    assert connector.ib.tickers() == []
    new = connector.ib.reqMktData(AAPL)
    assert new is not old
    await next_tick(new)


async def test_an_absurd_frame_in_a_session_is_reported_before_the_librarys_listeners(make: Make, back: Back) -> None:
    connector = make()
    await connector.connect_async()
    met: list[bool] = []
    connector.ib.disconnectedEvent.connect(lambda: met.append(connector.is_connected()), keep_ref=True)
    connector.ib.client.conn.data_received(b"\x7f\xff\xff\xff" + b"junk" * 4)
    await back(connector)
    assert met == [False]


async def test_cancelled_error_from_a_callback(gateway: Gateway, make: Make) -> None:
    connector = make()

    def fails(status: Status) -> None:
        raise asyncio.CancelledError

    connector.on_status(fails)
    await connector.connect_async()
    assert connector.status.state is READY
    assert gateway.seen.connects == 1


@pytest.mark.parametrize("host", ["x" * 70, "a..b"])
async def test_names_that_cannot_be_encoded(host: str) -> None:
    connector = IBConnector(host, 7497, 1, policy=Policy(connect_attempts=1))
    with pytest.raises(GatewayUnreachable, match=r"check ibkr\.host"):
        await connector.connect_async()


@pytest.mark.usefixtures("script_loop")
def test_reconnect_in_a_plain_script(threaded_gateway: ThreadedGateway) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1)
    connector.connect()
    connector.reconnect()
    assert connector.wait_ready(5).state is READY
    assert threaded_gateway.seen.connects == 2
    connector.disconnect()


async def test_cancelled_error_from_a_handler_of_the_librarys_events(
    gateway: Gateway, make: Make, next_tick: NextTick, back: Back
) -> None:
    """For example, ``future.result()`` in a handler raises it. The library catches all other exceptions of handlers."""
    connector = make()

    def fails(*_told: object) -> None:
        raise asyncio.CancelledError

    for event in (connector.ib.connectedEvent, connector.ib.disconnectedEvent, connector.ib.accountValueEvent):
        event.connect(fails)
    async with asyncio.timeout(10):
        await connector.connect_async()
    ticker = connector.ib.reqMktData(AAPL)
    await next_tick(ticker)
    ticker.updateEvent += fails
    times = gateway.seen.ticks
    await gateway.wait_for(lambda gateway: gateway.seen.ticks > times + 3)
    await connector.ib.reqCurrentTimeAsync()
    assert (connector.status.state, gateway.seen.connects) == (READY, 1)
    ticker.updateEvent -= fails
    await gateway.fault("reset")
    await back(connector)
    await next_tick(ticker)
    assert (connector.status.state, gateway.seen.connects) == (READY, 2)


async def test_an_empty_message_while_a_first_tick_is_awaited(
    gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    gateway.market_is_open = False
    connector.ib.reqTickByTickData(AAPL, "BidAsk")
    connector.ib.client.conn.data_received(b"\0\0\0\0" + b"\0\0\0\1x")
    assert connector.status.is_connected
    async with asyncio.timeout(5):
        while caplog.text.count("Error handling fields: []") < 2:  # noqa: ASYNC110 - each slice needs a turn of the loop
            await asyncio.sleep(0)


def test_a_loop_that_is_blocked_while_the_gateway_answers(threaded_gateway: ThreadedGateway) -> None:
    """The current attempt succeeds. A second attempt would find the client id in use by the first attempt."""

    async def story() -> None:
        connector = IBConnector("127.0.0.1", threaded_gateway.port, 7, timeout=0.5)
        connecting = asyncio.ensure_future(connector.connect_async())
        while not connector.ib.client.conn.isConnected():  # noqa: ASYNC110 - the next turn of the loop is tested
            await asyncio.sleep(0)
        time.sleep(1)  # noqa: ASYNC251 - a caller that blocks is tested
        assert await connecting
        await connector.disconnect_async()
        assert threaded_gateway.seen.connects == 1

    asyncio.run(story())
