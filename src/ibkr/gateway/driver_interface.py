"""The interface of a gateway driver, which starts, stops and watches the process of TWS or IB Gateway."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent
from ibkr.gateway.gateway_store import GatewayStore

POLL_INTERVAL = 0.2
"""Seconds between two checks of a process or a file. A change is seen in much less than a second."""


class DriverError(Exception):
    """The driver could not do what it was asked. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DriverProblem:
    """A setting of the driver that does not work or is not safe. ``cure`` says what to do about it."""

    message: str
    cure: str
    is_fatal: bool = True


class GatewayDriver(ABC):
    """Runs and watches one gateway. All coroutines belong to one event loop.

    Args:
        settings: The table ``[ibkr.gateway]``.
        store: The folder of this gateway. The driver may keep a log and a process id in it.

    Raises:
        ConfigError: A setting cannot be used.
    """

    sees_login: ClassVar[bool]
    """Whether the driver reports logins: second factor, failures, unknown windows."""
    owns_process: ClassVar[bool] = False
    """Whether the process is ours and ends with the supervisor."""

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        self.settings = settings
        self.store = store
        self.external_restart_on_exit = False
        """Whether something else restarts the process after it has ended. Only known after the first event."""
        self.external_restart_on_hang = False
        """Whether something else restarts a gateway that hangs."""

    @property
    def has_command_server(self) -> bool:
        """Whether ``send`` can reach a command server."""
        return False

    @abstractmethod
    async def start(self) -> None:
        """Start the gateway, and return as soon as its process runs. Raises ``DriverError`` if this fails."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop the gateway, and return when it has ended. Raises ``DriverError`` if this fails."""

    async def restart(self) -> None:
        """Stop the gateway and start it again. The driver reports no event for this end.

        Raises:
            DriverError: The gateway could not be stopped, or could not be started again.
        """
        await self.stop()
        await self.start()

    async def send(self, command: str) -> str:
        """Send a command to IBC's command server: ``RESTART``, ``RECONNECTDATA`` or ``RECONNECTACCOUNT``.

        Returns:
            The server's answer.

        Raises:
            DriverError: There is no command server, or it refuses the command.
        """
        raise DriverError(f"this driver has no command server that accepts {command}")

    @abstractmethod
    async def is_running(self) -> bool:
        """Whether the process runs now."""

    @abstractmethod
    def events(self) -> AsyncIterator[GatewayEvent]:
        """Yield what happens to the gateway, forever. The first events describe the present state."""

    @abstractmethod
    def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        """Yield the last lines of the gateway's log. With ``follow``, also yield each new line."""

    @abstractmethod
    async def problems(self) -> list[DriverProblem]:
        """Return what is wrong with the configuration. Starts nothing."""

    async def next_login(self) -> datetime | None:
        """Return when the driver expects the next forced login; ``None`` if it does not say."""
        return None

    def save_process(self) -> None:  # noqa: B027 - most drivers have no process
        """Write the file that names our own process, if it is missing or wrong. Raises ``OSError`` if this fails."""

    async def close(self) -> None:  # noqa: B027 - most drivers have nothing to close
        """Close files and helper processes. The gateway itself is not touched."""
