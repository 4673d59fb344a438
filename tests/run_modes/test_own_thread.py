"""A connector in its own thread: who may call what from where, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ibkr import ConnectionState, GatewayClosed, NotReady, Status
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ibkr 127")]


@pytest.mark.parametrize(
    ("deadlock", "cure"),
    [
        (lambda connector, ib: connector.call(lambda ib: 1), r"fn\(connector\.ib\)"),
        (lambda connector, ib: connector.connect(), r"await connector\.connect_async"),
        (lambda connector, ib: connector.wait_ready(), r"await connector\.wait_ready_async"),
        (lambda connector, ib: connector.ensure_fresh(1), r"await connector\.ensure_fresh_async"),
        (lambda connector, ib: connector.sleep(1), r"await asyncio\.sleep"),
        (lambda connector, ib: connector.run(), r"connector\.changes"),
        (lambda connector, ib: ib.reqCurrentTime(), r"await ib\.req"),
        (lambda connector, ib: ib.reqPositions(), r"await ib\.req"),
        (lambda connector, ib: ib.sleep(1), r"await ib\.req"),
    ],
)
def test_what_would_wait_for_itself_says_so(make: Make, deadlock: Callable[..., Any], cure: str) -> None:
    connector = make().start_in_thread()
    with pytest.raises(RuntimeError, match=rf"wait for itself: use .*{cure}"):
        connector.call(lambda ib: deadlock(connector, ib), 5)
    assert connector.call(lambda ib: ib.isConnected())


def test_ib_in_another_thread_names_call(make: Make, apple: Any) -> None:
    connector = make()
    held = connector.ib  # there is no loop yet
    connector.start_in_thread()
    for use in (
        lambda: connector.ib,
        lambda: held.reqMktData(apple),
        lambda: held.reqCurrentTime(),
        lambda: held.client.reqNewsBulletins(True),
    ):
        with pytest.raises(RuntimeError, match=r"event loop: use connector\.call\(lambda ib: \.\.\.\)"):
            use()
    assert connector.call(lambda ib: connector.ib is ib)
    connector.stop()
    assert connector.ib is held, "nobody lives there any more"


def test_commands_from_any_thread_reach_the_loop(make: Make, gateway: ThreadedGateway) -> None:
    connector = make().start_in_thread()
    ready = threading.Event()
    unsubscribe = connector.on_status(lambda status: status.state is ConnectionState.READY and ready.set())
    connector.reconnect()
    assert ready.wait(5)
    unsubscribe()
    connector.retry_now()
    connector.ensure_fresh(0)
    assert gateway.seen.connects == 2
    assert connector.disconnect() is True
    assert connector.status.state is ConnectionState.DISCONNECTED
    for refused in (connector.reconnect, connector.retry_now, connector.wait_ready, connector.run):
        with pytest.raises(NotReady, match="connect"):
            refused()
    assert threads(), "disconnect() leaves the thread"
    assert connector.connect() is True


def test_another_loop_awaits_it(make: Make) -> None:
    connector = make().start_in_thread()

    async def main() -> list[ConnectionState]:
        seen = []
        assert await connector.connect_async() is True
        changes = connector.changes()
        async for status in changes:
            seen.append(status.state)
            if len(seen) == 1:
                await connector.disconnect_async()
            elif status.state is ConnectionState.DISCONNECTED:
                await changes.aclose()
        with pytest.raises(NotReady):
            await connector.wait_ready_async()
        return seen

    assert asyncio.run(main()) == [ConnectionState.READY, ConnectionState.DISCONNECTED]


def test_a_failed_start_raises_its_cause_and_leaves_no_thread(make: Make, gateway: ThreadedGateway) -> None:
    gateway.fault("close_on_accept")
    connector = make()
    with pytest.raises(GatewayClosed):
        connector.start_in_thread()
    assert not threads()
    gateway.fault("clear")
    assert connector.start_in_thread().is_connected()


def test_in_the_background_it_starts_before_its_gateway(make: Make, gateway: ThreadedGateway) -> None:
    gateway.fault("close_on_accept")
    connector = make().start_in_thread(background=True)
    with pytest.raises(NotReady, match="not ready after"):
        connector.wait_ready(0.1)
    gateway.fault("clear")
    assert connector.wait_ready(5).may_trade


def test_start_twice_is_one_thread_and_one_connection(make: Make, gateway: ThreadedGateway) -> None:
    connector = make()
    with connector.start_in_thread(), connector:
        assert connector.start_in_thread() is connector
        assert len(threads()) == 1
    assert not threads()
    assert gateway.seen.connects == 1


@pytest.mark.usefixtures("script_loop")
def test_a_script_s_connector_must_leave_its_loop_first(make: Make) -> None:
    connector = make()
    connector.connect()
    with pytest.raises(RuntimeError, match=r"call disconnect\(\) there first"):
        connector.start_in_thread()
    connector.disconnect()
    assert connector.start_in_thread().is_connected()


def test_stop_from_its_own_thread_and_then_start_again(make: Make, gateway: ThreadedGateway) -> None:
    connector = make().start_in_thread()
    connector.call(lambda ib: connector.stop())
    connector.stop()
    assert not threads()
    assert connector.start_in_thread().is_connected()
    assert gateway.seen.connects == 2


def test_a_thread_that_ends_cannot_be_replaced_from_inside(make: Make, gateway: ThreadedGateway) -> None:
    connector = make().start_in_thread()

    async def restart() -> None:
        await connector.disconnect_async()
        connector.stop()
        with pytest.raises(RuntimeError, match=r"is ending: call start_in_thread\(\) in another thread"):
            connector.start_in_thread(background=True)

    connector.call(lambda ib: restart(), 5)
    connector.stop()
    assert not threads()
    assert connector.start_in_thread().is_connected()
    assert gateway.seen.connects == 2


def test_stop_from_a_status_callback(make: Make, gateway: ThreadedGateway) -> None:
    connector = make()

    def stop(status: Status) -> None:
        if status.state is ConnectionState.RECONNECTING:
            connector.stop()

    connector.on_status(stop)
    connector.start_in_thread()
    gateway.fault("reset")
    with pytest.raises(ConnectionError):
        connector.call(lambda ib: asyncio.sleep(60), 10)
    connector.stop()
    assert connector.status.state is ConnectionState.DISCONNECTED


def test_stop_waits_for_a_thread_that_another_has_stopped(make: Make) -> None:
    connector = make().start_in_thread()
    loop = connector.call(lambda ib: asyncio.get_running_loop())
    closing, close = threading.Event(), loop.close

    def take_long() -> None:
        closing.set()
        time.sleep(0.2)
        close()

    loop.close = take_long
    connector.call(lambda ib: connector.stop())
    closing.wait(5)
    connector.stop()
    assert not threads()


def test_what_runs_when_it_is_stopped_is_cancelled_while_the_session_stands(make: Make) -> None:
    connector = make().start_in_thread()
    running = threading.Event()
    farewell: list[bool] = []

    async def linger(ib: Any) -> None:
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            farewell.append(ib.isConnected())

    outcomes: list[BaseException] = []

    def call() -> None:
        try:
            connector.call(linger)
        except BaseException as error:
            outcomes.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert running.wait(5)
    connector.stop()
    caller.join(5)
    assert farewell == [True]
    assert [type(outcome) for outcome in outcomes] == [ConnectionError]
    with pytest.raises(NotReady, match=r"start_in_thread\(\)"):
        connector.call(lambda ib: 1)


async def exit_in_a_callback(ib: Any) -> None:
    asyncio.get_running_loop().call_soon(sys.exit)
    await asyncio.sleep(60)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_thread_that_is_broken_off_has_ended_the_connection(
    make: Make, gateway: ThreadedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's handler keeps the broken task: asyncio would report it during a later test.
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    connector = make().start_in_thread()
    told: list[ConnectionState] = []
    connector.on_status(lambda status: told.append(status.state))
    with pytest.raises(SystemExit):
        connector.call(lambda ib: sys.exit())
    assert connector.is_connected()
    handed_out = [connector.call(lambda ib: ib.client.getReqId()) for _ in range(9)]
    with pytest.raises(ConnectionError, match="ended before the call was done"):
        connector.call(exit_in_a_callback, 10)
    assert connector.status.state is ConnectionState.FAILED
    assert told == [ConnectionState.FAILED]
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    gc.collect()
    assert connector.start_in_thread().is_connected()
    assert connector.call(lambda ib: ib.client.getReqId()) > handed_out[-1]


async def test_async_with_ends_the_thread_too(make: Make) -> None:
    async with make().start_in_thread() as connector:
        assert await connector.wait_ready_async(5)
        assert threads()
    assert not threads()


def test_as_of_tells_when_the_loop_last_had_a_turn(make: Make) -> None:
    connector = make().start_in_thread()
    blocked, go_on = threading.Event(), threading.Event()

    def block(ib: Any) -> None:
        blocked.set()
        go_on.wait(10)

    caller = threading.Thread(target=connector.call, args=(block,))
    caller.start()
    assert blocked.wait(5)
    since = datetime.now(UTC)
    while datetime.now(UTC) - since < timedelta(seconds=0.2):
        time.sleep(0.02)
    assert connector.status.state is ConnectionState.READY
    assert connector.status.as_of <= since
    go_on.set()
    caller.join(5)
    assert connector.call(lambda ib: connector.status.as_of) > since


def test_sleep_and_run_leave_the_loop_alone(make: Make) -> None:
    connector = make().start_in_thread()
    assert connector.sleep(0.01) is True
    runner = threading.Thread(target=connector.run)
    runner.start()
    connector.disconnect()
    runner.join(5)
    assert not runner.is_alive()
