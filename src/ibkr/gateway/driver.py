"""The interface of a driver: what starts, stops and watches the process of TWS or IB Gateway."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent
from ibkr.gateway.store import GatewayStore

POLL = 0.2
"""Seconds between two looks at a process or a file: a change is known well within a second."""


class DriverError(Exception):
    """The driver could not do what it was asked for; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a driver's configuration that does not work, or is not safe. ``cure``: what to do about it."""

    message: str
    cure: str
    is_fatal: bool = True


class Driver(ABC):
    """Runs and watches one gateway. All coroutines belong to one event loop.

    Args:
        settings: the table ``[ibkr.gateway]``.
        store: the folder of this gateway; the driver may keep a log and a process id in it.
    """

    sees_login: ClassVar[bool]
    """Whether it reports logins: second factor, failures, unknown windows."""
    owns_process: ClassVar[bool] = False
    """The process is ours: it ends with the supervisor."""

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        self.settings = settings
        self.store = store
        self.heals_exit = False
        """Something else restarts the process when it has ended. Known after the first event."""
        self.heals_hang = False
        """Something else restarts a gateway that hangs."""

    @property
    def has_commands(self) -> bool:
        """Whether ``send`` has a command server to talk to."""
        return False

    @abstractmethod
    async def start(self) -> None:
        """Start the gateway, and return as soon as its process runs. Raises ``DriverError``."""

    @abstractmethod
    async def stop(self) -> None:
        """End the gateway, and return when it has ended. Raises ``DriverError``."""

    async def restart(self) -> None:
        """End the gateway and start it again. Raises ``DriverError``."""
        await self.stop()
        await self.start()

    async def send(self, command: str) -> str:
        """Send a command to IBC's command server: ``RESTART``, ``RECONNECTDATA`` or ``RECONNECTACCOUNT``.

        Returns its answer. Raises ``DriverError`` if there is none, or if it refuses.
        """
        raise DriverError(f"this driver has no command server that could take {command}")

    @abstractmethod
    async def is_running(self) -> bool:
        """Whether the process runs now."""

    @abstractmethod
    def events(self) -> AsyncIterator[GatewayEvent]:
        """What happens to the gateway, without end. Begins with what is true now."""

    @abstractmethod
    def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        """The last lines of the gateway's log; with ``follow``, each new one as it comes."""

    @abstractmethod
    async def problems(self) -> list[Problem]:
        """What is wrong with the configuration, as far as it can be seen without starting anything."""

    async def next_login(self) -> datetime | None:
        """When the driver expects the next forced login; ``None`` if it does not say."""
        return None

    async def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of files and helper processes; the gateway is left as it is."""
