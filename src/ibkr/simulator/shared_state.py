"""`SharedState`: what all parts of one gateway share. `BaseClient`: a connection as these parts see it. `Settings`.

The parts of the gateway (market, streams, orders) get a `SharedState` and send messages to a `BaseClient`. This module
imports none of them. `gateway_state` derives `GatewayState` and `ClientSession` from these two classes.
"""

import asyncio
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ibkr.simulator.accounts.account_streams import AccountStreams
from ibkr.simulator.activity_log import Seen
from ibkr.simulator.connection.answer_latency import Latency
from ibkr.simulator.connection.connection_time import TimeZone
from ibkr.simulator.faults.conditions import Conditions, RateLimit
from ibkr.simulator.market.catalog import Instruments
from ibkr.simulator.requests.answer_file import Answers
from ibkr.simulator.requests.field_reader import printable
from ibkr.simulator.scheduling import Hooks, Waiters
from ibkr.wire import messages
from ibkr.wire.layout import Layout

log = logging.getLogger("ibkr.simulator")

_MAX_LOGGED = 1000

MAX_VERSION = 226
"""The highest server version, which is the version of the gateways of 2026."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of `Gateway`. `id_hold` and `tick_interval` are in seconds."""

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
    holdings: Sequence[tuple[str, int, float, float]] | None = None

    @property
    def max_streams(self) -> int:
        """How many tick-by-tick and how many depth streams are allowed: 3, or more with many lines (IBKR Campus)."""
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
            raise ValueError(f"speed: more than 0 is needed, and less than infinity, not {self.speed}; 1 is real time")
        for name, value, least in (
            ("id_hold", self.id_hold, 0),
            ("max_clients", self.max_clients, 1),
            ("next_order_id", self.next_order_id, 0),
        ):
            if not least <= value < math.inf:
                raise ValueError(f"{name}: {least} or more is needed, not {value}")


class SharedState:
    """The settings of one gateway, the current conditions, the connected clients, and the activity log."""

    loop: asyncio.AbstractEventLoop
    """Set when the gateway starts."""

    def __init__(self, settings: Settings, instruments: Instruments, answers: Answers) -> None:
        self.settings = settings
        self.instruments = instruments
        self.answers = answers
        self.conditions = Conditions()
        self.seen = Seen()
        self.waiters = Waiters()
        self.hooks = Hooks()
        self.is_accepting = False
        self.clients: dict[BaseClient, None] = {}
        self.sessions: dict[int, BaseClient] = {}
        self.rng = random.Random(settings.seed)
        self._logged: set[str] = set()

    @property
    def rate_limit(self) -> RateLimit:
        """The current limit on messages per second from each client."""
        return self.conditions.rate_limit or self.settings.rate_limit

    @property
    def time_zone(self) -> TimeZone:
        """The time zone that new connections get."""
        return self.conditions.time_zone or self.settings.time_zone

    def time(self) -> float:
        """Return the gateway's wall clock, in seconds since the epoch."""
        return time.time() + self.conditions.clock_off

    def changed(self) -> None:
        """Let `wait_for` check again after an event."""
        self.waiters.changed()

    def log_once(self, text: str) -> None:
        """Log a printable WARNING, but each text only once, and at most 1000 different texts."""
        text = printable(text)
        if text not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(text)
            log.warning(text)

    def notify_all(self, code: int, text: str) -> None:
        """Send a notice without a request (id -1) to every session."""
        for client in list(self.sessions.values()):
            client.send_error(-1, code, text)


class BaseClient(ABC):
    """One connection.

    `client_id` is -1 until `startApi`. `server_version` is 0 until the hello. `has_left` means that the client has sent
    its FIN. If `binds_orders` is true, client 0 binds new orders of TWS.
    """

    state: SharedState

    def __init__(self, state: SharedState) -> None:
        self.state = state
        self.client_id = -1
        self.server_version = 0
        self.has_left = False
        self.binds_orders = False
        self.account_streams = AccountStreams(state.settings.tick_interval, state.loop.time, self.send)

    def encode(self, layout: Layout, **values: object) -> bytes:
        """Encode the body of a message for the server version of this connection."""
        return layout.encode(self.server_version, **values)

    def error(self, req_id: int, code: int, text: str) -> bytes:
        """Encode the body of an error message (4)."""
        return self.encode(
            messages.ERROR,
            req_id=req_id,
            code=code,
            text=text,
            advanced_order_reject="",
            error_time=int(self.state.time() * 1000),
        )

    def send_error(self, req_id: int, code: int, text: str) -> None:
        """Send one error or notice. `req_id` is -1 if it belongs to no request."""
        self.send(self.error(req_id, code, text))

    @abstractmethod
    def send(self, *bodies: bytes) -> None:
        """Send messages in one write."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection (FIN) when all data is sent. Ignore what still arrives."""

    @abstractmethod
    def abort(self, is_reset: bool = False) -> None:
        """End the connection immediately, with a FIN as when the process ends, or with a reset (RST)."""

    @abstractmethod
    def freeze(self) -> None:
        """Stop reading and writing. The kernel still accepts data, and still sees the connection end."""

    @abstractmethod
    def thaw(self) -> None:
        """Process what has arrived, and send what has waited."""

    @abstractmethod
    def clear(self) -> None:
        """End all faults: send what waits, and process what was not read."""
