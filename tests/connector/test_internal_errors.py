"""An internal error is logged as CRITICAL and ends the connection, so that no status is READY without supervision.

This file has over 300 lines because such an error can occur in many places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from ibkr import ConnectionState, IBConnector, Status, UpstreamState
from ibkr.core.events import UnconfirmedOrdersChanged
from ibkr.core.machine import IllegalEvent
from ibkr.session.library.client import ClientOverrides
from ibkr.session.message_handler import MessageHandler
from ibkr.session.session import Session
from ibkr.session.subscriptions import SubscriptionManager
from ibkr.simulator import Gateway, ThreadedGateway
from ibkr.wire import encode_fields, frame
from tests import internals
from tests.fixture_types import AAPL, Make, NextTick, StateOf, States


@pytest.fixture
def mistake(monkeypatch: pytest.MonkeyPatch) -> Callable[[IBConnector], None]:
    """Makes the next code break the machine."""

    def make(connector: IBConnector) -> None:
        def broken(fact: object, now: object) -> object:
            monkeypatch.undo()
            raise KeyError("a mistake of ours")

        monkeypatch.setattr(internals.machine(connector), "step", broken)

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


def broken(*_args: object, **_options: object) -> NoReturn:
    """Replaces a method or property of the session."""
    raise AttributeError("a name that the library does not have")


@pytest.fixture
def break_session(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these parts of every session raise an error from now on."""

    def make(*names: str) -> None:
        for name in names:
            is_property = isinstance(vars(Session)[name], property)
            monkeypatch.setattr(Session, name, property(broken) if is_property else broken)

    return make


async def says_failed(connector: IBConnector) -> None:
    """The status is FAILED with the reason, and a disconnect does not wait."""
    status = connector.status
    assert status.state is ConnectionState.FAILED
    assert "a name that the library does not have" in status.reason
    assert (status.is_connected, status.may_trade) == (False, False)
    async with asyncio.timeout(2):
        assert await connector.disconnect_async() is True


EFFECTS = (
    "start_attempt",
    "send_startup_requests",
    "compare_broker_state",
    "emit_connected_event",
    "report_gap",
    "lost_transport",
)
ENDS = ("abort_socket", "end_subscriptions", "has_ended", "shut_down")


@pytest.mark.parametrize("ends", [(), *((name,) for name in ENDS), ENDS], ids="+".join)
@pytest.mark.parametrize("breaks", EFFECTS)
async def test_connect_raises_whatever_breaks_and_whatever_breaks_then(
    make: Make, break_session: Callable[..., None], breaks: str, ends: tuple[str, ...]
) -> None:
    connector = make()
    break_session(breaks, *ends)
    async with asyncio.timeout(2):
        with pytest.raises(RuntimeError, match="please report it: AttributeError"):
            await connector.connect_async()
    await says_failed(connector)


@pytest.mark.parametrize("ends", [(), ENDS], ids="+".join)
@pytest.mark.parametrize("breaks", ["last_message", "has_socket"])
async def test_connect_raises_what_breaks_when_a_timer_is_due(
    gateway: Gateway, make: Make, break_session: Callable[..., None], breaks: str, ends: tuple[str, ...]
) -> None:
    await gateway.fault("silent")
    connector = make(timeout=0.05)
    break_session(breaks, *ends)
    async with asyncio.timeout(2):
        with pytest.raises(RuntimeError, match="please report it: AttributeError"):
            await connector.connect_async()
    await says_failed(connector)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (ClientOverrides, "connectAsync"),
        (MessageHandler, "session_opened"),
        (MessageHandler, "slice_read"),
        (ClientOverrides, "write"),
    ],
)
async def test_connect_raises_what_breaks_outside_of_an_effect(
    make: Make, monkeypatch: pytest.MonkeyPatch, cls: type, name: str
) -> None:
    connector = make()
    monkeypatch.setattr(cls, name, broken)
    async with asyncio.timeout(2):
        with pytest.raises(RuntimeError, match="please report it: AttributeError"):
            await connector.connect_async()
    await says_failed(connector)


async def test_what_breaks_at_the_end_of_a_session_is_reported(
    gateway: Gateway, make: Make, state_of: StateOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = make()
    await connector.connect_async()
    monkeypatch.setattr(SubscriptionManager, "before_reset", broken)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.state is ConnectionState.FAILED)
    monkeypatch.undo()
    await says_failed(connector)


