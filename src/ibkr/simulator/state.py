"""What everything in one gateway shares, and what it knows of a connection.

The parts of the gateway (market, streams, orders) are given a `State` and tell a `Peer` what happens; `hub` puts the
parts together, and `session` is a peer as the answers to its requests see it. So nothing here knows any of those.
"""

import asyncio
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ibkr.simulator.accounts.streams import AccountStreams
from ibkr.simulator.connection.latency import Latency
from ibkr.simulator.connection.moments import Moments
from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.faults.conditions import Conditions, RateLimit
from ibkr.simulator.market.catalog import Instruments
from ibkr.simulator.requests.answers import Answers
from ibkr.simulator.requests.reader import printable
from ibkr.simulator.seen import Seen
from ibkr.simulator.watch import Watch
from ibkr.wire import messages
from ibkr.wire.layout import Layout

log = logging.getLogger("ibkr.simulator")

_MAX_TOLD = 1000

MAX_VERSION = 226
"""The highest server version: that of the gateways of 2026."""


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
        if not 100 <= self.server_version <= MAX_VERSION:
            raise ValueError(f"server_version: {self.server_version} is not known, choose 100 to {MAX_VERSION}")
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


class State:
    """The settings of one gateway, its conditions, who is connected, and what was seen."""

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
        self.is_accepting = False
        self.clients: dict[Peer, None] = {}
        self.sessions: dict[int, Peer] = {}
        self.chance = random.Random(settings.seed)
        self._told: set[str] = set()

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
        """Something happened that somebody may wait for."""
        self.watch.changed()

    def log_once(self, text: str) -> None:
        """Log a WARNING the first time it is said, fit to be shown; after a thousand different ones, nothing more."""
        text = printable(text)
        if text not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(text)
            log.warning(text)

    def notify_all(self, code: int, text: str) -> None:
        """A connection-level notice (request id -1) to every session."""
        for client in list(self.sessions.values()):
            client.send_error(-1, code, text)


class Peer(ABC):
    """One connection.

    `client_id` is -1 until `startApi`; `server_version` is 0 until the hello. `has_left` says that the client has
    ended its side in good order (FIN). With `binds_orders` client 0 has the orders of TWS bound as they come.
    """

    hub: State

    def __init__(self, hub: State) -> None:
        self.hub = hub
        self.client_id = -1
        self.server_version = 0
        self.has_left = False
        self.binds_orders = False
        self.account_streams = AccountStreams(hub.settings.tick_interval, hub.loop.time, self.send)

    def encode(self, layout: Layout, **values: object) -> bytes:
        """The body of a message in the layout of this connection's version."""
        return layout.encode(self.server_version, **values)

    def error(self, req_id: int, code: int, text: str) -> bytes:
        """The body of an error message (4)."""
        return self.encode(
            messages.ERROR,
            req_id=req_id,
            code=code,
            text=text,
            advanced_order_reject="",
            error_time=int(self.hub.time() * 1000),
        )

    def send_error(self, req_id: int, code: int, text: str) -> None:
        """Send one error or notice; `req_id` is -1 when it belongs to no request."""
        self.send(self.error(req_id, code, text))

    @abstractmethod
    def send(self, *bodies: bytes) -> None:
        """Send messages in one write."""

    @abstractmethod
    def close(self) -> None:
        """Close in good order (FIN) once all is sent; what still comes in is not looked at."""

    @abstractmethod
    def abort(self, is_reset: bool = False) -> None:
        """End at once: as when the process ends (FIN), or with a reset (RST)."""

    @abstractmethod
    def freeze(self) -> None:
        """Neither read nor write. The kernel goes on: it takes what comes, and sees the connection end."""

    @abstractmethod
    def thaw(self) -> None:
        """Read what has arrived, write what has waited."""

    @abstractmethod
    def clear(self) -> None:
        """No fault holds any more: what waits leaves, what was not read is."""
