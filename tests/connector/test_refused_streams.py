"""Refused or silent streams are requested again until they run, and the status names them until then."""

from __future__ import annotations

import pytest

from ibkr import ConnectionState
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Back, Make, NextTick, StateOf, States, Ticking

from .test_streams import ticks_of_gateway

READY, DEGRADED = ConnectionState.READY, ConnectionState.DEGRADED
QUICK = {"stream_retry": 0.05, "stream_pause": 0.02, "stream_silence": 0.25}
FOR_NOW = {
    101: "Max number of tickers has been reached",
    102: "Duplicate ticker id",
    162: "Historical Market Data Service error message:Trading TWS session is connected from a different IP address",
    309: "Max number (3) of market depth requests has been reached",
    322: "Error processing request.-'bX' : cause - Duplicate ticker id",
    385: "Duplicate scanner subscription id",
    386: "Duplicate ticker id for historical data query",
    420: "Invalid Real-time Query:Historical data request pacing violation",
    10189: "Failed to request tick-by-tick data:No market data permissions, different IP",
    10190: "Max number of tick-by-tick requests has been reached",
    10346: "displayed by another client",
}
FOR_GOOD = {
    200: "No security definition has been found",
    354: "Requested market data is not subscribed",
    10089: "needs",
}


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


def asked(gateway: Gateway, request: str = "reqMktData") -> int:
    return len(gateway.seen.received(request))


@pytest.mark.parametrize(("code", "text"), [*FOR_NOW.items(), *FOR_GOOD.items()])
async def test_a_stream_refused_after_a_restart_is_requested_until_it_runs(
    code: int, text: str, gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK)
    await gateway.fault("refuse", "reqMktData", code, 0.4, text)
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: status.outages == 1 and status.state is DEGRADED)
    assert status.reason.startswith(f"subscriptions refused: AAPL ({code}: {text[:20]}")
    assert (status.may_trade, status.codes) == (True, (code,))
    (told,) = connector.subscriptions
    assert (told.kind, told.label, told.state, told.code) == ("market data", "AAPL", "refused", code)
    await next_tick(ticker)
    await connector.wait_ready_async(5)
    assert 3 <= asked(gateway) <= 8, "the waits grow; a busy machine makes fewer of them"
    assert gateway.seen.connects == 2
    assert connector.ib.ticker(AAPL) is ticker
    assert [told.state for told in connector.subscriptions] == ["live"]


