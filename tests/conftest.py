"""Fixtures for every test. A test fails if it leaves a thread, socket, task or timer behind.

``TESTED_BACKEND=ib_insync pytest ...`` runs the same tests with ib_insync. The connector's backend is then ib_insync,
and a test's imports from ``ib_async`` also come from ib_insync. While the tests run, nothing can import ``ib_async``.
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
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.stopwatch import start_stopwatch

if TYPE_CHECKING:
    from ib_async import IB, Ticker

    from ibkr import IBConnector, Status
    from ibkr.simulator import Gateway, ThreadedGateway
    from tests.fixture_types import NextTick, StateOf, Stopwatch

_NOISY = [HealthCheck.too_slow]  # on a busy machine, a slow test does not mean that the code is wrong
settings.register_profile("default", max_examples=60, derandomize=True, deadline=None, suppress_health_check=_NOISY)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=_NOISY)
settings.load_profile("default")

# A background job of a shell ignores Ctrl-C. If pytest is such a job, the programs that the tests start would also
# ignore it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BACKEND = os.environ.get("TESTED_BACKEND", "ib_async")
if BACKEND != "ib_async":  # not in a hook, because pytest imports the folders' conftests before it calls any hook
    sys.modules["ib_async"] = importlib.import_module(BACKEND)
    importlib.import_module("ibkr.connector").IBConnector.__init__.__kwdefaults__["backend"] = BACKEND


def pytest_collection_finish() -> None:
    """From here on, an import of the wrong library fails."""
    if BACKEND != "ib_async":
        sys.modules["ib_async"] = None  # type: ignore[assignment]


@pytest.fixture(scope="session")
def backend() -> str:
    """The client library that the tests run with."""
    return BACKEND


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests first. Give each test that measures time the mark ``timing``."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if "stopwatch" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timing)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread and no socket; for a test that runs in a loop, no task and no timer."""
    threads = set(threading.enumerate())
    in_loop = inspect.iscoroutinefunction(getattr(request, "function", None))
    sockets = set() if in_loop else _sockets()
    if in_loop:
        request.getfixturevalue("nothing_left_on_the_loop")
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("ibkr-resolver", "asyncio-waitpid")):  # has delivered its result, and will end soon
            thread.join(1)
    # "asyncio_" is the loop's own thread pool, which resolves names. It ends with its loop.
    left = [thread for thread in threading.enumerate() if thread not in threads and "asyncio_" not in thread.name]
    assert not left, f"threads left behind: {left}"
    if not in_loop:
        _check_sockets(sockets)


@pytest.fixture(autouse=True)
def no_lines_before() -> None:
    """Reset the limit of log lines. The process has one limit for each place in the code."""
    from ibkr.observe.log_filter import log_rate_limit

    log_rate_limit._places.clear()
    log_rate_limit._left_out.clear()


@pytest.fixture
def stopwatch() -> Stopwatch:
    """Measures time without the time that other programs used: ``elapsed = stopwatch(); ...; assert elapsed() < 1``.

    Use it for upper limits only. A test that uses it gets the mark ``timing``.
    """
    return start_stopwatch


@pytest.fixture
def script_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of a plain script. It is closed after the test."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A simulated gateway, for folders that have none. It releases a client id when the client has disconnected."""
    from ibkr.simulator import Gateway

    async with Gateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
def threaded_gateway() -> Iterator[ThreadedGateway]:
    """A simulated gateway in a separate thread, for tests that block or have no event loop."""
    from ibkr.simulator import ThreadedGateway

    with ThreadedGateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
def state_of() -> StateOf:
    """Waits for a status: ``await state_of(connector, lambda status: ...)``."""

    async def wait(connector: IBConnector, holds: Callable[[Status], bool], within: float = 10) -> Status:
        async with asyncio.timeout(within):
            async for status in connector.changes():
                if holds(status):
                    return status
        raise AssertionError("changes() ended")

    return wait


@pytest.fixture
def next_tick() -> NextTick:
    """Waits for the ticker's next update. Does not await ``ticker.updateEvent``, because the library may end that."""

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
    """Makes clients of the library without a connector. Their sockets are closed when the test ends."""
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
            await asyncio.wait_for(ended, 10)


@pytest.fixture
def ib(new_ib: Callable[[], IB]) -> IB:
    """A client of the library without a connector."""
    return new_ib()


@pytest.fixture
async def nothing_left_on_the_loop() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    tasks, timers, sockets = asyncio.all_tasks(), _timers(loop), _sockets()
    yield
    for _ in range(3):  # a cancelled task needs some turns of the loop to end
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"
    assert not _timers(loop) - timers, f"timers left behind: {_timers(loop) - timers}"
    _check_sockets(sockets)


def _timers(loop: asyncio.AbstractEventLoop) -> set[asyncio.TimerHandle]:
    return {handle for handle in loop._scheduled if not handle.cancelled()}  # type: ignore[attr-defined]


def _check_sockets(before: set[str]) -> None:
    if not _sockets() <= before:
        gc.collect()  # this closes unreferenced sockets; each causes a ResourceWarning, which fails the test
    left = _sockets() - before
    assert not left, f"sockets left behind: {left}"


def _sockets() -> set[str]:
    """The open sockets of this process, where the system shows them."""
    if not os.path.isdir("/proc/self/fd"):
        return set()
    links = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # this was the descriptor of the listing itself
            continue
        if link.startswith("socket:"):
            links.add(link)
    return links


@pytest.fixture(scope="session")
def is_thorough(request: pytest.FixtureRequest) -> bool:
    """Whether this is ``make thorough``, where tests may take longer."""
    return bool(request.config.getoption("--hypothesis-profile") == "thorough")
