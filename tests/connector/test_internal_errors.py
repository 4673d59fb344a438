"""A mistake in our own code: told loudly, and nothing is called ready that nobody watches any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ibkr import ConnectionState, IBConnector, Status, UpstreamState
from ibkr.simulator import Gateway
from ibkr.wire import encode_fields, frame
from tests.given import AAPL, Make, NextTick, StateOf


@pytest.fixture
def mistake(monkeypatch: pytest.MonkeyPatch) -> Callable[[IBConnector], None]:
    """The next code that comes breaks the machine."""

    def make(connector: IBConnector) -> None:
        def broken(fact: object, now: object) -> object:
            monkeypatch.undo()
            raise KeyError("a mistake of ours")

        monkeypatch.setattr(connector._machine, "step", broken)

    return make


async def test_the_session_ends_loudly_and_a_connect_starts_over(
    gateway: Gateway,
    make: Make,
    state_of: StateOf,
    mistake: Callable[[IBConnector], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    connector = make()
    await connector.connect_async()
    mistake(connector)
    await gateway.fault("1100")
    status = await state_of(connector, lambda status: status.state is ConnectionState.FAILED)
    assert "a mistake of ours" in status.reason
    assert not status.is_connected
    assert not status.may_trade
    assert "CRITICAL" in caplog.text
    assert "a mistake of ours" in caplog.text
    await gateway.wait_for(lambda gateway: not gateway.client_ids)
    await gateway.fault("clear")
    assert await connector.connect_async() is True


async def test_connect_raises_what_broke(gateway: Gateway, make: Make, mistake: Callable[[IBConnector], None]) -> None:
    connector = make()
    await gateway.fault("silent")
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
    mistake(connector)
    await gateway.fault("reset")
    with pytest.raises(RuntimeError, match="please report it: KeyError"):
        await connecting


async def test_a_timer_stopped_behind_a_callback_that_turns_the_loop(gateway: Gateway, make: Make) -> None:
    """As ``ib.sleep`` in a callback does, where the loop is patched to nest: a timer comes due before it is stopped."""
    connector = make(closed_every=0.01)
    await connector.connect_async()
    fired: list[object] = []

    def turn_the_loop(status: Status) -> None:
        if status.next_retry_at is not None and not fired:
            connector.reconnect()  # waits its turn, and will stop the retry timer
            timer = connector._driver._timers[next(iter(connector._driver._timers))]
            timer._run()
            timer.cancel()
            fired.append(timer)

    connector.on_status(turn_the_loop)
    await gateway.fault("close_on_accept")
    await gateway.fault("close")
    await gateway.wait_for(lambda gateway: gateway.seen.connects >= 4)
    await gateway.fault("clear")
    await connector.wait_ready_async(5)
    assert fired


async def test_a_socket_that_ends_behind_a_callback_that_turns_the_loop(
    gateway: Gateway, make: Make, next_tick: NextTick
) -> None:
    """What came before its end waits in the queue, and asks for what cannot be asked for any more."""
    connector = make()
    await connector.connect_async()
    ticker = connector.ib.reqMktData(AAPL)
    ended: list[Status] = []

    def turn_the_loop(status: Status) -> None:
        if status.upstream is UpstreamState.DOWN and not ended:
            ended.append(status)
            connection = connector.ib.client.conn
            connection.data_received(frame(encode_fields(4, 2, -1, 1101, "Connectivity restored - data lost", "")))
            transport: Any = connection.transport
            transport.set_protocol(asyncio.Protocol())
            transport.abort()
            connection.connection_lost(None)

    connector.on_status(turn_the_loop)
    await gateway.fault("1100")
    await gateway.wait_for(lambda gateway: gateway.seen.connects == 2)
    await gateway.fault("1102")
    await connector.wait_ready_async(5)
    assert ended
    await next_tick(ticker)
