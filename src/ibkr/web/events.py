"""Server-sent events: one publisher, many readers, none of whom is waited for."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

_WAITING = 256
"""Events that may wait for one reader; one that is further behind is let go, comes back and is told what it missed."""


class TooManyReaders(Exception):
    """No more readers are taken."""


class Hub:
    """Takes events, encodes each once, and hands it to every reader. It belongs to one event loop.

    Events with an id are kept, ``keep`` of them: a reader that names the last one it had gets those after it. An id
    names this run, too: to those of another run, and to those who were away for too long, ``now`` gives the events
    that say all there is to know.
    """

    def __init__(self, now: Callable[[], list[tuple[str, Any]]], *, readers: int = 128, keep: int = 128) -> None:
        self._now = now
        self._limit = readers
        self._run = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=keep)
        self._readers: set[Reader] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    def publish(self, kind: str, data: Any) -> None:
        """Tell all readers, and keep it for those who are away."""
        self._number += 1
        event = _encoded(kind, data, f"{self._run}-{self._number}")
        self._kept.append((self._number, event))
        self._hand_out(event)

    def publish_passing(self, kind: str, data: Any) -> None:
        """Tell those who are there now; it is of no use later."""
        if self._readers:
            self._hand_out(_encoded(kind, data))

    def join(self, last_id: str = "") -> Reader:
        """A new reader, who had ``last_id`` last; to be given back to ``leave``. Raises ``TooManyReaders``."""
        if self._closed or len(self._readers) >= self._limit:
            raise TooManyReaders
        reader = Reader(self._missed(last_id))
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Nobody reads there any more."""
        reader.let_go()
        self._readers.discard(reader)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for reader in tuple(self._readers):
            self.leave(reader)

    def _missed(self, last_id: str) -> list[bytes]:
        run, _, number = last_id.partition("-")
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if run == self._run and number.isdecimal() and oldest - 1 <= int(number[:20]) <= self._number:
            return [event for each, event in self._kept if each > int(number)]
        last = f"{self._run}-{self._number}"
        return [_encoded(kind, data, last) for kind, data in self._now()]

    def _hand_out(self, event: bytes) -> None:
        for reader in tuple(self._readers):
            if not reader.hand(event):
                self.leave(reader)


class Reader:
    """One who reads: an iterator over encoded events, which ends when the hub lets go of it."""

    def __init__(self, missed: list[bytes]) -> None:
        self._waiting = deque([b"retry: 1000\n\n", *missed])
        self._changed = asyncio.Event()
        self._is_let_go = False

    async def events(self) -> AsyncIterator[bytes]:
        """Every event as it comes."""
        while not self._is_let_go:
            while self._waiting:
                yield self._waiting.popleft()
            self._changed.clear()
            await self._changed.wait()

    def hand(self, event: bytes) -> bool:
        """Have it wait for its turn; False when too many do."""
        if len(self._waiting) >= _WAITING:
            return False
        self._waiting.append(event)
        self._changed.set()
        return True

    def let_go(self) -> None:
        """Nothing comes any more."""
        self._is_let_go = True
        self._waiting.clear()
        self._changed.set()


def _encoded(kind: str, data: Any, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    # JSON in one line: a line break would end the event.
    return f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
