"""What all connections of one gateway share."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibkr.simulator.connection.latency import Latency
from ibkr.simulator.connection.moments import Moments
from ibkr.simulator.connection.pacer import RateLimit
from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.faults.conditions import Conditions
from ibkr.simulator.history.pacing import HistoricalPacing
from ibkr.simulator.history.past import History
from ibkr.simulator.market.catalog import Instruments
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.orders.desk import Desk
from ibkr.simulator.requests.answers import Answers
from ibkr.simulator.requests.display_groups import DisplayGroups
from ibkr.simulator.requests.reader import printable
from ibkr.simulator.seen import Seen
from ibkr.simulator.streams.data_streams import DataStreams
from ibkr.simulator.streams.market_data import Parts
from ibkr.simulator.watch import Watch

if TYPE_CHECKING:
    from ibkr.simulator.connection.client import Client

log = logging.getLogger("ibkr.simulator")

_MAX_TOLD = 1000

ID_HOLD = 3.0
"""Seconds that the id of a client that was cut stays taken, as users of real gateways see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Chosen when the gateway is made. `id_hold` and `tick_interval` are in seconds."""

    accounts: Sequence[str]
    server_version: int
    tick_interval: float
    seed: int
    next_order_id: int
    id_hold: float
    max_clients: int
    rate_limit: RateLimit
    lines: int
    speed: float
    historical_pacing: bool
    market_hours: bool
    master_client_id: int | None
    partial_fills: bool
    latency: Latency
    time_zone: TimeZone

    @property
    def streams(self) -> int:
        """How many of tick-by-tick and of depth streams there may be: three, more with many lines (IBKR Campus)."""
        return max(3, self.lines // 100)

    def __post_init__(self) -> None:
        if isinstance(self.accounts, str) or not self.accounts or not all(self.accounts):
            raise ValueError(f"accounts: a sequence of account ids is needed, not {self.accounts!r}")
        if not 100 <= self.server_version <= 200:
            raise ValueError(f"server_version: {self.server_version} is not a text version, choose 100 to 200")
        if not 0 < self.tick_interval < math.inf:
            raise ValueError(f"tick_interval: more than 0 s is needed, not {self.tick_interval}")
        if self.lines < 1:
            raise ValueError(f"lines: at least 1 market data line is needed, not {self.lines}")
        if not 0 < self.speed < math.inf:
            raise ValueError(f"speed: more than 0 is needed, 1 is real time, not {self.speed}")
        for name, value, least in (
            ("id_hold", self.id_hold, 0),
            ("max_clients", self.max_clients, 1),
            ("next_order_id", self.next_order_id, 0),
        ):
            if not least <= value < math.inf:
                raise ValueError(f"{name}: {least} or more is needed, not {value}")


class Hub:
    """The gateway behind its sockets: who is connected, the conditions, the market, what was seen."""

    loop: asyncio.AbstractEventLoop
    """Set when the gateway starts."""

    def __init__(self, settings: Settings, instruments: Instruments, answers: Answers) -> None:
        self.settings = settings
        self.instruments = instruments
        self.answers = answers
        self.conditions = Conditions()
        self.seen = Seen()
        self.watch = Watch()
        self.moments = Moments()
        self.market = Market(self)
        self.streams = DataStreams(self)
        self.history = History(settings.seed, self.market.started, never_closes=not settings.market_hours)
        self.historical_pacing = HistoricalPacing(settings.historical_pacing)
        self.encoded: dict[tuple[int, int, int], tuple[Quote, Parts]] = {}
        self.desk = Desk(self)
        self.display_groups = DisplayGroups()
        self.is_accepting = False
        self.clients: dict[Client, None] = {}
        self.sessions: dict[int, Client] = {}
        self._ids_taken_until: dict[int, float] = {}
        self._told: set[str] = set()
        self.chance = random.Random(settings.seed)

    @property
    def rate_limit(self) -> RateLimit:
        """How many messages a second are taken from each client now."""
        return self.conditions.rate_limit or self.settings.rate_limit

    @property
    def time_zone(self) -> TimeZone:
        """The time zone that new connections are told."""
        return self.conditions.time_zone or self.settings.time_zone

    def time(self) -> float:
        """The gateway's wall clock, in seconds since the epoch."""
        return time.time() + self.conditions.clock_off

    def changed(self) -> None:
        """Something happened that somebody may wait for; the upstream may be back."""
        self.desk.catch_up()
        self.watch.changed()

    def log_once(self, text: str) -> None:
        """Log a WARNING the first time it is said, fit to be shown; after a thousand different ones, nothing more."""
        text = printable(text)
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

    def remove(self, client: "Client", ended_at: float) -> None:
        """A connection has ended, as the kernel saw it at this time of the loop; its subscriptions end with it.

        If the client did not end it in good order, its id stays taken for `id_hold` seconds from then on.
        """
        self.clients.pop(client, None)
        if self.sessions.get(client.client_id) is client:
            del self.sessions[client.client_id]
            self.streams.forget(client)
            self.desk.follow()
            log.info("client %s: the session has ended", client.client_id)
            if self.settings.id_hold and not client.has_left:
                taken_until = self._ids_taken_until.get(client.client_id, -math.inf)
                self._ids_taken_until[client.client_id] = max(taken_until, ended_at + self.settings.id_hold)
        self.changed()

    def notify_all(self, code: int, text: str) -> None:
        """A connection-level notice (request id -1) to every session."""
        for client in list(self.sessions.values()):
            client.send_error(-1, code, text)
