"""Shows the state of the gateway's process in the status of a connector, in any program.

Where a supervisor runs, its word counts; where none does, the driver is watched from here, and nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from ibkr.connector import IBConnector
from ibkr.core.gateway import GatewayStatus
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.gateway.driver import DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.monitor import Monitor
from ibkr.gateway.store import Answer, GatewayStore, Request

_log = logging.getLogger("ibkr.gateway")

_EVERY = 0.25
_ANSWER_TAKES = 120.0


class GatewayFollower:
    """Follows one gateway, from ``run`` to its cancellation, in one event loop.

    Args:
        settings: the table ``[ibkr.gateway]``, which must name a driver.
        tell: called with every change; ``None`` if the gateway cannot be seen. ``connector.tell_gateway`` fits.
    """

    def __init__(self, settings: GatewaySettings, tell: Callable[[GatewayStatus | None], object]) -> None:
        self.settings = settings
        self._tell = tell
        self._told: GatewayStatus | None = None
        self._complaint = ""

    async def run(self) -> None:
        """Follow without end."""
        watching: asyncio.Task[None] | None = None
        with closing(GatewayStore(self.settings)) as store:
            try:
                while True:
                    try:
                        if store.is_claimed():
                            await _cancel(watching)
                            watching = None
                            self._show(store.read_status())
                        elif watching is None or watching.done():
                            if watching is not None:
                                watching.result()  # a mistake of our own ends this, loudly
                            watching = asyncio.create_task(self._watch(store))
                    except (OSError, sqlite3.Error) as error:
                        self._complain(f"{store.folder} cannot be read: {error}")
                    await asyncio.sleep(_EVERY)
            finally:
                await _cancel(watching)

    async def restart(self, by: str) -> Answer:
        """Ask the supervisor for a restart, and wait for its answer."""
        with closing(GatewayStore(self.settings)) as store:
            return await ask(store, Request("restart", by))

    async def _watch(self, store: GatewayStore) -> None:
        """Watch the driver ourselves."""
        try:
            monitor = Monitor(make_driver(self.settings, store), lambda: self._show(monitor.status()))
            self._show(monitor.status())
            await monitor.run()
        except (DriverError, OSError) as error:
            self._complain(str(error))

    def _show(self, status: GatewayStatus | None) -> None:
        if status != self._told:
            self._told = status
            self._tell(status)

    def _complain(self, words: str) -> None:
        self._show(None)
        if words != self._complaint:
            self._complaint = words
            _log.warning("The gateway's process cannot be watched: %s", words)


@asynccontextmanager
async def follow_gateway(settings: GatewaySettings, connector: IBConnector) -> AsyncIterator[None]:
    """Show the gateway's process in the status of a connector, in the running event loop, for as long as this lasts.

    Without a driver in the configuration, nothing happens.
    """
    follower = GatewayFollower(settings, connector.tell_gateway)
    following = asyncio.create_task(follower.run()) if settings.driver else None
    try:
        yield
    finally:
        await _cancel(following)


async def ask(store: GatewayStore, request: Request, seconds: float = _ANSWER_TAKES) -> Answer:
    """Ask the supervisor and wait for its answer. If none runs or answers, the answer says so."""
    if not store.is_claimed():
        return Answer(is_done=False, words="no supervisor runs: start one with 'ibkr gateway run'")
    name = store.ask(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        answer = store.answer_to(name)
        if answer is not None:
            return answer
        if not store.is_claimed():
            return Answer(is_done=False, words="the supervisor has ended without an answer: see its log")
        await asyncio.sleep(_EVERY)
    return Answer(is_done=False, words=f"the supervisor has not answered within {seconds:.0f} s: see its log")


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
