"""One subscription: how far it has come, and its state for the program."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.serialization import mask_json, to_jsonable
from ibkr.core.states import Feed

SILENT_AFTER = 2
"""A stream that ticked before is called silent after this many requests without data."""


class SubscriptionStage(StrEnum):
    """How far a subscription has come in this session."""

    WANTED = "wanted"
    QUEUED = "queued"
    """Requested, but waiting in the rate limiter."""
    SENT = "sent"
    LIVE = "live"
    REFUSED = "refused"
    ENDED = "ended"


class SubscriptionState(StrEnum):
    """The state of a subscription for the program."""

    WANTED = "wanted"
    """Not requested in this session yet, or ended by the gateway."""
    SENT = "sent"
    """Requested; no message yet."""
    LIVE = "live"
    SILENT = "silent"
    """It ticked before, was requested again, and is still silent."""
    WITHHELD = "withheld"
    """The gateway withholds its data while this user is logged in elsewhere (10197)."""
    REFUSED = "refused"


class SubscriptionStatus(FrozenRecord):
    """One subscription for the program.

    ``kind``: market data, depth, ...; ``label`` names it. ``age``: seconds since the last message for its object in
    this session; ``None`` before the first message, or if the library keeps no object. ``last_error``: the gateway's
    last refusal, with IB's ``code``; empty and ``None`` if nothing was refused.
    """

    kind: str
    label: str
    state: SubscriptionState
    age: float | None = None
    last_error: str = ""
    code: int | None = None

    def to_dict(self, accounts: tuple[str, ...] = (), *, show_accounts: bool = False) -> dict[str, Any]:
        """The subscription as JSON types. Masks account ids, also these ``accounts``, unless ``show_accounts``."""
        data: dict[str, Any] = {name: to_jsonable(getattr(self, name)) for name in self.__match_args__}
        return data if show_accounts else {name: mask_json(value, accounts) for name, value in data.items()}

    def __str__(self) -> str:
        return f"{self.kind} {self.label}: {self.state}{self.last_error and f' ({self.last_error})'}"


_STATES = {
    SubscriptionStage.WANTED: SubscriptionState.WANTED,
    SubscriptionStage.QUEUED: SubscriptionState.WANTED,
    SubscriptionStage.ENDED: SubscriptionState.WANTED,
    SubscriptionStage.SENT: SubscriptionState.SENT,
    SubscriptionStage.LIVE: SubscriptionState.LIVE,
    SubscriptionStage.REFUSED: SubscriptionState.REFUSED,
}


PENDING = (SubscriptionStage.QUEUED, SubscriptionStage.SENT)


class TrackedSubscription:
    """One subscription on the list. ``ran``: it has been live in any session.

    ``cause`` and ``code``: the last error in IB's words, and IB's code. ``was_asked``: it was requested before the
    gateway last lost its subscriptions. ``tries``: requests since it last delivered data.
    ``asked_at``: when it was last requested. ``is_doubtful``: it was refused and is requested again. ``patience``: how
    long it may stay silent, if known. ``short_runs``: how often in a row it was ended soon after its request.
    ``refused_in``: how long its last refusal took, in seconds.
    """

    stage: SubscriptionStage = SubscriptionStage.WANTED
    ran = False
    was_asked = False
    cause = ""
    code: int | None = None
    is_withheld = False
    is_silent = False
    is_doubtful = False
    tries = 0
    asked_at = 0.0
    patience = 0.0
    short_runs = 0
    refused_in = 0.0

    def __init__(self, label: str, kind: str, feed: Feed | None) -> None:
        self.label = label
        self.kind = kind
        self.feed = feed

    @property
    def words(self) -> str:
        """Its name and why it is not live."""
        return f"{self.label} ({self.error})"

    @property
    def error(self) -> str:
        """The last error with its code. Empty: none."""
        return self.cause if self.code is None else f"{self.code}: {self.cause}"

    @property
    def is_refused(self) -> bool:
        """Whether it is refused, or was requested again after a refusal and is not known to be accepted."""
        return self.stage is SubscriptionStage.REFUSED or (self.is_doubtful and self.stage in PENDING)

    @property
    def state(self) -> SubscriptionState:
        """Its state for the program."""
        if self.is_refused:
            return SubscriptionState.REFUSED
        if self.is_withheld:
            return SubscriptionState.WITHHELD
        if self.is_silent and self.tries >= SILENT_AFTER:
            return SubscriptionState.SILENT
        return _STATES[self.stage]
