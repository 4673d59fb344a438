"""Every subscription by its key, with its standing and its place in the library's maps."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterator

from ibkr.core.facts import Key
from ibkr.core.ledger import Ledger
from ibkr.session.library.wrapper import WrapperOverrides
from ibkr.session.subscriptions.subscription import Subscription


class Registry:
    """The library's maps change with it where the docstrings say so. ``remembered``: how many times of messages are
    kept for each object.
    """

    def __init__(self, wrapper: WrapperOverrides, remembered: int) -> None:
        self._wrapper = wrapper
        self._remembered = remembered
        self.ledger = Ledger()
        self.active: dict[Key, Subscription] = {}
        self._slots: dict[Hashable, Key] = {}
        # When each object was heard of, by its identity: looked up for each packet, and a Ticker's own hash is slow.
        self.heard: dict[int, deque[float]] = {}
        self._former: dict[Key, Key] = {}

    def __iter__(self) -> Iterator[tuple[Key, Subscription]]:
        return iter(list(self.active.items()))

    def same(self, sub: Subscription) -> Key | None:
        """The key of the subscription that a second request like this one replaces."""
        return None if sub.slot is None else self._slots.get(sub.slot)

    def current(self, key: Key) -> Key:
        """The present key of a subscription that had this key when somebody began to wait for it."""
        return self._former.get(key, key)

    def add(self, key: Key, sub: Subscription) -> None:
        """A new one. The library knows it already."""
        self.active[key] = sub
        if sub.obj is not None:  # streams about one contract share a Ticker
            sub.heard = self.heard.setdefault(id(sub.obj), deque(maxlen=self._remembered))
        if sub.slot is not None:
            self._slots[sub.slot] = key
        kind = sub.kind
        self.ledger.want(key, kind.label(sub.arguments), kind.name, kind.feed)

    def forget(self, key: Key) -> Subscription | None:
        """It is not wanted any more; returns None if it was not there. It stays in the library's maps."""
        sub = self.active.pop(key, None)
        if sub is None:
            return None
        self.ledger.forget(key)
        if self._slots.get(sub.slot) == key:
            del self._slots[sub.slot]
        if not any(other.obj is sub.obj for other in self.active.values()):
            self.heard.pop(id(sub.obj), None)
        self._former = {old: new for old, new in self._former.items() if new != key}
        return sub

    def forget_fully(self, key: Key) -> None:
        """Forget it, and have the library forget it too."""
        sub = self.forget(key)
        if sub is not None:
            sub.kind.library_map.remove(self._wrapper, key, sub)
            sub.kind.library_map.forget_object(self._wrapper, key, sub)

    def reinsert(self) -> None:
        """Fill the library's maps, which it has emptied."""
        for key, sub in self.active.items():
            sub.kind.library_map.insert(self._wrapper, key, sub)

    def clear_heard(self, key: Key) -> None:
        """Its session, or its stream, is over: forget when its messages came."""
        sub = self.active[key]
        if sub.heard:
            sub.lost_at = time.time() - (asyncio.get_running_loop().time() - sub.heard[-1])
            sub.heard.clear()

    def move(self, old: Key, new: Key) -> None:
        """Give it another id, in the library's maps too. Whoever awaits its first answer awaits it under that id."""
        sub, wrapper = self.active.pop(old), self._wrapper
        sub.kind.library_map.remove(wrapper, old, sub)
        self.active[new] = sub
        self.ledger.move(old, new)
        if sub.slot is not None:
            self._slots[sub.slot] = new
        sub.kind.library_map.insert(wrapper, new, sub)
        sub.kind.library_map.forget_object(wrapper, old, sub)
        future = wrapper.futures.pop(old, None)
        if future is not None:
            wrapper.futures[new] = future
            wrapper.results[new] = [] if sub.obj is None else sub.obj
            self._former[old] = new
