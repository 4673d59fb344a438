"""One connector as the site shows it: what is told, counted and remembered of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError
from ibkr.core.gap import GapReport
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.plain import masked
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status
from ibkr.gateway.follower import GatewayFollower
from ibkr.gateway.store import Answer
from ibkr.observe.history import History
from ibkr.observe.metrics import Metrics
from ibkr.observe.outages import OutageWatch
from ibkr.observe.sink import Relay, Sink
from ibkr.observe.status_log import cure
from ibkr.web.events import Hub
from ibkr.web.settings import WebSettings

_log = logging.getLogger("ibkr.web")

_KEPT_POINTS = 720
_SINKS_MAY_TAKE = 0.5


class Site:
    """Watches a connector from ``open`` to ``close``; both and all else belong to the connector's event loop.

    ``history`` remembers, by default in memory; ``sinks`` are told, too. The site closes them. ``gateway``: whose
    process is shown.
    """

    def __init__(
        self,
        connector: IBConnector,
        settings: WebSettings | None = None,
        *,
        history: History | None = None,
        sinks: Sequence[Sink] = (),
        gateway: GatewaySettings | None = None,
    ) -> None:
        self.settings = settings or WebSettings()
        self.history = history or History(show_accounts=self.settings.show_accounts)
        self.hub = Hub(lambda: [("status", self.status())], readers=self.settings.readers)
        self.round_trips: deque[tuple[str, float]] = deque(maxlen=_KEPT_POINTS)
        """When and how long, of the last probes."""
        self._connector = connector
        self._remember = Relay(self.history, name="history")
        self._relays = [self._remember, *(Relay(sink) for sink in sinks)]
        self.metrics = Metrics(lambda: connector.stats, self._relays)
        self._watch = OutageWatch()
        self._follower = GatewayFollower(gateway, connector.tell_gateway) if gateway and gateway.driver else None
        self._probes = 0
        self._is_held = False
        self._ends: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to watch."""
        told: list[Callable[[Status], None]] = [self.metrics.tell, self._tell, *self._relays]
        status = self._connector.status
        for tell in told:
            if status.state is not ConnectionState.DISCONNECTED:  # it lives already
                tell(status)
            self._ends.append(self._connector.on_status(tell))
        self._ends.append(self._connector.on_gap(self._tell_gap))
        self._start(self._sample())
        if self._follower is not None:
            self._start(self._follower.run())

    async def close(self) -> None:
        """End every stream, and let the sinks tell what they still have, for half a second."""
        self.hub.close()
        for end in self._ends:
            end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(relay.close, _SINKS_MAY_TAKE) for relay in self._relays))

    def hold(self) -> None:
        """Connect and stay connected, also to a gateway that is not there yet; a service does not stay ``FAILED``."""
        self._is_held = True
        self._start(self._connect())

    def reconnect(self) -> None:
        """Drop the session and come back now; where the site holds the connection, after its end, begin again.

        Raises ``NotReady`` where the program holds it and wants none.
        """
        if self._is_held and self._connector.status.state.is_over:
            self.hold()
        else:
            self._connector.reconnect()

    async def restart_gateway(self) -> Answer:
        """Ask the supervisor of the gateway's process for a restart."""
        if self._follower is None:
            return Answer(is_done=False, words="no driver is configured for the gateway's process")
        return await self._follower.restart("the page")

    def status(self) -> dict[str, Any]:
        """The status in JSON's types, with ``cure``: what to do about it, in words."""
        return self._shown(self._connector.status)

    def stats(self) -> dict[str, Any]:
        """The stats in JSON's types, without the row of round-trips."""
        stats = self._connector.stats.to_dict()
        del stats["round_trips"]
        return stats

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether it is ``READY``, and the reason in words."""
        status = self.status()
        return status["state"] == ConnectionState.READY, f"{status['state']}: {status['reason']}"

    def _shown(self, status: Status) -> dict[str, Any]:
        return {**status.to_dict(show_accounts=self.settings.show_accounts), "cure": cure(status)}

    def _tell(self, status: Status) -> None:
        self.hub.publish("status", self._shown(status))
        if self._is_held and status.state is ConnectionState.FAILED:
            self._start(self._begin_again())
        outage = self._watch.tell(status)
        if outage is not None:
            plain = outage.to_dict()
            self.hub.publish("outage", plain if self.settings.show_accounts else masked(plain, status.accounts))

    def _tell_gap(self, report: GapReport) -> None:
        self._remember.hand(self.history.tell_gap, report)
        self.hub.publish("gap", report.to_dict(show_accounts=self.settings.show_accounts))

    async def _connect(self) -> None:
        with contextlib.suppress(ConnectError):  # FAILED: the status says why, the log has said so
            await self._connector.connect_async(wait=True)

    async def _begin_again(self) -> None:
        await asyncio.sleep(self.settings.again_after)
        if self._connector.status.state is ConnectionState.FAILED:
            await self._connect()

    async def _sample(self) -> None:
        while True:
            stats = self.metrics.sample()
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            points = [(now, seconds) for seconds in stats.round_trips_after(self._probes)]
            self._probes = stats.probes
            self.round_trips.extend(points)
            self.hub.publish_passing("stats", {**self.stats(), "new_round_trips": points})
            await asyncio.sleep(self.settings.stats_every)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("The web site goes on, but a part of it has ended", exc_info=error)
