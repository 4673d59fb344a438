"""What all connections of one gateway share."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibkr.simulator.conditions import Conditions
from ibkr.simulator.market import Market
from ibkr.simulator.moments import Moments
from ibkr.simulator.seen import Seen
from ibkr.simulator.watch import Watch

if TYPE_CHECKING:
    from ibkr.simulator.client import Client

log = logging.getLogger("ibkr.simulator")

_MAX_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen when the gateway is made. `id_hold` and `tick_interval` are in seconds."""

    accounts: Sequence[str] = ("DU1234567",)
    server_version: int = 178
    tick_interval: float = 0.05
    seed: int = 1
    next_order_id: int = 1
    id_hold: float = 0.0
    max_clients: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.accounts, str) or not self.accounts or not all(self.accounts):
            raise ValueError(f"accounts: a sequence of account ids is needed, not {self.accounts!r}")
        if not 100 <= self.server_version <= 200:
            raise ValueError(f"server_version: {self.server_version} is not a text version, choose 100 to 200")
        if self.tick_interval <= 0:
            raise ValueError(f"tick_interval: more than 0 s is needed, not {self.tick_interval}")


class Hub:
    """The gateway behind its sockets: who is connected, the conditions, the market, what was seen."""

    loop: asyncio.AbstractEventLoop
    """Set when the gateway starts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.conditions = Conditions()
        self.seen = Seen()
        self.watch = Watch()
        self.moments = Moments()
        self.market = Market(self, settings.tick_interval, settings.seed)
        self.is_accepting = False
        self.clients: dict[Client, None] = {}
        self.sessions: dict[int, Client] = {}
        self._ids_taken_until: dict[int, float] = {}
        self._told: set[str] = set()

    def changed(self) -> None:
        """Something happened that somebody may wait for."""
        self.watch.changed()

    def log_once(self, text: str) -> None:
        """Log a WARNING the first time it is said; after a thousand different ones, nothing more."""
        if text not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(text)
            log.warning(text)

    def is_id_free(self, client_id: int) -> bool:
        """Whether a new session may use this client id."""
        taken_until = self._ids_taken_until.get(client_id, -math.inf)
        return client_id not in self.sessions and taken_until <= self.loop.time()

    def take_id(self, client_id: int, seconds: float = math.inf) -> None:
        """Keep a client id from new sessions for so long."""
        self._ids_taken_until[client_id] = self.loop.time() + seconds

    def release_ids(self) -> None:
        """Let go of all ids that no session of ours uses."""
        self._ids_taken_until.clear()

    def add_session(self, client: "Client") -> None:
        """A client has completed startApi."""
        self.sessions[client.client_id] = client

    def remove(self, client: "Client") -> None:
        """A connection has ended: its subscriptions go, and its id after `id_hold`."""
        self.clients.pop(client, None)
        if self.sessions.get(client.client_id) is client:
            del self.sessions[client.client_id]
            self.market.forget(client)
            if self.settings.id_hold:
                self.take_id(client.client_id, self.settings.id_hold)
        self.changed()

    def notify_all(self, code: int, text: str) -> None:
        """A connection-level notice (request id -1) to every session."""
        for client in list(self.sessions.values()):
            client.send_error(-1, code, text)
