"""Plays scenes on a simulated gateway and a real connector, and measures what came of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ibkr.cli.scenes import Call, Condition, Scene, is_ready
from ibkr.connector import IBConnector
from ibkr.core.status import Status
from ibkr.simulator import ThreadedGateway

if TYPE_CHECKING:
    from ibkr.simulator import Gateway

_LIMIT = 15.0
"""Seconds after which a scene that did not go on counts as not recovered."""

_CALM = 0.8
"""Seconds of nothing but ticks before each fault, so that a person can follow."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scene came to, in seconds; None: it never happened.

    ``noticed_after`` counts from the fault; ``ready_after`` and ``ticking_after`` from its end, which for a momentary
    fault is its beginning.
    """

    fault: str
    noticed_after: float | None = None
    lasted: float | None = None
    ready_after: float | None = None
    ticking_after: float | None = None

    @property
    def recovered(self) -> bool:
        """Noticed, ready again, and ticking again."""
        return None not in (self.noticed_after, self.ready_after, self.ticking_after)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; seconds to the millisecond."""
        plain = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return {**plain, "recovered": self.recovered}


class Audience(Protocol):
    """Who is told of what happens, as it happens; ``seconds`` count from the scene's fault."""

    def scene(self, number: int, scene: Scene) -> None:
        """A scene begins."""

    def act(self, seconds: float, what: str) -> None:
        """Something was done, or happened, to the gateway."""

    def status(self, seconds: float, status: Status) -> None:
        """The connector says so."""

    def tick(self, seconds: float, price: float) -> None:
        """The first tick after the fault's end."""


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    status: Status


class Stage:
    """One gateway, one connector, one subscription, one clock."""

    def __init__(
        self, gateway: ThreadedGateway, connector: IBConnector, audience: Audience, limit: float = _LIMIT
    ) -> None:
        self._gateway = gateway
        self._connector = connector
        self._audience = audience
        self._limit = limit
        self._moments: list[_Moment] = []
        self._ticks: list[float] = []
        self._news = asyncio.Event()
        self._began = time.perf_counter()
        self._ticker: Any = None
        self._leave: Callable[[], None] = _nothing
        self.ticks = 0

    async def set_up(self) -> None:
        """Connect, and subscribe to what the account holds first."""
        self._leave = self._connector.on_status(self._on_status)
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
        """Disconnect, without telling the audience."""
        self._leave()
        await self._connector.disconnect_async()

    async def play(self, number: int, scene: Scene) -> Outcome:
        """One scene, from the fault to the tick that shows its end. The gateway is whole afterwards."""
        await asyncio.sleep(_CALM)
        self._audience.scene(number, scene)
        self._moments.clear()
        self._ticks.clear()
        self._began = time.perf_counter()
        outcome = await self._measure(scene)
        await asyncio.to_thread(self._gateway.fault, "clear")
        await self._wait(lambda: is_ready(self._connector.status))
        return outcome

    async def _measure(self, scene: Scene) -> Outcome:
        began = self._began
        await self._do(*scene.begins)
        noticed = await self._first(scene.noticed, began)
        if noticed is None:
            return Outcome(scene.key)
        over = await self._end_of(scene, began)
        lasted = None if scene.is_momentary else over - began
        # What was said before it was noticed, or before it was over, says nothing about the recovery.
        since = max(over, noticed)
        ready = await self._first(is_ready, since)
        if ready is None:
            return Outcome(scene.key, noticed - began, lasted)
        ticking = await self._first_tick(since)
        if ticking is not None:
            self._audience.tick(ticking - began, self._ticker.last)
        return Outcome(scene.key, noticed - began, lasted, ready - over, None if ticking is None else ticking - over)

    async def _end_of(self, scene: Scene, began: float) -> float:
        """Let the fault last, end it, and say when that was."""
        if scene.is_momentary:
            return began
        if scene.ends_itself:
            reopened = await asyncio.to_thread(self._port_open_again)
            self._audience.act(reopened - began, "the port is open again")
            return reopened
        if scene.lasts_until is not None:
            await self._first(scene.lasts_until, began)
        await asyncio.sleep(scene.hold)
        over = time.perf_counter()
        await self._do(*scene.ends)
        if scene.reconnect:
            self._audience.act(self._elapsed(), "(and the connector is told to reconnect)")
            self._connector.reconnect()
        return over

    async def _do(self, *calls: Call) -> None:
        for name, *arguments in calls:
            self._audience.act(self._elapsed(), " ".join(str(word) for word in (name, *arguments)))
            await asyncio.to_thread(self._gateway.fault, str(name), *arguments)

    def _port_open_again(self) -> float:
        times: list[float] = []

        def is_open(gateway: Gateway) -> bool:
            # In the gateway's thread, at the moment itself.
            if gateway.is_listening:
                times.append(time.perf_counter())
            return gateway.is_listening

        self._gateway.wait_for(is_open, self._limit)
        return times[0]

    def _on_status(self, status: Status) -> None:
        self._moments.append(_Moment(time.perf_counter(), status))
        self._audience.status(self._elapsed(), status)
        self._news.set()

    def _on_tick(self, _ticker: object) -> None:
        self.ticks += 1
        self._ticks.append(time.perf_counter())
        self._news.set()

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    async def _first(self, holds: Condition, since: float) -> float | None:
        """When, from ``since`` on, the status first was one of which ``holds`` is true."""

        def found() -> list[float]:
            return [moment.at for moment in self._moments if moment.at >= since and holds(moment.status)]

        await self._wait(lambda: bool(found()))
        return next(iter(found()), None)

    async def _first_tick(self, since: float) -> float | None:
        await self._wait(lambda: bool(self._ticks) and self._ticks[-1] > since)
        return next((at for at in self._ticks if at > since), None)

    async def _wait(self, holds: Callable[[], bool]) -> None:
        """Return when it holds, or after the limit."""
        try:
            async with asyncio.timeout(self._limit):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            # The caller looks at what there is, and says what is missing.
            return


def _nothing() -> None:
    pass
