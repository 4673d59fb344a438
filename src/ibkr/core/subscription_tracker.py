"""``SubscriptionTracker``: the state of every subscription of the program, by key, kind and label.

A stream that does not run is a ``LostStream``. ``stream_failures.py`` decides when it is requested again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ibkr.core.events import Key, LostStream
from ibkr.core.states import Feed
from ibkr.core.stats import SubscriptionCounts
from ibkr.core.stream_pacing import Pacer
from ibkr.core.subscription_info import PENDING, SubscriptionStage, SubscriptionState, TrackedSubscription

_LONG_RUN = 60.0
"""Seconds. A stream that ran for at least this long is requested again immediately. Other streams wait."""
_LONGEST_REFUSAL = 10.0
"""Seconds. If a refusal takes longer than this, the request waited in a queue, or upstream was down."""

__all__ = ["SubscriptionStage", "SubscriptionTracker", "TrackedSubscription"]


class SubscriptionTracker:
    """The state of every subscription. A message about an unknown key changes nothing.

    ``changed``: keys of the subscriptions whose state or error has changed since ``changed`` was last cleared.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, TrackedSubscription] = {}
        self._count: Counter[SubscriptionStage] = Counter()
        self._awaited: Counter[str] = Counter()
        self._lost = 0
        self._pacer = Pacer()
        self.changed: dict[Key, None] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __getitem__(self, key: Key) -> TrackedSubscription:
        return self._entries[key]

    def want(self, key: Key, label: str, kind: str, feed: Feed | None) -> None:
        """Add a subscription with this key. ``feed`` is ``None`` if no farm delivers it."""
        self.forget(key)
        self._entries[key] = entry = TrackedSubscription(label, kind, feed)
        self.changed[key] = None
        self._counted(entry, 1)

    def forget(self, key: Key) -> None:
        """Remove a subscription, because it is cancelled."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.changed.pop(key, None)
            self._counted(entry, -1)

    def move(self, old: Key, new: Key) -> None:
        """Give a subscription another key."""
        self._entries[new] = self._entries.pop(old)
        if old in self.changed:
            del self.changed[old]
            self.changed[new] = None

    def queued(self, key: Key, now: float = 0.0) -> None:
        """Store that the subscription is being requested in this session."""
        entry = self._entries[key]
        self._pacer.note(entry.kind, now)
        with_doubt = entry.is_refused
        self._set(
            key, entry, stage=SubscriptionStage.QUEUED, tries=entry.tries + 1, asked_at=now, is_doubtful=with_doubt
        )

    def sent(self, key: Key) -> bool:
        """Store that the request was sent. Returns whether the request was waiting to be sent."""
        entry = self._entries.get(key)
        if entry is None or entry.stage is not SubscriptionStage.QUEUED:
            return False
        self._set(key, entry, stage=SubscriptionStage.SENT)
        return True

    def live(self, key: Key) -> bool:
        """Store that the first message of the subscription came. Returns whether this message was expected."""
        entry = self._entries.get(key)
        if entry is None or entry.stage is not SubscriptionStage.SENT:
            return False
        self._set(key, entry, stage=SubscriptionStage.LIVE, ran=True, is_doubtful=False)
        return True

    def doubt_first(self, key: Key) -> None:
        """Treat the stream as not live: an error came after notices about the stream, but before data."""
        entry = self._entries.get(key)
        if entry is not None and entry.stage is SubscriptionStage.LIVE and not entry.was_asked:
            self._set(key, entry, stage=SubscriptionStage.SENT, ran=False)

    def refuse(self, key: Key, why: str, code: int | None = None, *, for_now: bool = False, now: float = 0.0) -> bool:
        """Handle a subscription that is refused or cannot be requested. Returns whether it was pending.

        A stream stays on the list as refused if it has been live, if it was requested before the gateway lost its
        subscriptions, if an earlier request was refused, or with ``for_now``. Any other stream is dropped.
        """
        entry = self._entries.get(key)
        if entry is None or entry.stage not in PENDING:
            return False
        if entry.ran or entry.was_asked or for_now or entry.is_doubtful:
            entry.refused_in = min(max(0.0, now - entry.asked_at), _LONGEST_REFUSAL)
            self._set(
                key, entry, stage=SubscriptionStage.REFUSED, cause=why, code=code, is_silent=False, is_withheld=False
            )
        else:
            self.forget(key)
        return True

    def accept(self, key: Key) -> bool:
        """Treat a subscription that was refused before as accepted from now on. Returns whether this changed it."""
        entry = self._entries.get(key)
        if entry is None or not entry.is_doubtful or entry.stage is SubscriptionStage.REFUSED:
            return False
        self._set(key, entry, is_doubtful=False)
        return True

    def end(self, key: Key, why: str, code: int | None = None, *, has_ticked: bool = True, now: float = 0.0) -> bool:
        """Store that the gateway ended the stream, if the stream was sent or live. Otherwise returns False.

        ``has_ticked``: the stream had data.
        """
        entry = self._entries.get(key)
        if entry is None or entry.stage not in (SubscriptionStage.SENT, SubscriptionStage.LIVE):
            return False
        tries = entry.tries
        if has_ticked and entry.stage is SubscriptionStage.LIVE:
            tries = 0 if now - entry.asked_at >= _LONG_RUN else entry.short_runs
            entry.short_runs = tries + 1
        self._set(key, entry, stage=SubscriptionStage.ENDED, cause=why, code=code, tries=tries, is_silent=False)
        return True

    def withhold(self, key: Key, why: str = "", code: int | None = None) -> bool:
        """Store that the gateway withholds the stream for a while (10197). Returns whether it did not do so before."""
        entry = self._entries.get(key)
        if entry is None or entry.is_withheld:
            return False
        self._set(key, entry, is_withheld=True, is_doubtful=False, cause=why, code=code)
        return True

    def silence(self, key: Key, patience: float) -> None:
        """Store that the stream has been silent for longer than the allowed ``patience`` seconds."""
        self._set(key, self._entries[key], is_silent=True, patience=patience)

    def ticked(self, key: Key) -> bool:
        """Store that data came. Returns whether the stream was withheld or silent before."""
        entry = self._entries.get(key)
        if entry is None or not (entry.is_withheld or entry.is_silent):
            return False
        self._set(key, entry, is_withheld=False, is_silent=False, tries=0)
        return True

    def reset_tries(self, key: Key) -> None:
        """Count the tries of the stream from 0 again, because its farm or upstream is back."""
        self._entries[key].tries = self._entries[key].short_runs = 0

    def mark_all_unsent(self, *, new_session: bool = True) -> None:
        """The gateway has lost all subscriptions: the session ended, or it reported 1101."""
        for key, entry in self._entries.items():
            self._set(
                key,
                entry,
                was_asked=entry.was_asked or entry.stage is not SubscriptionStage.WANTED,
                stage=SubscriptionStage.WANTED,
                is_withheld=entry.is_withheld and not new_session,
                is_silent=False,
                is_doubtful=False,
                tries=0,
                short_runs=0,
            )

    def is_pending(self, key: Key) -> bool:
        """Whether the request waits to be sent, or was sent and has no message yet."""
        entry = self._entries.get(key)
        return entry is not None and entry.stage in PENDING

    def is_live(self, key: Key) -> bool:
        """Whether a message of this subscription came in this session."""
        entry = self._entries.get(key)
        return entry is not None and entry.stage is SubscriptionStage.LIVE

    def has_run(self, key: Key) -> bool:
        """Whether the subscription has been live in any session."""
        entry = self._entries.get(key)
        return entry is not None and entry.ran

    def label(self, key: Key) -> str:
        """The label of the subscription. Raises ``KeyError`` for an unknown key."""
        return self._entries[key].label

    def is_asked(self, key: Key) -> bool:
        """Whether the subscription has been requested in this session or waits to be sent, and is not refused."""
        entry = self._entries.get(key)
        return entry is not None and entry.stage not in (SubscriptionStage.WANTED, SubscriptionStage.REFUSED)

    def kind(self, key: Key) -> str:
        """The kind of the subscription. Raises ``KeyError`` for an unknown key."""
        return self._entries[key].kind

    def ids(self, *counts: SubscriptionStage) -> list[Key]:
        """The keys in the order of their requests. If stages are given, only keys in these stages."""
        return [key for key, entry in self._entries.items() if not counts or entry.stage in counts]

    @property
    def counts(self) -> SubscriptionCounts:
        """How many subscriptions are in each state."""
        states = Counter(entry.state for entry in self._entries.values())
        return SubscriptionCounts(**{str(state): states[state] for state in SubscriptionState})

    @property
    def held_back(self) -> int:
        """How many requests wait to be sent."""
        return self._count[SubscriptionStage.QUEUED]

    @property
    def pending(self) -> int:
        """How many subscriptions wait to be sent, or wait for their first message."""
        return self._count[SubscriptionStage.QUEUED] + self._count[SubscriptionStage.SENT]

    @property
    def awaited(self) -> list[str]:
        """Kinds of the subscriptions that wait for their first message, or that are withheld and wait for the next."""
        return [kind for kind, number in self._awaited.items() if number]

    @property
    def restored(self) -> tuple[str, ...]:
        """Labels of the subscriptions that run again."""
        return tuple(
            entry.label
            for entry in self._entries.values()
            if entry.was_asked
            and entry.stage in (SubscriptionStage.SENT, SubscriptionStage.LIVE)
            and not entry.is_refused
        )

    @property
    def refused(self) -> tuple[LostStream, ...]:
        """The refused subscriptions that ran before or may be accepted later."""
        return self._find(lambda entry: entry.is_refused)

    @property
    def ended(self) -> tuple[LostStream, ...]:
        """The subscriptions that the gateway has ended and that are not requested again yet."""
        return self._find(lambda entry: entry.stage is SubscriptionStage.ENDED)

    @property
    def withheld(self) -> tuple[LostStream, ...]:
        """The subscriptions that the gateway withholds."""
        return self._find(lambda entry: entry.is_withheld)

    @property
    def silent(self) -> tuple[LostStream, ...]:
        """The subscriptions that had ticks before, were requested again, and still have no tick."""
        return self._find(lambda entry: entry.is_silent and not entry.is_withheld)

    def _find(self, holds: Callable[[TrackedSubscription], bool]) -> tuple[LostStream, ...]:
        """The subscriptions for which this condition is true. Fast if all streams run."""
        if not self._lost:
            return ()
        return tuple(self._lost_stream(key, entry) for key, entry in self._entries.items() if holds(entry))

    def _lost_stream(self, key: Key, entry: TrackedSubscription) -> LostStream:
        is_known = entry.is_refused or entry.stage is SubscriptionStage.ENDED
        earliest = self._pacer.earliest(entry.kind, entry.asked_at, entry.cause)
        if entry.is_silent:
            earliest = max(earliest, entry.asked_at + entry.patience)
        return LostStream(
            key,
            entry.feed,
            entry.words if is_known else entry.label,
            entry.code if is_known else None,
            entry.tries,
            earliest,
            entry.ran,
            entry.is_refused and entry.stage is not SubscriptionStage.REFUSED,
            entry.refused_in,
        )

    def _set(self, key: Key, entry: TrackedSubscription, **changes: Any) -> None:
        """The only place that changes an entry on the list."""
        state, error = entry.state, entry.cause
        self._counted(entry, -1)
        for name, value in changes.items():
            setattr(entry, name, value)
        self._counted(entry, 1)
        if entry.state is not state or entry.cause != error:
            self.changed[key] = None

    def _counted(self, entry: TrackedSubscription, one: int) -> None:
        self._count[entry.stage] += one
        if entry.stage in PENDING or entry.is_withheld:
            self._awaited[entry.kind] += one
        is_lost = entry.is_withheld or entry.is_silent or entry.is_refused or entry.stage is SubscriptionStage.ENDED
        self._lost += one if is_lost else 0
