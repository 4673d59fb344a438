"""A connection as those see it who read what it sends and answer its requests."""

import asyncio
from abc import abstractmethod

from ibkr.simulator.connection.outbox import Outbox
from ibkr.simulator.connection.timers import Timers
from ibkr.simulator.hub import Hub
from ibkr.simulator.state import Peer


class Session(Peer):
    """One connection, from its first byte on.

    With `is_ignored` nothing more that comes in is looked at. `timers` end with the connection. `account` is the one
    whose updates it asked for last. `opening` holds what a greeting that is not the API's has received.
    """

    hub: Hub
    transport: asyncio.Transport
    outbox: Outbox

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.market_data_type = 1
        self.account = ""
        self.opening = bytearray()
        self.timers = Timers()
        self.is_ignored = False

    @property
    @abstractmethod
    def is_reading(self) -> bool:
        """Whether the gateway acts on what has come in."""

    @abstractmethod
    def started(self) -> None:
        """The connection has completed startApi."""

    @abstractmethod
    def session_received(self, data: bytes, announce: int | None = None) -> None:
        """Bytes of a connection that is treated as the API's; see `greetings`.

        `announce` is a version to announce in place of the negotiated one.
        """

    @abstractmethod
    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""

    def ignore(self) -> None:
        """Look at nothing more that comes in."""
        self.is_ignored = True
