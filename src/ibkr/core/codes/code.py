"""``Code``: one of IB's codes, and its enums."""

from __future__ import annotations

from enum import StrEnum

from ibkr.core.frozen_record import FrozenRecord


class Scope(StrEnum):
    """What a code is about."""

    SESSION = "session"
    UPSTREAM = "upstream"
    FARM = "farm"
    REQUEST = "request"
    ORDER = "order"


class Severity(StrEnum):
    """How bad a code is. After a warning, the request or order continues."""

    GOOD = "good news"
    WARNING = "warning"
    ERROR = "error"


class Category(StrEnum):
    """The chapter of the catalogue."""

    CONNECTION = "connection"
    MARKET_DATA = "market data"
    HISTORY = "historical data"
    ORDERS = "orders"
    REQUESTS = "requests"
    CLIENT = "client library"


class Reaction(StrEnum):
    """What the state machine does about a code."""

    UPSTREAM_LOST = "upstream lost"
    UPSTREAM_BACK_DATA_LOST = "upstream back, data lost"
    UPSTREAM_BACK = "upstream back"
    FARM_BROKEN = "farm broken"
    FARM_OK = "farm ok"
    FARM_INACTIVE = "farm inactive"
    FARM_CONNECTING = "farm connecting"
    CLIENT_ID_IN_USE = "client id in use"
    PORT_CHANGED = "port changed"
    TOO_FAST = "too fast"
    STREAM_ENDED = "stream ended"
    STREAM_WITHHELD = "stream withheld"
    READ_ONLY = "read-only"
    NONE = "none"


class Code(FrozenRecord):
    """One code: its meaning, subject, severity and advice.

    ``retry_helps``: the same request may work later or at a lower rate. ``advice`` may be empty. ``reaction``: what the
    connector does about it.
    """

    code: int
    meaning: str
    category: Category
    scope: Scope
    severity: Severity = Severity.ERROR
    advice: str = ""
    retry_helps: bool = False
    reaction: Reaction = Reaction.NONE

    def to_dict(self) -> dict[str, object]:
        """The code as JSON types."""
        return {
            "code": self.code,
            "meaning": self.meaning,
            "category": str(self.category),
            "scope": str(self.scope),
            "severity": str(self.severity),
            "retry_helps": self.retry_helps,
            "advice": self.advice,
            "reaction": None if self.reaction is Reaction.NONE else str(self.reaction),
        }
