"""Follows the events of one driver, and keeps the state of the gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ibkr.core.facts import Now
from ibkr.core.gateway import GatewayState, GatewayStatus, next_forced_login
from ibkr.core.gateway_tracker import GatewayEvent, GatewayTracker, ProcessEnded
from ibkr.gateway.driver import Driver

_log = logging.getLogger("ibkr.gateway")

NEW_YORK = "America/New_York"
_TROUBLE = (GatewayState.EXITED, GatewayState.LOGIN_FAILED, GatewayState.UNKNOWN_WINDOW)
_SETTLED = 1.0
"""Seconds that a first look takes: what a driver knows already, it tells at once."""


def system_now() -> Now:
    """The time of the running event loop and of the system."""
    return Now(asyncio.get_running_loop().time(), datetime.now(UTC))


class Monitor:
    """Watches, and does nothing else. Belongs to one event loop.

    Args:
        driver: what watches the process.
        on_change: called after every change of the state.
        now: gives the time.
    """

    def __init__(
        self, driver: Driver, on_change: Callable[[], object] = lambda: None, now: Callable[[], Now] = system_now
    ) -> None:
        self.driver = driver
        self.tracker = GatewayTracker(sees_login=driver.sees_login, now=now().wall)
        self.started = float("-inf")
        """When the process, or the last restart, began; monotonic seconds."""
        self._on_change = on_change
        self._now = now
        self._next_login: datetime | None = None

    async def run(self) -> None:
        """Follow the driver without end."""
        self._next_login = await self.driver.next_login()
        async with aclosing(self.driver.events()) as events:  # type: ignore[type-var]  # every driver's is a generator
            async for event in events:
                self.take(event)

    def take(self, event: GatewayEvent) -> None:
        """Follow one event, of the driver or of our own."""
        now = self._now()
        started_at = self.tracker.started_at
        changed = self.tracker.take(event, now.wall)
        if self.tracker.started_at is not None and self.tracker.started_at != started_at:
            self.started = now.mono - max(0.0, (now.wall - self.tracker.started_at).total_seconds())
        if changed:
            status = self.status()
            level = logging.WARNING if status.state in _TROUBLE else logging.INFO
            _log.log(level, "%s", status.reason or "the gateway is running")
            self._on_change()

    def stopped(self) -> None:
        """The driver has stopped it: shown at once, also if its events are not followed any more."""
        self.take(ProcessEnded(wanted=True))

    def session_up(self) -> None:
        """An API session is up."""
        if self.tracker.session_up(self._now().wall):
            _log.info("the gateway is running: it takes API sessions")
            self._on_change()

    def status(self, *, restarts: int = 0, alert: str = "", supervised: bool = False) -> GatewayStatus:
        """The state of the gateway."""
        wall = self._now().wall
        if self._next_login is None or self._next_login <= wall:
            self._next_login = next_forced_login(wall, ZoneInfo(NEW_YORK))
        return self.tracker.status(
            driver=self.driver.settings.driver,
            next_login=self._next_login,
            restarts=restarts,
            alert=alert,
            supervised=supervised,
        )


async def look(driver: Driver) -> GatewayStatus:
    """The state of the gateway, from one short look."""
    monitor = Monitor(driver)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLED):
            await monitor.run()
    return monitor.status()
