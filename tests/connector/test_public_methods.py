"""The connector's public methods: in any order, from any thread, in a running loop and without one."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading

import pytest
from ib_async import IB, Stock

from ibkr import ConfigError, ConnectionState, IBConnector, NotReady, Status, load_config
from ibkr.simulator import Gateway, ThreadedGateway
from tests.fixture_types import Make, StateOf


@pytest.mark.usefixtures("script_loop")
def test_a_plain_script(threaded_gateway: ThreadedGateway) -> None:
    with IBConnector("127.0.0.1", threaded_gateway.port, 1) as connector:
        assert connector.connected
        [details] = connector.ib.reqContractDetails(Stock("AAPL", "SMART", "USD"))
        assert details.contract.conId == 265598
        assert connector.wait_ready(5).state is ConnectionState.READY
    assert not connector.connected
    threaded_gateway.wait_for(lambda gateway: not gateway.client_ids)


@pytest.mark.usefixtures("script_loop")
def test_a_script_may_connect_again(threaded_gateway: ThreadedGateway) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1)
    for _ in range(3):
        assert connector.connect() is True
        assert connector.disconnect() is True
    assert threaded_gateway.seen.connects == 3


async def test_async_with(gateway: Gateway) -> None:
    async with IBConnector("127.0.0.1", gateway.port, 1) as connector:
        assert connector.is_connected()
        assert "READY" in repr(connector)
    assert not connector.is_connected()
    await gateway.wait_for(lambda gateway: not gateway.client_ids)


async def test_connect_in_a_running_loop_says_what_to_call(make: Make) -> None:
    with pytest.raises(RuntimeError, match=r"await connector\.connect_async"):
        make().connect()
    with pytest.raises(RuntimeError, match=r"await connector\.wait_ready_async"):
        make().wait_ready()


async def test_disconnect_in_a_running_loop_is_at_once(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    assert connector.disconnect() is True
    assert connector.status.state is ConnectionState.DISCONNECTED
    assert not connector.ib.isConnected()
    await gateway.wait_for(lambda gateway: not gateway.client_ids)


async def test_what_was_sent_last_arrives_before_disconnect_async(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    connector.ib.client.reqNewsBulletins(True)
    await connector.disconnect_async()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqNewsBulletins"))


async def test_connecting_twice_is_one_connection(gateway: Gateway, make: Make) -> None:
    connector = make()
    assert await asyncio.gather(connector.connect_async(), connector.connect_async()) == [True, True]
    assert await connector.connect_async() is True
    assert gateway.seen.connects == 1


async def test_the_ib_object_is_the_connectors(gateway: Gateway) -> None:
    own = IB()
    connector = IBConnector("127.0.0.1", gateway.port, 1, ib=own)
    assert connector.ib is own
    for refused in (own.connect, own.connectAsync):
        with pytest.raises(RuntimeError, match=r"connector\.connect\(\)"):
            refused()
    await connector.connect_async()
    own.disconnect()
    assert connector.status.state is ConnectionState.DISCONNECTED
    assert connector.status.next_retry_at is None


async def test_pending_requests_end_with_the_session(gateway: Gateway, make: Make) -> None:
    connector = make()
    await connector.connect_async()
    await gateway.fault("mute", "reqContractDetails")
    pending = asyncio.ensure_future(connector.ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD")))
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqContractDetails"))
    await connector.disconnect_async()
    with pytest.raises(ConnectionError, match="session ended"):
        await pending


async def test_a_failing_callback_hurts_nobody(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    connector = make()
    seen: list[ConnectionState] = []

    def fails(status: Status) -> None:
        raise ValueError("mine")

    connector.on_status(fails)
    unsubscribe = connector.on_status(lambda status: seen.append(status.state))
    await connector.connect_async()
    assert seen[-1] is ConnectionState.READY
    assert "ValueError: mine" in caplog.text
    unsubscribe()
    unsubscribe()
    await connector.disconnect_async()
    assert seen[-1] is ConnectionState.READY


async def test_a_command_from_a_callback_is_taken_in_turn(make: Make) -> None:
    connector = make()
    seen: list[ConnectionState] = []

    def stop_when_ready(status: Status) -> None:
        seen.append(status.state)
        if status.state is ConnectionState.READY:
            connector.disconnect()

    connector.on_status(stop_when_ready)
    await connector.connect_async()
    assert seen[-1] is ConnectionState.DISCONNECTED
    assert seen.count(ConnectionState.DISCONNECTED) == 1


async def test_coroutine_callbacks_are_refused(make: Make) -> None:
    async def never_run(status: Status) -> None: ...

    with pytest.raises(TypeError, match=r"connector\.changes\(\)"):
        make().on_status(never_run)


@pytest.mark.parametrize("register", ["on_status", "on_gap"])
async def test_what_cannot_be_called_is_refused(make: Make, register: str) -> None:
    connector = make()
    for nothing in (None, "print", []):
        with pytest.raises(
            TypeError, match=re.escape(f"{register}() takes a function of one argument, not {nothing!r};")
        ):
            getattr(connector, register)(nothing)


async def test_a_slow_reader_gets_the_latest(make: Make) -> None:
    connector = make()
    changes = connector.changes()
    assert (await anext(changes)).state is ConnectionState.DISCONNECTED
    await connector.connect_async()
    assert (await anext(changes)).state is ConnectionState.READY
    await changes.aclose()


async def test_wait_ready(gateway: Gateway, make: Make, state_of: StateOf) -> None:
    connector = make()
    with pytest.raises(NotReady, match="no connection is in progress") as raised:
        await connector.wait_ready_async(5)
    assert raised.value.status.state is ConnectionState.DISCONNECTED
    await connector.connect_async()
    assert (await connector.wait_ready_async()).state is ConnectionState.READY
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.state is ConnectionState.DEGRADED)
    with pytest.raises(NotReady, match=r"not ready after 0\.05 s: DEGRADED"):
        await connector.wait_ready_async(0.05)


async def test_reconnect_needs_a_connection(make: Make) -> None:
    with pytest.raises(NotReady, match=r"call connect\(\) first"):
        make().reconnect()


async def test_another_threads_loop_reaches_it(make: Make) -> None:
    connector = make()
    await connector.connect_async()

    async def look_and_leave() -> Status:
        changes = connector.changes()
        async for status in changes:
            if status.state is ConnectionState.DISCONNECTED:
                await changes.aclose()
                return status
            await connector.disconnect_async()
        raise AssertionError("changes() ended")

    status = await asyncio.to_thread(asyncio.run, look_and_leave())
    assert status.state is ConnectionState.DISCONNECTED
    assert not connector.is_connected()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_closed_loop_has_ended_the_connection(threaded_gateway: ThreadedGateway) -> None:
    """The program does not call disconnect_async() before its loop closes, and continues in another loop."""
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1)
    assert asyncio.run(connector.connect_async()) is True
    assert not connector.is_connected()
    assert connector.status.state is ConnectionState.FAILED
    assert "event loop" in connector.status.reason
    assert connector.disconnect() is True
    gc.collect()

    async def again() -> None:
        async with connector:
            assert connector.is_connected()
            assert connector.ib.positions()

    threaded_gateway.wait_for(lambda gateway: not gateway.client_ids)
    asyncio.run(again())


def test_bad_arguments_name_the_field() -> None:
    with pytest.raises(ConfigError, match=r"ibkr\.port = 0"):
        IBConnector("127.0.0.1", 0, 1)


async def test_from_config(gateway: Gateway, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBKR_PORT", str(gateway.port))
    connector = IBConnector.from_config(load_config(client_id=42, readonly=True, backend=backend))
    async with connector:
        assert gateway.client_ids == [42]
        assert connector.status.read_only


async def test_no_account_id_reaches_a_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        connector = make()
        await connector.connect_async()
        await connector.disconnect_async()
    ours = [record for record in caplog.records if not record.name.startswith("ibkr.simulator")]
    assert any("DU***67" in record.getMessage() for record in ours)
    assert not any("DU1234567" in record.getMessage() for record in ours)
    assert connector.status.to_dict()["accounts"] == []


def test_call_soon_runs_in_the_loops_thread_and_does_not_wait(threaded_gateway: ThreadedGateway) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1)
    ran: list[int] = []
    connector.call_soon(lambda: ran.append(threading.get_ident()))
    assert ran == [threading.get_ident()], "runs immediately if there is no connection"
    connector.start_in_thread()
    done = threading.Event()
    connector.call_soon(lambda: (ran.append(threading.get_ident()), done.set()))
    assert done.wait(5)
    assert ran[1] != threading.get_ident()
    connector.stop()
    connector.call_soon(lambda: ran.append(threading.get_ident()))
    assert ran[2] == threading.get_ident(), "after its end, too"


@pytest.mark.usefixtures("script_loop")
def test_call_soon_of_another_thread_waits_for_a_loop_at_rest(threaded_gateway: ThreadedGateway) -> None:
    with IBConnector("127.0.0.1", threaded_gateway.port, 1) as connector:
        ran: list[str] = []
        other = threading.Thread(target=connector.call_soon, args=(lambda: ran.append("now"),))
        other.start()
        other.join()
        assert ran == []
        connector.sleep(0.01)
        assert ran == ["now"]
