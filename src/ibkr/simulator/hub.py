"""The parts of one gateway together: market, streams, orders, history; and which client ids are taken."""

import logging
import math
from dataclasses import dataclass, field

from ibkr.simulator.history.pacing import HistoricalPacing
from ibkr.simulator.history.past import History
from ibkr.simulator.market.catalog import Instruments
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.orders.desk import Desk
from ibkr.simulator.requests.answers import Answers
from ibkr.simulator.state import Peer, Settings, State
from ibkr.simulator.streams.data_streams import DataStreams

log = logging.getLogger("ibkr.simulator")

ID_HOLD = 3.0
"""Seconds that the id of a client that was cut stays taken, as users of real gateways see it."""

Parts = list[tuple[bytes, bytes]]
"""Bodies before and after their request ids."""


@dataclass
class DisplayGroups:
    """What each display group shows, and which one a client follows, by its id and that of the request."""

    shown: dict[int, str] = field(default_factory=dict)
    followed: dict[tuple[int, int], int] = field(default_factory=dict)


class Hub(State):
    """The gateway behind its sockets."""

    def __init__(self, settings: Settings, instruments: Instruments, answers: Answers) -> None:
        super().__init__(settings, instruments, answers)
        self.market = Market(self)
        self.streams = DataStreams(self, self.market)
        self.history = History(settings.seed, self.market.started, never_closes=not settings.market_hours)
        self.historical_pacing = HistoricalPacing(settings.historical_pacing)
        self.encoded: dict[tuple[int, int, int], tuple[Quote, Parts]] = {}
        self.desk = Desk(self, self.market)
        self.display_groups = DisplayGroups()
        self._ids_taken_until: dict[int, float] = {}

    def changed(self) -> None:
        """Something happened that somebody may wait for; the upstream may be back."""
        self.desk.catch_up()
        super().changed()

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

    def add_session(self, client: Peer) -> None:
        """A client has completed startApi."""
        self.sessions[client.client_id] = client

    def remove(self, client: Peer, ended_at: float) -> None:
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
