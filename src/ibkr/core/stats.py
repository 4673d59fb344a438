"""``Stats``: counters and measurements of a connector, sampled when requested."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.serialization import to_jsonable

KEPT_ROUND_TRIPS = 120
"""How many round trips are kept: at least ten minutes with one probe every 5 s."""


class SubscriptionCounts(FrozenRecord):
    """How many subscriptions are in each state. Each is counted once.

    ``wanted``: not sent in this session, or ended by the gateway. ``sent``: without a message yet. ``refused``: refused
    now, to be requested again. ``silent`` and ``withheld`` as in ``SubscriptionState``.
    """

    wanted: int = 0
    sent: int = 0
    live: int = 0
    refused: int = 0
    silent: int = 0
    withheld: int = 0


class Stats(FrozenRecord):
    """Counters since the connector was made, over all its sessions, and the last measurements. Times are in seconds.

    Bytes and messages are counted if the client library has read or written them, and the peer is a gateway.
    ``probes``: answers to ``reqCurrentTime``, for our requests and the program's. ``round_trips``: the durations of the
    last 120 such requests, oldest first. ``loop_stalls``: how often the event loop was blocked for
    0.5 s or more (some shorter stalls are included); ``loop_stall_seconds``: their total duration.
    """

    as_of: datetime
    attempts: int = 0
    subscriptions: SubscriptionCounts = SubscriptionCounts()
    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    probes: int = 0
    round_trips: tuple[float, ...] = ()
    loop_stalls: int = 0
    loop_stall_seconds: float = 0.0

    @property
    def round_trip(self) -> float | None:
        """The last round trip; ``None`` before the first."""
        return self.round_trips[-1] if self.round_trips else None

    def round_trips_after(self, probes: int) -> tuple[float, ...]:
        """The round trips after this number of probes, as far as they are kept."""
        new = min(self.probes - probes, len(self.round_trips))
        return self.round_trips[len(self.round_trips) - new :]

    def to_dict(self) -> dict[str, Any]:
        """The stats as JSON types."""
        data: dict[str, Any] = {each: to_jsonable(getattr(self, each)) for each in self.__match_args__}
        return {
            **data,
            "round_trips": [round(seconds, 6) for seconds in self.round_trips],
            "round_trip": None if self.round_trip is None else round(self.round_trip, 6),
        }
