"""``call``: work for the connector's thread from another thread; results, timeouts and interrupts."""

from __future__ import annotations

import asyncio
import gc
import itertools
import select
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make


def test_call_gives_result_or_exception_of_functions_and_coroutines(make: Make, apple: Any) -> None:
    connector = make().start_in_thread()
    assert connector.may_trade
    assert connector.call(lambda ib: threading.current_thread().name).startswith("ibkr 127")
    [details] = connector.call(lambda ib: ib.reqContractDetailsAsync(apple))
    assert details.contract.conId == 265598
    assert connector.call(lambda ib: ib.reqPositionsAsync()), "a future is awaited, too"
    with pytest.raises(ZeroDivisionError):
        connector.call(lambda ib: 1 / 0)

    async def fail(ib: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        connector.call(fail)


def test_an_interrupt_before_a_call_is_handed_over_leaves_nothing_to_warn_of(make: Make) -> None:
    connector = make().start_in_thread()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        patch.setattr(connector.call(lambda ib: asyncio.get_running_loop()), "call_soon_threadsafe", interrupt)
        with pytest.raises(KeyboardInterrupt):
            connector.call(lambda ib: None)
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


def test_an_exception_of_a_call_goes_as_soon_as_it_is_caught(make: Make) -> None:
    connector, raised = make().start_in_thread(), weakref.WeakSet[BaseException]()

    class Mine(Exception):
        def __init__(self) -> None:
            raised.add(self)

    def fail(ib: Any) -> None:
        raise Mine

    gc.disable()  # an object in a reference cycle would stay until a collection
    try:
        with pytest.raises(Mine):
            connector.call(fail)
        connector.call(lambda ib: None)  # its turn of the loop is over
        assert not raised
    finally:
        gc.enable()


def is_interrupted(work: Callable[[], object], place: int) -> bool:
    """Run it with a ``KeyboardInterrupt`` at one of its places in this thread; False if it has fewer places.

    A place is where a function begins or ends: there, Python checks for signals. Callbacks of weak sets are left out,
    because nobody catches what they raise.
    """
    places = itertools.count()

    def trace(frame: FrameType, event: str, _value: object) -> Any:
        if frame.f_code.co_name == "_remove":
            return None
        if event in ("call", "return") and next(places) == place:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_wherever_a_call_is_interrupted_the_thread_of_the_connector_goes_on(make: Make) -> None:
    connector = make().start_in_thread()
    for place in itertools.count():
        if not is_interrupted(lambda: connector.call(lambda ib: asyncio.sleep(0.001)), place):
            break
        assert connector.call(lambda ib: "alive", 5) == "alive", place
    assert place > 30


@pytest.mark.rest
def test_wherever_a_call_that_fails_is_interrupted_asyncio_has_nothing_to_tell(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make().start_in_thread()

    def call() -> None:
        with suppress(ZeroDivisionError):
            connector.call(lambda ib: 1 / 0)

    for place in itertools.count():
        if not is_interrupted(call, place):
            break
        connector.call(lambda ib: None)
        gc.collect()
        assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == [], place
    assert place > 30


def test_a_call_that_takes_too_long_is_cancelled(make: Make) -> None:
    connector = make().start_in_thread()
    cancelled = threading.Event()

    async def linger(ib: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError, match=r"not done within 0\.05 s"):
        connector.call(linger, 0.05)
    assert cancelled.wait(5)


def test_a_call_given_up_before_its_turn_is_not_made(make: Make) -> None:
    connector = make().start_in_thread()
    began, free, made = threading.Event(), threading.Event(), []

    def block(ib: Any) -> None:
        began.set()
        free.wait(5)

    busy = threading.Thread(target=connector.call, args=(block,))
    busy.start()
    began.wait(5)
    with pytest.raises(TimeoutError):
        connector.call(lambda ib: made.append("too late"), 0.05)
    free.set()
    busy.join()
    connector.call(lambda ib: None)
    assert not made


def test_a_call_that_awaits_something_cancelled_says_so(make: Make) -> None:
    connector = make().start_in_thread()

    async def cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    with pytest.raises(ConnectionError, match="cancelled: what it awaited was cancelled"):
        connector.call(lambda ib: cancelled())
    assert connector.may_trade


def test_a_call_s_own_timeout_error_is_its_own(make: Make) -> None:
    async def late(ib: Any) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        make().start_in_thread().call(late, 5)


def test_requests_to_a_socket_that_has_ended_leave_the_log_to_us(
    make: Make, gateway: ThreadedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(send_burst=45, send_rate=1).start_in_thread()

    def ask(ib: Any) -> None:
        gateway.fault("reset")
        select.select([ib.client.conn.transport.get_extra_info("socket")], [], [], 5)
        for _ in range(10):
            ib.client.reqIds(1)

    connector.call(ask)
    assert connector.wait_ready(5).may_trade
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_coroutine_in_another_loop_learns_that_the_thread_is_broken_off(
    make: Make, gateway: ThreadedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    gateway.fault("close_on_accept")
    connector = make().start_in_thread(background=True)

    async def exit_in_a_callback(ib: Any) -> None:
        asyncio.get_running_loop().call_soon(sys.exit)
        await asyncio.sleep(60)

    async def main() -> None:
        waiting = asyncio.create_task(connector.wait_ready_async())
        await asyncio.sleep(0)  # it has handed over its call, which begins before the next one
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(connector.call, exit_in_a_callback, 10)
        with pytest.raises(ConnectionError, match="ended before the call was done"):
            async with asyncio.timeout(5):
                await waiting

    asyncio.run(main())
    gc.collect()
