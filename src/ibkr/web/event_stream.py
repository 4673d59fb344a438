"""Server-sent events: one publisher and many readers, with a bounded queue for each reader.

sse-starlette is not used, because it would replace only the response class. It has no event ids to resume from, no
bounded queues and no check for readers that never read. It encodes each event again for each reader, and it patches
uvicorn's shutdown.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from ibkr.core.serialization import to_json

_MAX_QUEUED = 256
"""Events that may wait for one reader. With more, the reader is disconnected. It connects again, and then gets the
events that it missed."""
_EVENT_ID = re.compile(r"(?P<run>[0-9a-f]{8})-(?P<number>[0-9]{1,18})", re.ASCII)
_PADDING_KILOBYTE = b":" + b" " * 1022 + b"\n"
_PADDING_KILOBYTES = 512
"""Size of the padding, which consists of comments: larger than the system's buffers for a connection."""
_CHECK_INTERVAL = 60.0


class TooManyReaders(Exception):
    """No more readers are accepted."""


class EventPublisher:
    """Encodes each event once and queues it for every reader. Use it in one event loop.

    Events with an id are kept. A reader that connects again names the last id that it got, and gets the later events.
    An id also names the run of the program. If the reader's id is of another run or is too old, the reader gets the
    events of ``snapshot``.

    Args:
        snapshot: Returns the events, as kind and data, that describe everything as of now.
        readers: The largest number of readers.
        keep: How many events to keep.
    """

    def __init__(self, snapshot: Callable[[], list[tuple[str, Any]]], *, readers: int = 128, keep: int = 128) -> None:
        self._snapshot = snapshot
        self._limit = readers
        self._run = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=keep)
        self._readers: set[EventReader] = set()
        self._is_closed = False

    @property
    def readers(self) -> int:
        """The number of readers."""
        return len(self._readers)

    def publish(self, kind: str, data: Any) -> None:
        """Send an event to all readers, and keep it for readers that connect again."""
        self._number += 1
        event = _encode(kind, data, f"{self._run}-{self._number}")
        self._kept.append((self._number, event))
        self._send(event)

    def publish_transient(self, kind: str, data: Any) -> None:
        """Send an event that is of no use later: it is not kept."""
        if self._readers:
            self._send(_encode(kind, data))

    def add_reader(self, last_id: str = "") -> EventReader:
        """Add a reader. Its last event was ``last_id``. Call ``remove_reader`` with the reader at the end.

        Raises:
            TooManyReaders: There are too many readers, or the publisher is closed.
        """
        if len(self._readers) >= self._limit // 2:
            self._check_readers()
        if self._is_closed or len(self._readers) >= self._limit:
            raise TooManyReaders
        reader = EventReader(self._missed(last_id))
        self._readers.add(reader)
        return reader

    def _check_readers(self) -> None:
        """Send padding, so that ``http_protocol`` notices the connections that nobody reads, and cuts them.

        Events are few and small. Without padding, the operating system would buffer the events of many minutes.
        """
        now = asyncio.get_running_loop().time()
        for reader in tuple(self._readers):
            if now - reader.checked_at >= _CHECK_INTERVAL:
                reader.checked_at = now
                reader.enqueue(_PADDING_KILOBYTE * _PADDING_KILOBYTES)

    def remove_reader(self, reader: EventReader) -> None:
        """Remove a reader; harmless if it is removed already."""
        reader.close()
        self._readers.discard(reader)

    def close(self) -> None:
        """End every stream, and accept no more readers."""
        self._is_closed = True
        for reader in tuple(self._readers):
            self.remove_reader(reader)

    def _missed(self, last_id: str) -> list[bytes]:
        last = _EVENT_ID.fullmatch(last_id)
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if last and last["run"] == self._run and oldest - 1 <= int(last["number"]) <= self._number:
            return [event for number, event in self._kept if number > int(last["number"])]
        event_id = f"{self._run}-{self._number}"
        return [_encode(kind, data, event_id) for kind, data in self._snapshot()]

    def _send(self, event: bytes) -> None:
        for reader in tuple(self._readers):
            if not reader.enqueue(event):
                self.remove_reader(reader)


class EventReader:
    """The queue of one reader. ``events`` iterates over it until the publisher removes the reader."""

    def __init__(self, missed: list[bytes]) -> None:
        self._queue = deque([b"retry: 1000\n\n", *missed])
        self._changed = asyncio.Event()
        self._is_closed = False
        self.checked_at = -math.inf
        """The loop time when this reader last got padding, to check that somebody reads the connection."""

    async def events(self) -> AsyncIterator[bytes]:
        """Iterate over the encoded events as they come."""
        while not self._is_closed:
            while self._queue:
                yield self._queue.popleft()
            self._changed.clear()
            await self._changed.wait()

    def enqueue(self, event: bytes) -> bool:
        """Queue an encoded event. Returns False if the queue is full."""
        if len(self._queue) >= _MAX_QUEUED:
            return False
        self._queue.append(event)
        self._changed.set()
        return True

    def close(self) -> None:
        """End the iteration; what is queued is lost."""
        self._is_closed = True
        self._queue.clear()
        self._changed.set()


def _encode(kind: str, data: Any, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    # JSON in one line: a line break would end the event.
    return f"{head}event: {kind}\ndata: {to_json(data)}\n\n".encode()
