"""`ThreadedGateway`: the simulated gateway in its own thread, for programs without an event loop."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from ibkr.simulator.activity_log import Seen
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.broker.portfolio import Position
from ibkr.simulator.faults.fault_registry import FAULTS, FaultError, find_fault
from ibkr.simulator.scenarios.scenario import Scenario
from ibkr.simulator.simulated_gateway import Gateway

_T = TypeVar("_T")


class ThreadedFaults:
    """Every fault as a method, for any thread: `faults.restart(2)`. It returns when the connections have ended."""

    def __init__(self, gateway: "ThreadedGateway") -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Callable[..., None]:
        try:
            found = find_fault(name)
        except FaultError as error:
            raise AttributeError(str(error)) from None
        return functools.partial(self._gateway.fault, found.name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FAULTS})


class ThreadedGateway:
    """A simulated gateway in its own thread. It has the arguments of `Gateway`, by name only.

    You can call its methods from any thread. Each returns when its work is done. Functions that you pass to it run in
    the gateway's thread, and should use the `Gateway` that they get: methods of this object that wait raise
    `RuntimeError` there.
    """

    def __init__(self, **options: Any) -> None:
        self._gateway = Gateway(**options)
        self.faults = ThreadedFaults(self)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def __repr__(self) -> str:
        return repr(self._gateway).replace("Gateway", type(self).__name__, 1)

    @property
    def host(self) -> str:
        """The address on which the gateway listens."""
        return self._gateway.host

    @property
    def port(self) -> int:
        """The API port."""
        return self._gateway.port

    @property
    def control_port(self) -> int | None:
        """The control port, or `None`."""
        return self._gateway.control_port

    @property
    def is_listening(self) -> bool:
        """Whether the API port accepts connections now."""
        return self._gateway.is_listening

    @property
    def client_ids(self) -> list[int]:
        """The client ids of the current sessions, sorted."""
        return self.call(lambda gateway: gateway.client_ids)

    @property
    def seen(self) -> Seen:
        """What the gateway has received so far, as a copy that does not change."""
        return self.call(lambda gateway: gateway.seen.snapshot())

    @property
    def orders(self) -> list[Order]:
        """See `Gateway.orders`."""
        return self.call(lambda gateway: gateway.orders)

    @property
    def executions(self) -> list[Execution]:
        """See `Gateway.executions`."""
        return self.call(lambda gateway: gateway.executions)

    @property
    def positions(self) -> list[Position]:
        """See `Gateway.positions`."""
        return self.call(lambda gateway: gateway.positions)

    def start(self) -> None:
        """Start the thread, and start to listen.

        Raises:
            OSError: An address cannot be bound.
            RuntimeError: The gateway already runs.
        """
        if self._thread is not None:
            raise RuntimeError("this gateway is already started")
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(started)), name="ibkr-simulator", daemon=True
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Stop the gateway and its thread. If it does not run, this does nothing."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
        self._loop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fault(self, name: str, /, *args: object, **named: object) -> None:
        """Run a fault; see `Gateway.fault`."""
        self._run(self._gateway.fault(name, *args, **named))

    def reset(self) -> None:
        """Return to the initial state on the same port; see `Gateway.reset`."""
        self._run(self._gateway.reset())

    def play(self, scenario: Scenario, speed: float = 1.0) -> None:
        """Start a scenario; see `Gateway.play`."""
        self.call(lambda gateway: gateway.play(scenario, speed))

    def on_received(self, name: str, action: Callable[[Gateway], object]) -> None:
        """Call `action(gateway)` the next time that the gateway receives this; see `Gateway.on_received`."""
        self.call(lambda gateway: gateway.on_received(name, action))

    def place_order(self, symbol: str, action: str, quantity: float, **options: Any) -> Order:
        """Place an order at the broker; see `Gateway.place_order`."""
        return self.call(lambda gateway: gateway.place_order(symbol, action, quantity, **options))

    def fill(self, order: int | str, quantity: float | None = None, price: float | None = None) -> Execution:
        """Fill a live order; see `Gateway.fill`."""
        return self.call(lambda gateway: gateway.fill(order, quantity, price))

    def cancel_order(self, order: int | str, reason: str = "") -> None:
        """Cancel a live order at the exchange (202); see `Gateway.cancel_order`."""
        self.call(lambda gateway: gateway.cancel_order(order, reason))

    def reject_order(self, order: int | str, reason: str = "Rejected by the exchange") -> None:
        """Reject an order at the exchange (201); see `Gateway.reject_order`."""
        self.call(lambda gateway: gateway.reject_order(order, reason))

    def note_order(self, order: int | str, code: int = 10349, text: str = "") -> None:
        """Send the client of an order a note about it; see `Gateway.note_order`."""
        self.call(lambda gateway: gateway.note_order(order, code, text))

    def wait_for(self, predicate: Callable[[Gateway], object], timeout: float = 5.0) -> None:
        """Return as soon as `predicate(gateway)` is true; see `Gateway.wait_for`."""
        self._run(self._gateway.wait_for(predicate, timeout))

    async def wait_for_async(self, predicate: Callable[[Gateway], object], timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """`wait_for` for coroutines, without blocking their event loop; see `Gateway.wait_for`."""
        await asyncio.wrap_future(self._submit(self._gateway.wait_for(predicate, timeout)))

    def call(self, function: Callable[[Gateway], _T]) -> _T:
        """Run `function(gateway)` in the gateway's thread.

        Returns:
            The result of the function.
        """

        async def run() -> _T:
            return function(self._gateway)

        # If the gateway does not run, it has no thread, so only the caller's thread uses it.
        is_direct = self._loop is None or threading.current_thread() is self._thread
        return function(self._gateway) if is_direct else self._run(run())

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("in the gateway's thread, this would wait for itself: use the Gateway that you got")
        return self._submit(coroutine).result()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("this gateway is not running: start it, or use it in a with block")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _main(self, started: "concurrent.futures.Future[None]") -> None:
        try:
            await self._gateway.start()
        except BaseException as error:
            started.set_exception(error)
            return
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        started.set_result(None)
        await self._stopping.wait()
        await self._gateway.stop()
