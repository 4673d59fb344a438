"""`GatewayState` has the parts of one gateway: market, streams, orders, history, client ids. Also `ClientSession`."""

import asyncio
import logging
import math
from abc import abstractmethod
from dataclasses import dataclass, field

from ibkr.simulator.connection.send_queue import SendQueue
from ibkr.simulator.history.historical_pacing import HistoricalPacing
from ibkr.simulator.history.price_history import PriceHistory
from ibkr.simulator.market.catalog import Instruments
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.orders.order_handler import OrderHandler
from ibkr.simulator.requests.answer_file import Answers
from ibkr.simulator.scheduling import Timers
from ibkr.simulator.shared_state import BaseClient, Settings, SharedState
from ibkr.simulator.streams.data_streams import DataStreams

log = logging.getLogger("ibkr.simulator")

ID_HOLD = 3.0
"""Seconds for which the client id of a lost connection stays in use, as users of real gateways report."""

Parts = list[tuple[bytes, bytes]]
"""The bytes of each message before and after its request id."""


@dataclass
class DisplayGroups:
    """What each display group shows, and which group a client follows, by client id and request id."""

    shown: dict[int, str] = field(default_factory=dict)
    followed: dict[tuple[int, int], int] = field(default_factory=dict)


class GatewayState(SharedState):
    """Everything in one gateway except its sockets."""

    def __init__(self, settings: Settings, instruments: Instruments, answers: Answers) -> None:
        super().__init__(settings, instruments, answers)
        self.market = Market(self)
        self.streams = DataStreams(self, self.market)
        self.history = PriceHistory(settings.seed, self.market.started, never_closes=not settings.market_hours)
        self.historical_pacing = HistoricalPacing(settings.historical_pacing)
        self.encoded_ticks: dict[tuple[int, int, int], tuple[Quote, Parts]] = {}
        self.order_handler = OrderHandler(self, self.market)
        self.display_groups = DisplayGroups()
        self._ids_reserved_until: dict[int, float] = {}

    def changed(self) -> None:
        """Process an event: let `wait_for` check again, and continue what waited for the upstream."""
        self.order_handler.catch_up()
        super().changed()

    def is_id_free(self, client_id: int) -> bool:
        """Return whether a new session may use this client id."""
        reserved_until = self._ids_reserved_until.get(client_id, -math.inf)
        return client_id not in self.sessions and reserved_until <= self.loop.time()

    def reserve_id(self, client_id: int, seconds: float = math.inf) -> None:
        """Refuse a client id to new sessions for this many seconds."""
        self._ids_reserved_until[client_id] = self.loop.time() + seconds

    def release_ids(self) -> None:
        """Release all client ids that no session uses."""
        self._ids_reserved_until.clear()

    def add_session(self, client: BaseClient) -> None:
        """Add a client that has completed startApi."""
        self.sessions[client.client_id] = client

    def remove(self, client: BaseClient, ended_at: float) -> None:
        """Remove a connection that has ended, with its subscriptions.

        `ended_at` is the event loop's time at which the kernel saw the end. If the client has not sent a FIN, its
        client id stays in use for `id_hold` seconds after this time.
        """
        self.clients.pop(client, None)
        if self.sessions.get(client.client_id) is client:
            del self.sessions[client.client_id]
            self.streams.end_all_of(client)
            self.order_handler.update_followed()
            log.info("client %s: the session has ended", client.client_id)
            if self.settings.id_hold and not client.has_left:
                reserved_until = self._ids_reserved_until.get(client.client_id, -math.inf)
                self._ids_reserved_until[client.client_id] = max(reserved_until, ended_at + self.settings.id_hold)
        self.changed()


class ClientSession(BaseClient):
    """One connection, from its first byte on, as request handlers see it.

    If `is_ignored` is true, received data is ignored. `timers` stop with the connection. `account` is the account of
    the last reqAccountUpdates. `first_bytes` is what was received, if this is not an API session.
    """

    state: GatewayState
    transport: asyncio.Transport
    send_queue: SendQueue

    def __init__(self, state: GatewayState) -> None:
        super().__init__(state)
        self.market_data_type = 1
        self.account = ""
        self.first_bytes = bytearray()
        self.timers = Timers()
        self.is_ignored = False

    @property
    @abstractmethod
    def is_reading(self) -> bool:
        """Whether the gateway processes received data."""

    @abstractmethod
    def started(self) -> None:
        """Tell the connection that startApi is complete."""

    @abstractmethod
    def session_received(self, data: bytes, announce: int | None = None) -> None:
        """Process bytes that belong to an API session; see `connection_behavior`.

        `announce` is a server version to announce instead of the negotiated one.
        """

    @abstractmethod
    def send_raw(self, data: bytes) -> None:
        """Send bytes unchanged."""

    def ignore(self) -> None:
        """Ignore all data that still arrives."""
        self.is_ignored = True
