"""Single streams that the gateway has ended or withheld, or that are silent although upstream and farm work again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ib_async import IB, Ticker

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, MSFT, Back, Make, NextTick, StateOf, States, Ticking

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED
SHORT = {"stream_silence": 0.25, "stream_pause": 0.1}


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


def asked(gateway: Gateway, symbol: str) -> int:
    """How often the gateway was asked for the market data of this symbol."""
    return sum(symbol in request.fields for request in gateway.seen.received("reqMktData"))


async def ticks_of_gateway(gateway: Gateway, number: int) -> None:
    """Wait until the gateway has sent this many more ticks."""
    enough = gateway.seen.ticks + number
    await gateway.wait_for(lambda gateway: gateway.seen.ticks >= enough)


@pytest.mark.parametrize("code", [10182, 10225, 316, 317])
async def test_a_stream_that_the_gateway_ends_is_requested_again(
    code: int, gateway: Gateway, states: States, next_tick: NextTick, ticking: Ticking
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    await gateway.fault("end_stream", "AAPL", code)
    await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7))
    await next_tick(ticker)
    assert (asked(gateway, "AAPL"), gateway.seen.connects, seen) == (2, 1, [READY])
    assert connector.ib.ticker(AAPL) is ticker
    connector.ib.cancelMktData(AAPL)
    await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))


async def test_the_programs_own_listeners_are_told_which_contract_it_was(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    ticker = connector.ib.reqMktData(AAPL)
    await gateway.wait_for(lambda gateway: gateway.seen.live_subscriptions(7))
    received: list[tuple[int, Any]] = []
    connector.ib.errorEvent += lambda req_id, code, text, contract: received.append((code, contract))
    await gateway.fault("end_stream", "AAPL")
    await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == 2)
    assert received == [(10182, ticker.contract)]


async def test_an_ended_stream_is_requested_when_its_farm_is_up_and_reported_until_then(
    gateway: Gateway, state_of: StateOf, next_tick: NextTick, ticking: Ticking
) -> None:
    connector, ticker = await ticking(**SHORT)
    await gateway.fault("break_farm")
    await gateway.fault("end_stream", "AAPL")
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert status.reason.startswith("subscriptions ended by the gateway: AAPL (10182: ")
    assert (status.may_trade, status.codes) == (True, (10182,))
    assert asked(gateway, "AAPL") == 1
    await gateway.fault("mend_farm")
    await connector.wait_ready_async(5)
    await next_tick(ticker)
    assert asked(gateway, "AAPL") == 2


async def test_a_stream_that_keeps_ending_is_requested_with_pauses(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    """A flood of requests would not help."""
    connector = make(stream_pause=0.2)
    await connector.connect_async()
    connector.ib.reqMktData(AAPL)
    connector.ib.reqMktData(MSFT)
    await ticks_of_gateway(gateway, 40)  # by now the rate limit allows all messages again
    await gateway.fault("end_stream", "AAPL")
    await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == 2)
    await gateway.fault("end_stream", "AAPL")
    status = await state_of(connector, lambda status: status.state is DEGRADED)
    assert "AAPL" in status.reason
    await connector.wait_ready_async(5)
    await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == 3)
    first, second = [request.time for request in gateway.seen.received("reqMktData") if "AAPL" in request.fields][1:]
    assert second - first >= 0.1, "stream_pause is 0.2 s; a busy gateway receives the first request late"


async def test_a_stream_that_ticks_and_ends_each_time_is_requested_with_growing_waits(
    gateway: Gateway, ticking: Ticking, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(stream_retry=0.2, stream_pause=0.01)
    for number in range(2, 6):
        await gateway.fault("end_stream", "AAPL")
        await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == number)  # noqa: B023
        await next_tick(ticker)
    times = [request.time for request in gateway.seen.received("reqMktData")]
    assert times[-1] - times[-2] >= 0.6, "after 0, 0.2, 0.4 s: 0.8 s"
    assert times[-1] - times[1] >= 1.1
    await connector.wait_ready_async(5)


async def test_a_competing_login_is_told_until_the_ticks_go_on(
    gateway: Gateway, states: States, state_of: StateOf, next_tick: NextTick, ticking: Ticking
) -> None:
    connector, ticker = await ticking()
    seen = states(connector)
    await gateway.fault("competing_login")
    status = await state_of(connector, lambda status: "10197" in status.reason)
    assert status.reason.endswith("market data withheld while this user is logged in elsewhere (10197): AAPL")
    assert status.may_trade
    await gateway.fault("end_competing_login")
    await next_tick(ticker)
    await state_of(connector, lambda status: "10197" not in status.reason)
    assert (asked(gateway, "AAPL"), seen) == (1, [READY])


async def test_a_farm_that_flaps_leaves_the_session_alone_and_has_its_streams_watched(
    gateway: Gateway, make: Make, states: States, next_tick: NextTick
) -> None:
    """2103 and 2104 of one farm come 0.7 s apart. Only the stream that does not tick is requested again, once."""
    connector = make(**SHORT)
    await connector.connect_async()
    alive, dead = connector.ib.reqMktData(MSFT), connector.ib.reqMktData(AAPL)
    await ticks_of_gateway(gateway, 40)
    await next_tick(dead)
    seen = states(connector)
    await gateway.fault("break_farm")
    await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("stall_stream", "AAPL")
    gateway_time = gateway.seen.received("reqCurrentTime")[-1].time
    while connector.ib.client.conn.transport is not None:  # until 0.7 s have passed on the gateway's clock
        await connector.ib.reqCurrentTimeAsync()
        if gateway.seen.received("reqCurrentTime")[-1].time - gateway_time > 0.7:
            break
    await gateway.fault("mend_farm")
    await next_tick(alive)
    await next_tick(dead)
    assert (asked(gateway, "AAPL"), asked(gateway, "MSFT")) == (2, 1)
    assert (gateway.seen.connects, seen) == (1, [READY])
    await gateway.fault("stall_stream", "AAPL")
    await ticks_of_gateway(gateway, 50)  # this takes a second: four times the allowed silence
    assert asked(gateway, "AAPL") == 2, "once for one event"


@pytest.mark.parametrize(
    ("request_name", "message", "ask"),
    [
        ("reqMktDepth", "updateMktDepthL2", lambda ib: ib.reqMktDepth(AAPL, isSmartDepth=True)),
        ("reqTickByTickData", "tickByTickBidAsk", lambda ib: ib.reqTickByTickData(AAPL, "BidAsk")),
    ],
)
async def test_a_silent_stream_is_requested_again_although_its_ticker_has_another_live_stream(
    request_name: str, message: str, ask: Callable[[IB], Ticker], gateway: Gateway, ticking: Ticking
) -> None:
    connector, ticker = await ticking(**SHORT)
    assert ask(connector.ib) is ticker
    await gateway.wait_for(lambda gateway: gateway.seen.received(request_name))
    await ticks_of_gateway(gateway, 60)
    await gateway.fault("break_farm")
    await gateway.fault("mute", request_name)
    await gateway.fault("drop_message", message)
    await gateway.fault("mend_farm")
    await gateway.wait_for(lambda gateway: len(gateway.seen.received(request_name)) == 2)
    assert asked(gateway, "AAPL") == 1


SAME_TICKER = [
    lambda ib: ib.reqMktDepth(AAPL, isSmartDepth=True),
    lambda ib: ib.reqTickByTickData(AAPL, "BidAsk"),
]


@pytest.mark.parametrize("ask", SAME_TICKER)
async def test_market_data_is_requested_again_although_its_ticker_has_another_live_stream(
    ask: Callable[[IB], Ticker], gateway: Gateway, ticking: Ticking
) -> None:
    connector, ticker = await ticking(**SHORT)
    assert ask(connector.ib) is ticker
    await ticks_of_gateway(gateway, 60)
    await gateway.fault("break_farm")
    await gateway.fault("mute", "reqMktData")
    for message in ("tickPrice", "tickSize", "tickString", "tickGeneric"):
        await gateway.fault("drop_message", message)
    await gateway.fault("mend_farm")
    await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == 2)
    ticked: list[Ticker] = []
    ticker.updateEvent += ticked.append
    await gateway.wait_for(lambda gateway: asked(gateway, "AAPL") == 3)
    states = {each.kind: each.state for each in connector.subscriptions}
    assert ticked, "the other stream has ticked meanwhile"
    assert (states.pop("market data"), set(states.values())) == ("silent", {"live"})


async def test_a_stream_that_stays_silent_after_1102_is_requested_again(
    gateway: Gateway, make: Make, next_tick: NextTick
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    alive, dead = connector.ib.reqMktData(MSFT), connector.ib.reqMktData(AAPL)
    await ticks_of_gateway(gateway, 40)
    await gateway.fault("lose_upstream")
    await gateway.fault("stall_stream", "AAPL")
    await gateway.fault("restore_upstream")
    await next_tick(alive)
    await next_tick(dead)
    assert (asked(gateway, "AAPL"), asked(gateway, "MSFT"), gateway.seen.connects) == (2, 1, 1)


async def test_what_never_ticked_much_is_not_missed(gateway: Gateway, make: Make, next_tick: NextTick) -> None:
    connector = make(**SHORT, stream_ticks=10_000)
    await connector.connect_async()
    alive = connector.ib.reqMktData(MSFT)
    connector.ib.reqMktData(AAPL)
    await ticks_of_gateway(gateway, 40)
    await gateway.fault("stall_stream", "AAPL")
    await gateway.fault("lose_upstream")
    await gateway.fault("restore_upstream")
    await next_tick(alive)
    await ticks_of_gateway(gateway, 50)
    assert asked(gateway, "AAPL") == 1


async def test_too_many_messages_slow_us_down_for_this_session(
    gateway: Gateway, make: Make, state_of: StateOf, back: Back
) -> None:
    connector = make()
    await connector.connect_async()
    limiter = internals.rate_limiter(connector)
    usual = limiter.rate
    await gateway.fault("warn_of_pace")
    status = await state_of(connector, lambda status: "(100)" in status.reason)
    assert status.state is READY
    assert limiter.rate == usual / 2
    await gateway.fault("warn_of_pace")
    await state_of(connector, lambda status: "2 times" in status.reason)
    assert limiter.rate == usual / 4
    await gateway.fault("reset")
    await back(connector)
    assert limiter.rate == usual
    assert "(100)" not in connector.status.reason