@pytest.mark.parametrize(("code", "text"), FOR_NOW.items())
async def test_a_new_stream_with_a_temporary_refusal_is_kept(
    code: int, text: str, gateway: Gateway, make: Make, state_of: StateOf, next_tick: NextTick
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    await gateway.fault("refuse", "reqMktData", code, 0.3, text)
    ticker = connector.ib.reqMktData(AAPL)
    status = await state_of(connector, lambda status: "refused for now" in status.reason)
    assert status.state is READY, "it never ran"
    await next_tick(ticker)
    await state_of(connector, lambda status: "refused" not in status.reason)


@pytest.mark.parametrize(("code", "text"), FOR_GOOD.items())
async def test_a_new_stream_with_a_permanent_refusal_is_dropped(
    code: int, text: str, gateway: Gateway, make: Make
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    await gateway.fault("refuse", "reqMktData", code, 60, text)
    connector.ib.reqMktData(AAPL)
    await gateway.wait_for(lambda gateway: asked(gateway) == 1)
    for _ in range(3):
        await connector.ib.reqCurrentTimeAsync()
    assert (connector.subscriptions, connector.status.state) == ((), READY)


async def test_words_about_a_stream_are_no_data(gateway: Gateway, make: Make) -> None:
    """The gateway sends the tick size, and then the error that the user has no subscription."""
    connector = make(**QUICK)
    await connector.connect_async()
    await gateway.fault("mute", "reqMktData")
    ticker = connector.ib.reqMktData(AAPL)
    await gateway.wait_for(lambda gateway: asked(gateway) == 1)
    (client,) = gateway._state.clients
    req_id = internals.subscription_ids(connector)[0]
    body = f"81\0{req_id}\0000.01\0\0003\0".encode()
    client.send_raw(len(body).to_bytes(4, "big") + body)
    client.send_error(req_id, 354, "Requested market data is not subscribed")
    await connector.ib.reqCurrentTimeAsync()
    assert (connector.subscriptions, connector.status.state) == ((), READY)
    assert ticker.minTick == 0.01


@pytest.mark.parametrize("back", ["mend_farm", "restore_upstream"])
async def test_refused_streams_are_requested_at_once_when_the_farm_is_back(
    back: str, gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    connector, ticker = await ticking(**QUICK | {"stream_retry": 600.0, "stream_retry_cap": 600.0})
    await gateway.fault("refuse", "reqMktData", 200)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.state is DEGRADED)
    await gateway.fault("break_farm" if back == "mend_farm" else "lose_upstream")
    await gateway.fault("refuse", "reqMktData", 200, 0)
    await gateway.fault(back)
    await next_tick(ticker)
    await connector.wait_ready_async(5)
    assert asked(gateway) == 3


async def test_a_stream_counts_as_withheld_until_its_next_tick(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick
) -> None:
    """The other login has ended, and the stream stays silent."""
    connector, ticker = await ticking(**QUICK)
    await ticks_of_gateway(gateway, 40)
    await next_tick(ticker)
    await gateway.fault("competing_login")
    await state_of(connector, lambda status: "10197" in status.reason)
    await gateway.fault("stall_stream", "AAPL")
    await gateway.fault("mute", "reqMktData")
    await gateway.fault("end_competing_login")
    for fault in ("break_farm", "mend_farm"):
        await gateway.fault(fault)
    before = asked(gateway)
    await gateway.wait_for(lambda gateway: asked(gateway) > before)
    for _ in range(3):
        await connector.ib.reqCurrentTimeAsync()
    assert "(10197): AAPL" in connector.status.reason
    assert [told.state for told in connector.subscriptions] == ["withheld"]
    await gateway.fault("clear")
    for fault in ("break_farm", "mend_farm"):
        await gateway.fault(fault)
    await next_tick(ticker)
    await state_of(connector, lambda status: "10197" not in status.reason)


async def test_bars_that_a_bust_event_ends_are_requested_once(gateway: Gateway, make: Make, back: Back) -> None:
    """The library itself would also request these bars again."""
    connector = make(**QUICK | {"stream_pause": 0.3})
    await connector.connect_async()
    connector.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    await gateway.wait_for(lambda gateway: asked(gateway, "reqRealTimeBars") == 1)
    await gateway.fault("lose_upstream")
    for _ in range(2):
        await gateway.fault("end_stream", "AAPL", 10225)
    await gateway.fault("restore_upstream")
    await gateway.wait_for(lambda gateway: asked(gateway, "reqRealTimeBars") == 2)
    await connector.wait_ready_async(5)
    for _ in range(3):
        await connector.ib.reqCurrentTimeAsync()
    assert asked(gateway, "reqRealTimeBars") == 2


@pytest.mark.thorough
@pytest.mark.timeout(120)
async def test_refused_for_half_a_minute_with_the_usual_waits(
    gateway: Gateway, ticking: Ticking, state_of: StateOf, next_tick: NextTick, is_thorough: bool
) -> None:
    seconds = 30.0 if is_thorough else 2.0
    connector, ticker = await ticking()
    await gateway.fault("refuse", "reqMktData", 200, seconds)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.state is DEGRADED)
    await connector.wait_ready_async(seconds + 10)
    await next_tick(ticker)


@pytest.mark.parametrize("reaction", ["cancel", "request"])
async def test_a_listener_may_cancel_or_request_again_what_is_refused_for_good(
    reaction: str, gateway: Gateway, make: Make, next_tick: NextTick
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    ib, failed = connector.ib, []

    def react(req_id: int, code: int, text: str, contract: object) -> None:
        try:
            ib.cancelMktData(AAPL) if reaction == "cancel" else ib.reqMktData(AAPL)
        except Exception as error:
            failed.append(error)

    ib.errorEvent += react
    await gateway.fault("refuse", "reqMktData", 354, 0.1, "Requested market data is not subscribed")
    ticker = ib.reqMktData(AAPL)
    if reaction == "request":
        await next_tick(ticker)
        assert [told.state for told in connector.subscriptions] == ["live"]
        assert ib.ticker(AAPL) is ticker
    else:
        await gateway.wait_for(lambda gateway: asked(gateway) == 1)
        for _ in range(3):
            await ib.reqCurrentTimeAsync()
        assert (connector.subscriptions, asked(gateway)) == ((), 1)
        assert not gateway.seen.received("cancelMktData"), "the gateway does not have it"
    assert (failed, connector.status.state) == ([], READY)


@pytest.mark.parametrize("fault", ["reset", "1101"])
@pytest.mark.parametrize("request_name", ["reqMktData", "reqRealTimeBars"])
async def test_a_stream_that_was_accepted_and_quiet_is_kept_when_it_is_refused_later(
    request_name: str, fault: str, gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(**QUICK)
    await connector.connect_async()
    await gateway.fault("mute", request_name)
    if request_name == "reqMktData":
        connector.ib.reqMktData(AAPL)
    else:
        connector.ib.reqRealTimeBars(AAPL, 5, "TRADES", False)
    await gateway.wait_for(lambda gateway: asked(gateway, request_name) == 1)
    await connector.ib.reqCurrentTimeAsync()
    await gateway.fault("clear")
    await gateway.fault("refuse", request_name, 200, 0.3, "No security definition has been found")
    for each in ("1100", "1101") if fault == "1101" else (fault,):
        await gateway.fault(each)
    await state_of(connector, lambda status: "refused for now" in status.reason)
    await gateway.wait_for(lambda gateway: asked(gateway, request_name) > 2)
    await state_of(connector, lambda status: "refused" not in status.reason)
    assert [told.state for told in connector.subscriptions] in (["sent"], ["live"])
    assert connector.last_gap is not None
    assert len(connector.last_gap.subscriptions_refused) == 1


async def test_a_refusal_that_takes_long_is_not_taken_for_an_acceptance(
    gateway: Gateway, ticking: Ticking, states: States, state_of: StateOf
) -> None:
    connector, _ = await ticking(**QUICK)
    await gateway.fault("refuse", "reqMktData", 200)
    await gateway.fault("delay", 1.2)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.state is DEGRADED)
    seen = states(connector)
    await gateway.wait_for(lambda gateway: asked(gateway) == 4)
    assert seen == [DEGRADED]
    await gateway.fault("clear")
    await connector.wait_ready_async(10)
