"""``DemoRunner``: runs demo cases on a simulated gateway with a real connector, and measures the recovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ibkr.cli.demo_cases import Condition, DemoCase, FaultCall, is_ready
from ibkr.connector import IBConnector
from ibkr.core.status import Status
from ibkr.simulator import ThreadedGateway

if TYPE_CHECKING:
    from ibkr.simulator import Gateway

_LIMIT = 15.0
"""Seconds to wait for each step. After that, the result is that the case has not recovered."""

_PAUSE = 0.8
"""Seconds before each fault, so that a person can follow."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The measured times of a case in seconds; ``None`` if that event did not happen.

    ``noticed_after`` is measured from the start of the fault. ``ready_after`` and ``ticking_after`` are measured from
    the end of the fault. A momentary fault ends when it starts.
    """

    fault: str
    noticed_after: float | None = None
    lasted: float | None = None
    ready_after: float | None = None
    ticking_after: float | None = None

    @property
    def recovered(self) -> bool:
        """Whether the fault was noticed, and the connection was ready and ticking again."""
        return None not in (self.noticed_after, self.ready_after, self.ticking_after)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types, with seconds to the millisecond."""
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return {**rounded, "recovered": self.recovered}


class DemoListener(Protocol):
    """Receives each event when it happens. ``seconds`` are measured from the start of the case's fault."""

    def on_case(self, number: int, case: DemoCase) -> None:
        """Handle the start of a case."""

    def on_action(self, seconds: float, text: str) -> None:
        """Handle something that was done to the gateway, or that happened to it."""

    def on_status(self, seconds: float, status: Status) -> None:
        """Handle a new status of the connector."""

    def on_tick(self, seconds: float, price: float) -> None:
        """Handle the first tick after the end of the fault."""

    def on_result(self, result: CaseResult) -> None:
        """Handle the end of a case."""


class DemoRunner:
    """Runs cases with one gateway, one connector and one subscription."""

    def __init__(
        self, gateway: ThreadedGateway, connector: IBConnector, listener: DemoListener, limit: float = _LIMIT
    ) -> None:
        self._gateway = gateway
        self._connector = connector
        self._listener = listener
        self._limit = limit
        self._statuses: list[tuple[float, Status]] = []
        self._ticks: list[float] = []
        self._changed = asyncio.Event()
        self._began = time.perf_counter()
        self._ticker: Any = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self.ticks = 0

    async def set_up(self) -> None:
        """Connect, and subscribe to the first position of the account."""
        self._unsubscribe = self._connector.on_status(self._on_status)
        await self._connector.connect_async()
        ib = self._connector.ib
        held = ib.positions()[0].contract
        details = await ib.reqContractDetailsAsync(held)
        contract = details[0].contract
        assert contract is not None, "contract details without a contract"
        self._ticker = ib.reqMktData(contract)
        self._ticker.updateEvent += self._on_tick
        await self._wait(lambda: is_ready(self._connector.status) and bool(self._ticks))

    async def tear_down(self) -> None:
        """Disconnect. The listener does not get the status changes."""
        self._unsubscribe()
        await self._connector.disconnect_async()

    async def play(self, number: int, case: DemoCase) -> CaseResult:
        """Run one case, from the fault to the first tick after it. Then clear all faults of the gateway."""
        await asyncio.sleep(_PAUSE)
        self._listener.on_case(number, case)
        self._statuses.clear()
        self._ticks.clear()
        self._began = time.perf_counter()
        result = await self._measure(case)
        self._listener.on_result(result)
        await asyncio.to_thread(self._gateway.fault, "clear")
        await self._wait(lambda: is_ready(self._connector.status))
        return result

    async def _measure(self, case: DemoCase) -> CaseResult:
        began = self._began
        await self._apply(*case.start_calls)
        noticed = await self._first_status(case.is_noticed, began)
        if noticed is None:
            return CaseResult(case.key)
        over = await self._end_fault(case, began)
        lasted = None if case.is_momentary else over - began
        # Only a status that is later than both times shows the recovery.
        since = max(over, noticed)
        ready = await self._first_status(is_ready, since)
        if ready is None:
            return CaseResult(case.key, noticed - began, lasted)
        ticking = await self._first_tick(since)
        if ticking is not None:
            self._listener.on_tick(ticking - began, self._ticker.last)
        return CaseResult(case.key, noticed - began, lasted, ready - over, None if ticking is None else ticking - over)

    async def _end_fault(self, case: DemoCase, began: float) -> float:
        """Wait, end the fault, and return the time when it ended."""
        if case.is_momentary:
            return began
        if case.ends_itself:
            reopened = await asyncio.to_thread(self._port_open_again)
            self._listener.on_action(reopened - began, "the port is open again")
            return reopened
        if case.lasts_until is not None:
            await self._first_status(case.lasts_until, began)
        await asyncio.sleep(case.hold)
        over = time.perf_counter()
        await self._apply(*case.end_calls)
        if case.reconnect:
            self._listener.on_action(self._elapsed(), "(reconnect is called)")
            self._connector.reconnect()
        return over

    async def _apply(self, *calls: FaultCall) -> None:
        for name, *arguments in calls:
            self._listener.on_action(self._elapsed(), " ".join(map(str, (name, *arguments))))
            await asyncio.to_thread(self._gateway.fault, str(name), *arguments)

    def _port_open_again(self) -> float:
        times: list[float] = []

        def is_open(gateway: Gateway) -> bool:
            # Runs in the gateway's thread when the port opens.
            if gateway.is_listening:
                times.append(time.perf_counter())
            return gateway.is_listening

        self._gateway.wait_for(is_open, self._limit)
        return times[0]

    def _on_status(self, status: Status) -> None:
        self._statuses.append((time.perf_counter(), status))
        self._listener.on_status(self._elapsed(), status)
        self._changed.set()

    def _on_tick(self, _ticker: object) -> None:
        self.ticks += 1
        self._ticks.append(time.perf_counter())
        self._changed.set()

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    async def _first_status(self, holds: Condition, since: float) -> float | None:
        """Return the time of the first status after ``since`` for which ``holds`` is true, or ``None``."""

        def found() -> list[float]:
            return [at for at, status in self._statuses if at >= since and holds(status)]

        await self._wait(lambda: bool(found()))
        return next(iter(found()), None)

    async def _first_tick(self, since: float) -> float | None:
        await self._wait(lambda: bool(self._ticks) and self._ticks[-1] > since)
        return next((at for at in self._ticks if at > since), None)

    async def _wait(self, holds: Callable[[], bool]) -> None:
        """Wait until ``holds()`` is true, or the time limit is over."""
        try:
            async with asyncio.timeout(self._limit):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return  # the caller finds out what has not happened
