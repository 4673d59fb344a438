"""Restarts the gateway's process through its driver. If this fails, the published state is still correct.

``core.restart_policy`` decides whether and when to restart.
"""

from __future__ import annotations

from copy import copy

from ibkr.core.gateway_status import NOT_STARTED
from ibkr.core.gateway_tracker import ProcessEnded, RestartStarted
from ibkr.gateway.driver_interface import DriverError
from ibkr.gateway.gateway_monitor import GatewayMonitor


async def restart_process(monitor: GatewayMonitor, reason: str) -> None:
    """End the process and start it again.

    Raises:
        DriverError: The restart failed. The process runs as before, or has ended.
    """
    before = copy(monitor.tracker)
    monitor.handle_event(RestartStarted(reason))
    try:
        await monitor.driver.restart()
    except DriverError:
        if await monitor.driver.is_running():
            monitor.tracker = before
        else:
            monitor.handle_event(ProcessEnded(NOT_STARTED))
        raise
