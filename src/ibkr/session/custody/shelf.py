"""The shelf: every subscription that is held, by key, with its standing and its place in the library's maps."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any

from ibkr.core.facts import Key
from ibkr.core.ledger import Ledger
from ibkr.session.custody.kind import Held


class Shelf:
    """What is held. The library's maps are changed with it where its docstrings say so. ``remembered``: messages of
    each object whose times are kept.
    """

    def __init__(self, wrapper: Any, remembered: int) -> None:
        self._wrapper = wrapper
        self._remembered = remembered
        self.ledger = Ledger()
        self.held: dict[Key, Held] = {}
        self._slots: dict[Hashable, Key] = {}
        # When each object was heard of, by its identity: looked up for each packet, and a Ticker's own hash is slow.
        self.heard: dict[int, deque[float]] = {}
        self._former: dict[Key, Key] = {}

    def __iter__(self) -> Iterator[tuple[Key, Held]]:
        return iter(list(self.held.items()))

    def same(self, held: Held) -> Key | None:
        """The key of what a second request such as this one replaces."""
        return None if held.slot is None else self._slots.get(held.slot)

    def current(self, key: Key) -> Key:
        """The key under which it goes on for which somebody began to wait under this one."""
        return self._former.get(key, key)

    def hold(self, key: Key, held: Held) -> None:
        """A new one. The library knows it already."""
        self.held[key] = held
        if held.thing is not None:  # streams about one contract share a Ticker
            held.heard = self.heard.setdefault(id(held.thing), deque(maxlen=self._remembered))
        if held.slot is not None:
            self._slots[held.slot] = key
        kind = held.kind
        self.ledger.want(key, kind.label(held.arguments), kind.name, kind.feed)

    def forget(self, key: Key) -> Held | None:
        """It is not wanted any more; None if it was not held. In the library's maps it stays."""
        held = self.held.pop(key, None)
        if held is None:
            return None
        self.ledger.forget(key)
        if self._slots.get(held.slot) == key:
            del self._slots[held.slot]
        if not any(other.thing is held.thing for other in self.held.values()):
            self.heard.pop(id(held.thing), None)
        self._former = {old: new for old, new in self._former.items() if new != key}
        return held

    def clear_away(self, key: Key) -> None:
        """Forget it, and have the library forget it too."""
        held = self.forget(key)
        if held is not None:
            held.kind.home.take_out(self._wrapper, key, held)
            held.kind.home.let_go(self._wrapper, key, held)

    def put_back(self) -> None:
        """Fill the library's maps, which it has emptied."""
        for key, held in self.held.items():
            held.kind.home.put_back(self._wrapper, key, held)

    def silence(self, key: Key) -> None:
        """Its session, or its stream, is over: what was heard is of the past."""
        held = self.held[key]
        if held.heard:
            held.lost_at = time.time() - (asyncio.get_running_loop().time() - held.heard[-1])
            held.heard.clear()

    def move(self, old: Key, new: Key) -> None:
        """It goes on under another id, in the library's maps too; who awaits its first answer awaits it there."""
        held, wrapper = self.held.pop(old), self._wrapper
        held.kind.home.take_out(wrapper, old, held)
        self.held[new] = held
        self.ledger.move(old, new)
        if held.slot is not None:
            self._slots[held.slot] = new
        held.kind.home.put_back(wrapper, new, held)
        held.kind.home.let_go(wrapper, old, held)
        future = wrapper._futures.pop(old, None)
        if future is not None:
            wrapper._futures[new] = future
            wrapper._results[new] = [] if held.thing is None else held.thing
            self._former[old] = new
