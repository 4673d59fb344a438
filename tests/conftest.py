"""For every test: what it leaves behind makes it fail. And with which client library it runs.

``TESTED_BACKEND=ib_insync pytest ...`` runs the same tests with that one: what a test imports from ``ib_async`` comes
from it, it is the connector's backend, and ``ib_async`` itself cannot be imported while the tests run.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from ib_async import IB, Ticker

    from ibkr import IBConnector, Status
    from ibkr.simulator import Gateway
    from tests.given import NextTick, StateOf, Stopwatch

_NOISY = [HealthCheck.too_slow]  # a loaded machine says nothing of the code
settings.register_profile("default", derandomize=True, deadline=None, suppress_health_check=_NOISY)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=_NOISY)
settings.load_profile("default")

# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BACKEND = os.environ.get("TESTED_BACKEND", "ib_async")
if BACKEND != "ib_async":  # here, for conftests of folders are imported before any hook is called
    sys.modules["ib_async"] = importlib.import_module(BACKEND)
    importlib.import_module("ibkr.connector").IBConnector.__init__.__kwdefaults__["backend"] = BACKEND


def pytest_collection_finish() -> None:
    """From here on nobody gets the one for the other."""
    if BACKEND != "ib_async":
        sys.modules["ib_async"] = None  # type: ignore[assignment]


@pytest.fixture(scope="session")
def backend() -> str:
    """The client library that the tests run with."""
    return BACKEND


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread, no socket; and for a test that runs in a loop, no task and no timer."""
    threads = set(threading.enumerate())
    in_loop = inspect.iscoroutinefunction(getattr(request, "function", None))
    sockets = set() if in_loop else _sockets()
    if in_loop:
        request.getfixturevalue("nothing_left_on_the_loop")
    yield
    for thread in threading.enumerate():
        if thread.name == "ibkr-resolver":  # it has given its answer, and is about to end
            thread.join(1)
    # "asyncio_": the loop's own pool, in which names are resolved; it ends with its loop.
    left = [thread for thread in threading.enumerate() if thread not in threads and "asyncio_" not in thread.name]
    assert not left, f"threads left behind: {left}"
    if not in_loop:
        _check_sockets(sockets)


@pytest.fixture
def stopwatch() -> Stopwatch:
    """Begin to measure: what it gives tells the seconds since, less those that other programs kept this thread waiting.

    So what is promised within so many seconds is held to them on a loaded machine, too.
    """

    def begin() -> Callable[[], float]:
        began = _unhindered()
        return lambda: _unhindered() - began

    return begin


def _unhindered() -> float:
    """Monotonic time less what this thread has waited for a core, where the system tells that."""
    try:
        waited = int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except FileNotFoundError:
        waited = 0.0
    return time.monotonic() - waited


@pytest.fixture
def script_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of a plain script, closed when the test is over."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A simulated gateway, where a folder has none of its own. An id is free as soon as its client is gone."""
    from ibkr.simulator import Gateway

    async with Gateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
def state_of() -> StateOf:
    """Waits until a status is such: ``await state_of(connector, lambda status: ...)``."""

    async def wait(connector: IBConnector, holds: Callable[[Status], bool], within: float = 10) -> Status:
        async with asyncio.timeout(within):
            async for status in connector.changes():
                if holds(status):
                    return status
        raise AssertionError("changes() ended")

    return wait


@pytest.fixture
def next_tick() -> NextTick:
    """Waits for the ticker's next update; not with ``await ticker.updateEvent``, which a library would have ended."""

    async def wait(ticker: Ticker) -> None:
        ticked = asyncio.Event()

        def note(_: Ticker) -> None:
            ticked.set()

        ticker.updateEvent.connect(note)
        try:
            async with asyncio.timeout(10):
                await ticked.wait()
        finally:
            ticker.updateEvent.disconnect(note)

    return wait


@pytest.fixture
async def new_ib() -> AsyncIterator[Callable[[], IB]]:
    """Makes clients of the library alone, without a connector; their sockets are gone when the test ends."""
    library = importlib.import_module(BACKEND)
    made: list[IB] = []

    def make() -> IB:
        made.append(library.IB())
        return made[-1]

    yield make
    for client in made:
        connection = client.client.conn
        if connection.isConnected():
            ended = asyncio.get_running_loop().create_future()
            connection.disconnected.connect(lambda _, ended=ended: ended.set_result(None))
            client.disconnect()
            await asyncio.wait_for(ended, 3)


@pytest.fixture
def ib(new_ib: Callable[[], IB]) -> IB:
    """One of these."""
    return new_ib()


@pytest.fixture
async def nothing_left_on_the_loop() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    tasks, timers, sockets = asyncio.all_tasks(), _timers(loop), _sockets()
    yield
    for _ in range(3):  # a task that is being cancelled needs its turns
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"
    assert not _timers(loop) - timers, f"timers left behind: {_timers(loop) - timers}"
    _check_sockets(sockets)


def _timers(loop: asyncio.AbstractEventLoop) -> set[asyncio.TimerHandle]:
    return {handle for handle in loop._scheduled if not handle.cancelled()}  # type: ignore[attr-defined]


def _check_sockets(before: set[str]) -> None:
    if not _sockets() <= before:
        gc.collect()  # closes what nobody holds any more, with a ResourceWarning, which is an error here
    assert _sockets() <= before, f"sockets left behind: {_sockets() - before}"


def _sockets() -> set[str]:
    """The open sockets of this process, where the system lets them be seen."""
    if not os.path.isdir("/proc/self/fd"):
        return set()
    links = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the one that the listing itself used
            continue
        if link.startswith("socket:"):
            links.add(link)
    return links


@pytest.fixture(scope="session")
def is_thorough(request: pytest.FixtureRequest) -> bool:
    """Whether this is `make thorough`, where time is not dear."""
    return bool(request.config.getoption("--hypothesis-profile") == "thorough")
