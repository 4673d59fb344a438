"""The lease of a name in a fleet: who has it, and for how long its holder may trust it.

A lease is a key on a server that expires unless its holder renews it. The holder must stop trusting it before the
server can give it to somebody else. So the holder trusts it only for ``TRUSTED`` of its lifetime, from the moment
before the last successful renewal was sent. ``ibkr.fleet`` says which code uses this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from ibkr.core.frozen_record import FrozenRecord

TRUSTED = 0.7
"""The share of a lease's lifetime for which its holder trusts it."""


class Clocks(FrozenRecord):
    """One moment by two clocks, in seconds. ``boot`` also runs while the computer sleeps. ``wall``: since 1970."""

    boot: float
    wall: float


class LeaseTerm(FrozenRecord):
    """How long a lease may be trusted.

    ``sent``: the moment before the last successful renewal was sent. ``lifetime``: seconds after which the server lets
    a lease expire without renewal.
    """

    sent: Clocks
    lifetime: float

    def left(self, now: Clocks) -> float:
        """Seconds for which the lease may still be trusted, by the clock with less time left. Negative after that."""
        gone = max(now.boot - self.sent.boot, now.wall - self.sent.wall)
        return TRUSTED * self.lifetime - gone

    def why_not(self, now: Clocks) -> str:
        """Why the lease may no longer be trusted, in words. Empty if it may be trusted."""
        if self.left(now) > 0:
            return ""
        ran_out = datetime.fromtimestamp(self.sent.wall + TRUSTED * self.lifetime, UTC)
        return f"the fleet's lease ran out at {ran_out:%H:%M:%S} UTC: its servers have not renewed it"


class LeaseRole(StrEnum):
    """The role of a fleet member for its name."""

    LEADER = "leader"
    """This member has the name's client id, and trades while its lease may be trusted."""
    STANDBY = "standby"
    """Another member leads. This member only watches, with its own client id."""


class LeaseStatus(FrozenRecord):
    """The role and lease of a program in its fleet. Times are aware UTC datetimes.

    ``is_held``: the lease may be trusted; ``reason``: why not, in words. ``holder``: host and process of the leader,
    and ``since`` when; empty and ``None`` while no leader is known. ``client_id``: the id to connect with.
    ``knows_former``: there was no leader before, or the former leader wrote the same journal as this member.
    """

    name: str
    role: LeaseRole
    client_id: int
    is_held: bool
    reason: str = ""
    holder: str = ""
    since: datetime | None = None
    knows_former: bool = True

    @property
    def is_leader(self) -> bool:
        """Whether this member should have the name's client id."""
        return self.role is LeaseRole.LEADER
