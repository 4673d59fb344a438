"""Shows the state of the gateway process in the status of a connector, in any program.

If a supervisor runs, the state that it stored is shown. If none runs, this module watches the driver itself, but never
acts on the gateway. ``ask_supervisor`` sends a request to the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from ibkr.connector import IBConnector
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import GatewayStatus
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.gateway_monitor import GatewayMonitor
from ibkr.gateway.gateway_store import GatewayStore, SupervisorAnswer, SupervisorRequest
from ibkr.gateway.processes import cancel_tasks

_log = logging.getLogger("ibkr.gateway")

_POLL_EVERY = 0.25
_ANSWER_TIMEOUT = 120.0
_RETRY_AFTER = 10.0


class GatewayFollower:
    """Follows the state of one gateway, in one event loop, until ``run`` is cancelled.

    Args:
        settings: The table ``[ibkr.gateway]``, which must name a driver.
        on_change: Called with every change; with ``None`` if the gateway cannot be seen. Pass
            ``connector.tell_gateway``.

    Raises:
        ConfigError: A path in the settings cannot be used.
    """

    def __init__(self, settings: GatewaySettings, on_change: Callable[[GatewayStatus | None], object]) -> None:
        self.settings = settings
        self._store = GatewayStore(settings)
        self._publish = on_change
        self._published: GatewayStatus | None = None
        self._last_warning = ""

    async def run(self) -> None:
        """Follow the gateway until cancelled."""
        watching: asyncio.Task[None] | None = None
        with closing(self._store) as store:
            try:
                while True:
                    try:
                        if store.is_supervised():
                            await cancel_tasks(watching)
                            watching = None
                            if (status := store.read_status()) is not None:  # the supervisor has stored a state
                                self._show(status)
                        elif watching is None or watching.done():
                            ended, watching = watching, None
                            if ended is not None:
                                ended.result()  # if our own code has failed, this raises its error
                            watching = asyncio.create_task(self._watch(store))
                    except (OSError, sqlite3.Error) as error:
                        self._warn_once(f"{store.folder} cannot be read: {error}")
                    except Exception as error:  # otherwise the last state would be shown forever
                        self._warn_once(f"{type(error).__name__}: {error}")
                        await asyncio.sleep(_RETRY_AFTER)
                    await asyncio.sleep(_POLL_EVERY)
            finally:
                await cancel_tasks(watching)

    async def restart(self, by: str) -> SupervisorAnswer:
        """Ask the supervisor for a restart, and wait for its answer. ``by`` says who asks."""
        with closing(GatewayStore(self.settings)) as store:
            return await ask_supervisor(store, SupervisorRequest("restart", by))

    async def _watch(self, store: GatewayStore) -> None:
        """Watch the driver, because no supervisor runs."""
        try:
            monitor = GatewayMonitor(make_driver(self.settings, store), lambda: self._show(monitor.status()))
            self._show(monitor.status())
            await monitor.run()
        except (DriverError, OSError) as error:
            self._warn_once(str(error))

    def _show(self, status: GatewayStatus | None) -> None:
        if status != self._published:
            self._published = status
            self._publish(status)

    def _warn_once(self, words: str) -> None:
        self._show(None)
        if words != self._last_warning:
            self._last_warning = words
            _log.warning("The gateway's process cannot be watched: %s", words)


@asynccontextmanager
async def follow_gateway(settings: GatewaySettings, connector: IBConnector) -> AsyncIterator[None]:
    """Show the gateway process in the status of a connector while the context lasts. Uses the running event loop.

    Does nothing if the configuration names no driver. After the context, ``status.gateway`` is ``None``.

    Raises:
        ConfigError: A path in the settings cannot be used.
    """
    if not settings.driver:
        yield
        return
    follower = GatewayFollower(settings, connector.tell_gateway)
    following = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        await cancel_tasks(following)
        connector.tell_gateway(None)


async def ask_supervisor(
    store: GatewayStore, request: SupervisorRequest, seconds: float = _ANSWER_TIMEOUT
) -> SupervisorAnswer:
    """Send a request to the supervisor and return its answer. If no supervisor answers, the answer says why."""
    if not store.is_supervised():
        return SupervisorAnswer(is_done=False, message="no supervisor runs: start one with 'ibkr gateway run'")
    name = store.add_request(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    try:
        while loop.time() < deadline:
            is_supervised = store.is_supervised()  # ask now: the supervisor may answer and end before the next line
            answer = store.read_answer(name)
            if answer is not None:
                return answer
            if not is_supervised:
                words = "the supervisor has ended without an answer: see its log"
                return SupervisorAnswer(is_done=False, message=words)
            await asyncio.sleep(_POLL_EVERY)
    finally:
        store.delete_request(name)
    return SupervisorAnswer(
        is_done=False, message=f"the supervisor has not answered within {seconds:.0f} s: see its log"
    )
