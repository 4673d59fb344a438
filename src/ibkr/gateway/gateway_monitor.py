"""The current state of the gateway process, kept up to date from the events of one driver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ibkr.core.events import Now
from ibkr.core.gateway_status import GatewayState, GatewayStatus, next_forced_login
from ibkr.core.gateway_tracker import GatewayEvent, GatewayTracker, ProcessEnded
from ibkr.gateway.driver_interface import GatewayDriver

_log = logging.getLogger("ibkr.gateway")

NEW_YORK = "America/New_York"
_TROUBLE = (GatewayState.EXITED, GatewayState.LOGIN_FAILED, GatewayState.UNKNOWN_WINDOW)
_SETTLE_TIME = 1.0
"""Seconds to wait for the first events. A driver immediately reports what it already knows."""


def system_now() -> Now:
    """Return the time of the running event loop and of the system clock."""
    return Now(asyncio.get_running_loop().time(), datetime.now(UTC))


class GatewayMonitor:
    """Keeps the state of one gateway. Never acts on it. Belongs to one event loop.

    Args:
        driver: The driver that watches the process.
        on_change: Called after every change of the state.
        now: Returns the current time.
    """

    def __init__(
        self, driver: GatewayDriver, on_change: Callable[[], object] = lambda: None, now: Callable[[], Now] = system_now
    ) -> None:
        self.driver = driver
        self.tracker = GatewayTracker(sees_login=driver.sees_login, now=now().wall)
        self.started_mono = float("-inf")
        """When the process was last started or restarted, in monotonic seconds."""
        self._on_change = on_change
        self._now = now
        self._next_login: datetime | None = None

    async def run(self) -> None:
        """Follow the driver's events until cancelled."""
        self._next_login = await self.driver.next_login()
        async with aclosing(self.driver.events()) as events:  # type: ignore[type-var]  # every driver's is a generator
            async for event in events:
                self.handle_event(event)

    def handle_event(self, event: GatewayEvent) -> None:
        """Update the state with one event. The event comes from the driver or from our own code."""
        now = self._now()
        started_at = self.tracker.started_at
        changed = self.tracker.take(event, now.wall)
        if self.tracker.started_at is not None and self.tracker.started_at != started_at:
            self.started_mono = now.mono - max(0.0, (now.wall - self.tracker.started_at).total_seconds())
        if changed:
            status = self.status()
            level = logging.WARNING if status.state in _TROUBLE else logging.INFO
            _log.log(level, "%s", status.reason or "the gateway is running")
            self._on_change()

    def mark_stopped(self) -> None:
        """Record that the driver has stopped the gateway. Works even if nobody follows the driver's events now."""
        self.handle_event(ProcessEnded(wanted=True))

    def mark_session_up(self) -> None:
        """Record that an API session is up."""
        if self.tracker.session_up(self._now().wall):
            _log.info("the gateway is running: it accepts API sessions")
            self._on_change()

    def status(self, *, restarts: int = 0, alert: str = "", supervised: bool = False) -> GatewayStatus:
        """Return the state of the gateway."""
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


async def read_gateway_status(driver: GatewayDriver) -> GatewayStatus:
    """Watch the driver for one second and return the state of the gateway."""
    monitor = GatewayMonitor(driver)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_TIME):
            await monitor.run()
    return monitor.status()
