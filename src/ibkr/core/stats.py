"""The stats: what is counted and measured of a connector, sampled when it is asked for."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from ibkr.core.value import Value

KEPT_ROUND_TRIPS = 120
"""So many of the last round-trips are kept: ten minutes' worth and more, at one probe each 5 s."""


class Subscriptions(Value):
    """How many subscriptions stand where; each is counted once.

    ``wanted``: not sent in this session, or ended by the gateway and to be sent again; ``sent``: without a message yet;
    ``refused``: ran before and is refused now.
    """

    wanted: int = 0
    sent: int = 0
    live: int = 0
    refused: int = 0


class Stats(Value):
    """Counts since the connector was made, over all its sessions, and the last measures. Times are in seconds.

    Bytes and messages are those that the client library has read and written: what a peer that is no gateway sent is
    not among them. ``probes``: answers to ``reqCurrentTime``, ours or the program's own; ``round_trips`` the last of
    them, oldest first, at most ``KEPT_ROUND_TRIPS``. ``loop_stalls``: how often the event loop had no turn for 0.5 s
    or more, some that were shorter counted too, and ``loop_stall_seconds`` for how long altogether.
    """

    as_of: datetime
    attempts: int = 0
    subscriptions: Subscriptions = Subscriptions()
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
        """The last one; None before the first."""
        return self.round_trips[-1] if self.round_trips else None

    def round_trips_after(self, probes: int) -> tuple[float, ...]:
        """Those of the probes after the first so many, as far as they are kept."""
        new = min(self.probes - probes, len(self.round_trips))
        return self.round_trips[len(self.round_trips) - new :]

    def to_dict(self) -> dict[str, Any]:
        """The stats in JSON's types."""
        return {
            **asdict(self),
            "as_of": self.as_of.isoformat(timespec="milliseconds"),
            "round_trips": [round(seconds, 6) for seconds in self.round_trips],
            "round_trip": None if self.round_trip is None else round(self.round_trip, 6),
        }
