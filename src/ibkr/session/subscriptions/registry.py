"""The registry of subscriptions by key, with the state of each and its place in the library's maps."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

from ibkr.core.events import Key
from ibkr.core.serialization import sanitize_text
from ibkr.core.subscription_tracker import SubscriptionTracker
from ibkr.session.library.wrapper import WrapperOverrides
from ibkr.session.subscriptions.subscription import Subscription

if TYPE_CHECKING:
    from ib_async import Ticker

_LONGEST_LABEL = 200


class SubscriptionRegistry:
    """Keeps all subscriptions. Some methods change the library's maps, too; then their docstrings say so.

    ``remembered`` is how many message times are kept for each object.
    """

    def __init__(self, wrapper: WrapperOverrides, remembered: int) -> None:
        self._wrapper = wrapper
        self._remembered = remembered
        self.tracker = SubscriptionTracker()
        self.active: dict[Key, Subscription] = {}
        self._slots: dict[Hashable, Key] = {}
        # Subscriptions by the id() of their object: each slice of messages uses them, and a Ticker's own hash is slow.
        self._of_object: dict[int, list[Subscription]] = {}
        self._market_data: dict[int, Subscription] = {}
        self._first_keys: dict[Key | None, Key] = {}

    def __iter__(self) -> Iterator[tuple[Key, Subscription]]:
        return iter(list(self.active.items()))

    def replaced_by(self, sub: Subscription) -> Key | None:
        """The key of the subscription that this request replaces, or ``None``."""
        return None if sub.slot is None else self._slots.get(sub.slot)

    def current_key(self, key: Key) -> Key:
        """The current key of a subscription that the program has requested with this key."""
        return key if key in self.active else self._first_keys.get(key, key)

    def add(self, key: Key, sub: Subscription) -> None:
        """Add a new subscription. The library has it already."""
        self.active[key] = sub
        if sub.obj is not None:  # streams of one contract share a Ticker
            sub.message_times = deque(maxlen=self._remembered)
            self._of_object.setdefault(id(sub.obj), []).append(sub)
            if sub.kind.is_pending_ticker:
                self._market_data[id(sub.obj)] = sub
        if sub.slot is not None:
            self._slots[sub.slot] = key
        kind = sub.kind
        self.tracker.want(key, sanitize_text(kind.label(sub.arguments))[:_LONGEST_LABEL], kind.name, kind.feed)

    def forget(self, key: Key) -> Subscription | None:
        """Remove a subscription, but leave it in the library's maps. Returns ``None`` if it is unknown."""
        sub = self.active.pop(key, None)
        if sub is None:
            return None
        self.tracker.forget(key)
        if self._slots.get(sub.slot) == key:
            del self._slots[sub.slot]
        if sub.obj is not None:
            self._forget_object(sub)
        self._first_keys.pop(sub.first_key, None)
        return sub

    def forget_completely(self, key: Key) -> None:
        """Remove a subscription, and remove it from the library's maps, too."""
        sub = self.forget(key)
        if sub is not None:
            sub.kind.library_map.remove(self._wrapper, key, sub)
            sub.kind.library_map.forget_object(self._wrapper, key, sub)

    def _forget_object(self, sub: Subscription) -> None:
        of_object = self._of_object[id(sub.obj)]
        of_object.remove(sub)
        if not of_object:
            del self._of_object[id(sub.obj)]
        if self._market_data.get(id(sub.obj)) is sub:
            del self._market_data[id(sub.obj)]

    def record_tickers(self, tickers: Iterable[Ticker], now: float) -> None:
        """Record the time of market data for these tickers, which have changed.

        Depth and tick-by-tick change the same tickers. Their times are recorded message by message.
        """
        market_data = self._market_data
        for ticker in tickers:
            sub = market_data.get(id(ticker))
            if sub is not None and (ticker.ticks or not (ticker.domTicks or ticker.tickByTicks)):
                sub.message_times.append(now)

    def last_message(self, obj: object) -> float | None:
        """When the last message about this object came in this session, from any of its streams, or ``None``."""
        times = [sub.message_times[-1] for sub in self._of_object.get(id(obj), ()) if sub.message_times]
        return max(times, default=None)

    def allow_repeats(self) -> None:
        """Allow the program to request each subscription one more time, because a session begins or ends."""
        for sub in self.active.values():
            sub.may_be_repeated = True

    def reinsert(self) -> None:
        """Fill the library's maps, which it has cleared."""
        self.allow_repeats()
        for key, sub in self.active.items():
            sub.kind.library_map.insert(self._wrapper, key, sub)

    def clear_message_times(self, key: Key) -> None:
        """Clear the message times of a subscription whose session or stream is over."""
        sub = self.active[key]
        if sub.message_times:
            if sub.last_date is None:  # otherwise an earlier gap is not filled yet
                sub.lost_at = time.time() - (asyncio.get_running_loop().time() - sub.message_times[-1])
            sub.message_times.clear()

    def move(self, old: Key, new: Key) -> None:
        """Give a subscription another id, also in the library's maps.

        If a caller awaits the first answer, the caller awaits the new id from now on.
        """
        sub, wrapper = self.active.pop(old), self._wrapper
        sub.kind.library_map.remove(wrapper, old, sub)
        self.active[new] = sub
        if sub.first_key is None:
            sub.first_key = old
        self._first_keys[sub.first_key] = new
        self.tracker.move(old, new)
        if sub.slot is not None:
            self._slots[sub.slot] = new
        sub.kind.library_map.insert(wrapper, new, sub)
        sub.kind.library_map.forget_object(wrapper, old, sub)
        future = wrapper.futures.pop(old, None)
        if future is not None:
            wrapper.futures[new] = future
            wrapper.results[new] = [] if sub.obj is None else sub.obj
