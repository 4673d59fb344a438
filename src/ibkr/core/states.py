"""Public enums: the connection's state, and the states of the session, upstream and data farms."""

from enum import StrEnum


class ConnectionState(StrEnum):
    """What a program may rely on now.

    Only the state machine sets the state. ``core/transitions.py`` lists all changes of the phase, from which the state
    is derived.
    """

    DISCONNECTED = "DISCONNECTED"
    """No connection is requested: before ``connect()`` or after ``disconnect()``."""
    FAILED = "FAILED"
    """The connector stopped trying.

    No retry can help, the attempts of ``connect()`` are used up, or an internal error occurred.
    """
    CONNECTING = "CONNECTING"
    """A connection is requested, and there is no session yet."""
    RECONNECTING = "RECONNECTING"
    """A connection is requested. The session was lost, and attempts are made."""
    SYNCING = "SYNCING"
    """A session is up; start-up or restore is running, or the gateway has not reported its link to IB yet."""
    DEGRADED = "DEGRADED"
    """A session is up, but something required is missing. The reason names it."""
    READY = "READY"
    """Everything required is available."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is running, because no connection is requested or the connector stopped trying."""
        return self in (ConnectionState.DISCONNECTED, ConnectionState.FAILED)


class SessionState(StrEnum):
    """The state of our own socket."""

    NONE = "none"
    OPENING = "opening"
    UP = "up"
    SUSPECT = "suspect"
    """A probe is unanswered: the socket may be half-open."""


class UpstreamState(StrEnum):
    """The state of the gateway's own connection to IB's servers."""

    UNKNOWN = "unknown"
    UP = "up"
    ASSUMED = "assumed"
    """The gateway has not reported upstream within ``upstream_grace``, so we assume that upstream is up."""
    DOWN = "down"


class Feed(StrEnum):
    """What a data farm delivers."""

    MARKET = "market data"
    HISTORY = "historical data"
    DEFINITIONS = "contract definitions"


class FarmState(StrEnum):
    """The state of one IB data farm."""

    OK = "ok"
    INACTIVE = "inactive"
    CONNECTING = "connecting"
    BROKEN = "broken"