@pytest.mark.parametrize("ends", [(), ENDS], ids="+".join)
async def test_a_transport_that_cannot_be_looked_at_ends_the_session(
    make: Make, break_session: Callable[..., None], ends: tuple[str, ...]
) -> None:
    connector = make()
    await connector.connect_async()
    break_session("lost_transport", *ends)
    await says_failed(connector)


async def test_a_mistake_outside_of_any_fact_ends_the_session_and_begins_no_other(
    gateway: Gateway, make: Make, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the session posts events. The connector must not treat these events as the loss of a session."""
    connector = make()
    await connector.connect_async()
    seen = states(connector)
    session = internals.session(connector)
    abort_socket = session.abort_socket

    def abort_and_tell() -> None:
        abort_socket()
        internals.driver(connector).post(UnconfirmedOrdersChanged(()))

    monkeypatch.setattr(session, "abort_socket", abort_and_tell)
    internals.driver(connector).break_off("testing it", KeyError("a mistake of ours"))
    assert connector.status.state is ConnectionState.FAILED
    await internals.driver(connector).wait_quiet()
    assert seen == [ConnectionState.READY, ConnectionState.FAILED]
    assert connector.stats.attempts == 1
    assert internals.timers(connector) == {}
    await gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert await connector.connect_async() is True


async def test_a_mistake_that_is_reported_in_the_middle_of_a_step_is_the_end_of_the_step(
    make: Make, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = make()
    seen = states(connector)
    mistake = KeyError("a mistake of ours")
    monkeypatch.setattr(
        internals.session(connector),
        "send_startup_requests",
        lambda: internals.driver(connector).break_off("testing it", mistake),
    )
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        await connector.connect_async()
    assert seen == [ConnectionState.DISCONNECTED, ConnectionState.CONNECTING, ConnectionState.FAILED]
    assert internals.timers(connector) == {}


@pytest.mark.parametrize("wanted", ["disconnect", "reconnect"])
async def test_an_end_that_is_never_told_is_not_awaited_without_limit(
    make: Make, state_of: StateOf, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    connector = make()
    await connector.connect_async()
    monkeypatch.setattr("ibkr.core.step.END_WITHIN", 0.05)
    session = internals.session(connector)
    with monkeypatch.context() as patch:
        patch.setattr(session, "close_socket", lambda: None)
        patch.setattr(session, "abort_socket", lambda: None)
        async with asyncio.timeout(5):
            if wanted == "disconnect":
                await connector.disconnect_async()
            else:
                connector.reconnect()
                await state_of(connector, lambda status: status.state is ConnectionState.FAILED)
        assert "SocketCloseLost" in connector.status.reason
    session.abort_socket()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("breaks", ["shut_down", "abandon"])
def test_a_closed_loop_is_the_end_whatever_breaks_then(
    script_loop: asyncio.AbstractEventLoop, break_session: Callable[..., None], breaks: str
) -> None:
    told: list[ConnectionState] = []
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector("127.0.0.1", gateway.port, 7)
        connector.connect()
        connector.on_status(lambda status: told.append(status.state))
        break_session(breaks)
        script_loop.close()
        assert connector.status.state is ConnectionState.FAILED
        assert "was closed" in connector.status.reason
        connection: Any = connector.ib.client.conn
        connection.reset()  # this closes the socket, as the broken step would have done
    assert told == [ConnectionState.FAILED]


async def test_after_a_broken_end_a_connect_starts_over(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await connector.connect_async()
    with monkeypatch.context() as patch:
        patch.setattr(Session, "end_subscriptions", broken)
        internals.driver(connector).post(IllegalEvent("no fact at all"))  # type: ignore[arg-type]
    assert connector.status.state is ConnectionState.FAILED
    assert [record.levelname for record in caplog.records].count("CRITICAL") == 2
    async with asyncio.timeout(5):
        assert await connector.connect_async() is True
    assert connector.status.outage is not None
    assert (connector.status.outage.cause, connector.status.outage.outcome) == ("failed", "recovered")


async def test_a_timer_stopped_behind_a_callback_that_turns_the_loop(gateway: Gateway, make: Make) -> None:
    """A callback runs ``ib.sleep`` in a nested loop, so a timer fires before it is stopped."""
    connector = make(closed_every=0.01)
    await connector.connect_async()
    fired: list[object] = []

    def turn_the_loop(status: Status) -> None:
        if status.next_retry_at is not None and not fired:
            connector.reconnect()  # this waits in the queue, and will stop the retry timer
            timer = internals.timers(connector)[next(iter(internals.timers(connector)))]
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
    """An event that came before the socket's end waits in the queue. Its effect is no longer possible."""
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
