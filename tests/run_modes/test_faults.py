"""The main faults, in every way to use a connector, with the client library under test.

Each program is written as usual for its way; only its steps have the same names.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ibkr import (
    ClientIdInUse,
    ConnectError,
    ConnectionState,
    GatewayClosed,
    GatewaySilent,
    IBConnector,
    NotAGateway,
    Status,
)
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

PATIENCE = 10.0


class Script:
    """``connect()``. The loop does not run between the calls."""

    def __init__(self, connector: IBConnector) -> None:
        self.connector = connector

    def connect(self) -> bool:
        return self.connector.connect()

    def do(self, fn: Callable[[Any], Any]) -> Any:
        return self.connector.call(fn, PATIENCE)

    def wait_ready(self) -> Status:
        return self.connector.wait_ready(PATIENCE)

    def until(self, holds: Callable[[], object]) -> None:
        """Run the loop until ``holds()``, or wait if it runs elsewhere."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, self.connector
            self.connector.sleep(0.005)

    def end(self) -> None:
        assert self.connector.disconnect() is True


class LoopThread(Script):
    """``start_in_thread()``, from a thread that blocks."""

    def connect(self) -> bool:
        return self.connector.start_in_thread().is_connected()

    def end(self) -> None:
        self.connector.stop()


class Loop(Script):
    """Coroutines in a loop that the program runs. ``main`` is what the program's thread does."""

    def __init__(self, connector: IBConnector, run: Callable[[Awaitable[None]], None]) -> None:
        super().__init__(connector)
        self._begun: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=lambda: run(self._main()))
        self._thread.start()

    async def _main(self) -> None:
        self._begun.set_result(asyncio.get_running_loop())
        await self._over.wait()

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._begun.result()).result(PATIENCE)

    def connect(self) -> bool:
        return self._await(self.connector.connect_async())

    def do(self, fn: Callable[[Any], Any]) -> Any:
        async def work() -> Any:
            result = fn(self.connector.ib)
            return await result if hasattr(result, "__await__") else result

        return self._await(work())

    def wait_ready(self) -> Status:
        return self._await(self.connector.wait_ready_async(PATIENCE))

    def end(self) -> None:
        assert self._await(self.connector.disconnect_async()) is True
        self._begun.result().call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)


def in_runner(factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Awaitable[None]], None]:
    def run(main: Any) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)

    return run


WAYS: dict[str, Callable[[IBConnector], Script]] = {
    "script": Script,
    "own thread": LoopThread,
    "async": lambda connector: Loop(connector, asyncio.run),
    "runner": lambda connector: Loop(connector, in_runner(asyncio.SelectorEventLoop)),
}
if sys.platform != "win32":  # uvloop has no build for Windows
    import uvloop

    WAYS["uvloop"] = lambda connector: Loop(connector, in_runner(uvloop.new_event_loop))


@pytest.fixture(params=WAYS)
def begin(request: pytest.FixtureRequest, make: Make) -> Iterator[Callable[..., Script]]:
    """Starts a program with its own connector: ``begin(probe_after=1)``."""
    if request.param == "script":
        request.getfixturevalue("script_loop")
    programs: list[Script] = []

    def begin(**options: Any) -> Script:
        programs.append(WAYS[request.param](make(**options)))
        return programs[-1]

    yield begin
    for program in programs:
        program.end()


@pytest.fixture
def run(begin: Callable[..., Script], apple: Any) -> Callable[..., tuple[Script, Any]]:
    """The same, connected and with a ticker that ticks."""

    def run(**options: Any) -> tuple[Script, Any]:
        program = begin(**options)
        assert program.connect() is True
        ticker = program.do(lambda ib: ib.reqMktData(apple))
        program.until(lambda: program.connector.age(ticker) is not None)
        return program, ticker

    return run


@dataclass(frozen=True)
class Case:
    """A fault in a session: its arguments, what the program sees, and what ends it."""

    fault: tuple[Any, ...]
    state: ConnectionState
    cure: tuple[Any, ...] = ()
    keeps_socket: bool = False
    policy: dict[str, Any] = field(default_factory=dict)


CASES = {
    "reset": Case(("reset",), ConnectionState.RECONNECTING),
    "closed": Case(("close",), ConnectionState.RECONNECTING),
    "restart": Case(("restart", 0.1), ConnectionState.RECONNECTING),
    "half-open": Case(
        ("freeze",),
        ConnectionState.RECONNECTING,
        cure=("clear",),
        policy={"probe_after": 0.1, "suspect_after": 0.05, "probe_timeout": 0.2, "probe_apart": 0.05, "timeout": 0.2}
        | {"backoff_first": 0.05},
    ),
    "upstream": Case(("lose_upstream",), ConnectionState.DEGRADED, cure=("restore_upstream",), keeps_socket=True),
    "data lost": Case(
        ("lose_upstream",), ConnectionState.DEGRADED, cure=("restore_upstream_data_lost",), keeps_socket=True
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_in_a_session(run: Callable[..., tuple[Script, Any]], gateway: ThreadedGateway, case: Case) -> None:
    program, ticker = run(**case.policy)
    connector = program.connector
    met: list[ConnectionState] = []
    connector.on_status(lambda status: met.append(status.state))
    gateway.fault(*case.fault)
    program.until(lambda: case.state in met)
    if case.cure:
        assert not connector.may_trade
        gateway.fault(*case.cure)
    program.until(lambda: met[-1] is ConnectionState.READY)
    status = program.wait_ready()
    assert status.may_trade
    assert status.outages == 1
    program.until(lambda: (age := connector.age(ticker)) is not None and age < 0.05)
    assert program.do(lambda ib: ib.tickers()) == [ticker]
    assert program.do(lambda ib: ib.reqCurrentTimeAsync())
    assert list(gateway.seen.live_subscriptions(7).values()) == ["AAPL"]
    assert gateway.client_ids == [7]
    assert (gateway.seen.connects == 1) is case.keeps_socket


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (("close_on_accept",), GatewayClosed),
        (("silent",), GatewaySilent),
        (("http",), NotAGateway),
        (("occupy_client_id", 7), ClientIdInUse),
    ],
)
def test_a_first_connection_that_fails(
    begin: Callable[..., Script], gateway: ThreadedGateway, fault: tuple[Any, ...], error: type[ConnectError]
) -> None:
    program = begin(timeout=0.1)
    gateway.fault(*fault)
    with pytest.raises(error):
        program.connect()
    assert program.connector.status.state is ConnectionState.FAILED
    gateway.fault("clear")
    assert program.connect() is True
    assert program.wait_ready().may_trade


def test_a_session_that_ends_under_a_request(
    begin: Callable[..., Script], gateway: ThreadedGateway, apple: Any
) -> None:
    program = begin()
    program.connect()
    gateway.fault("mute", "reqContractDetails")
    gateway.on_received("reqContractDetails", lambda gateway: gateway.faults.call("reset"))
    with pytest.raises(ConnectionError, match="session ended"):
        program.do(lambda ib: ib.reqContractDetailsAsync(apple))
    program.wait_ready()


def test_a_coroutine_that_handles_an_event_is_run(run: Callable[..., tuple[Script, Any]]) -> None:
    """In a Runner with a loop factory, the library alone would never run it."""
    program, ticker = run()
    threads: list[int] = []

    async def note(_: Any) -> None:
        threads.append(threading.get_ident())

    program.do(lambda ib: ticker.updateEvent.connect(note))
    program.until(lambda: threads)
    assert program.do(lambda ib: threading.get_ident()) in threads
    program.do(lambda ib: ticker.updateEvent.disconnect(note))
