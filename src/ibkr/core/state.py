"""The few public words for how the connection stands."""

from enum import StrEnum


class ConnectionState(StrEnum):
    """What may be relied on now. Written by the machine alone; see ``core/table.py`` for how it changes."""

    DISCONNECTED = "DISCONNECTED"
    """Not wanted: before ``connect()``, after ``disconnect()``."""
    FAILED = "FAILED"
    """Given up: a cause that no retry cures, or the caller's attempts are used up."""
    CONNECTING = "CONNECTING"
    """Wanted, no session yet."""
    RECONNECTING = "RECONNECTING"
    """Wanted, the session is lost and on its way back."""
    SYNCING = "SYNCING"
    """A session is up; start-up or restore is under way."""
    DEGRADED = "DEGRADED"
    """A session is up, but something that matters is not; the reason says what."""
    READY = "READY"
    """Everything is there."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way: no connection is wanted, or it was given up."""
        return self in (ConnectionState.DISCONNECTED, ConnectionState.FAILED)


class SessionState(StrEnum):
    """The axis of our own socket."""

    NONE = "none"
    OPENING = "opening"
    UP = "up"
    SUSPECT = "suspect"
    """A probe is unanswered: the socket may be half-open."""


class UpstreamState(StrEnum):
    """The axis of the gateway's own link to IB's servers."""

    UNKNOWN = "unknown"
    UP = "up"
    ASSUMED = "assumed"
    """The gateway has not said, and had ``upstream_grace`` to say it."""
    DOWN = "down"


class Feed(StrEnum):
    """What a data farm delivers."""

    MARKET = "market data"
    HISTORY = "historical data"
    DEFINITIONS = "contract definitions"


class FarmState(StrEnum):
    """The axis of one named IB data farm."""

    OK = "ok"
    INACTIVE = "inactive"
    CONNECTING = "connecting"
    BROKEN = "broken"
