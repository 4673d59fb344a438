"""Gives the messages of one connection to its observers, without delaying the bytes.

Messages wait in a queue and are processed in short slices of the event loop's time. When too many wait, `set_paused`
asks the owner to stop reading until the queue is shorter. This limits the memory.
"""

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ibkr.proxy.cleaning import CleanedMessage, Cleaner
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_catalog import drop_stream_messages

log = logging.getLogger("ibkr.proxy")

SLICE = 0.002
"""Seconds of work before the event loop runs other tasks."""

MAX_WAITING = 8 * 1024 * 1024
"""Bytes of messages that may wait before reading is paused."""

_OVERHEAD = 64
"""Bytes that are added to the size of each message, so that the number of empty messages is also limited."""


class Observer(Protocol):
    """Observes one connection. If it raises an exception, only this observer gets no more messages."""

    wants_streams: bool

    def on_open(self, parser: ConnectionParser, at: float) -> None:
        """Handle that the gateway has sent its version."""

    def on_message(self, at: float, is_request: bool, cleaned: CleanedMessage) -> None:
        """Handle a message that was forwarded at this monotonic time, in seconds."""

    def on_batch_end(self) -> None:
        """Handle the end of a slice of work."""

    def on_close(self, at: float, reason: str) -> None:
        """Handle the end of the connection."""


class ObserverQueue:
    """The observers of one connection, and the messages that wait for them.

    Args:
        parser: Parses the bytes of the connection.
        cleaner: Cleans the messages for the observers.
        observers: The objects that get the messages.
        set_paused: Called with True when more than `limit` bytes wait, and with False when most of them are
            processed. If `set_paused` is missing, the messages are processed as soon as too many wait.
        limit: Bytes that may wait.
        on_finished: Called after the observers were told about the end of the connection.
    """

    def __init__(
        self,
        parser: ConnectionParser,
        cleaner: Cleaner,
        observers: Sequence[Observer],
        set_paused: Callable[[bool], None] | None = None,
        limit: int = MAX_WAITING,
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:
        self.parser = parser
        self.observers = list(observers)
        self._cleaner = cleaner
        self._set_paused = set_paused
        self._on_finished = on_finished
        self._limit = limit
        self._close_reason = ""
        self._waiting: deque[tuple[float, bool, bytes]] = deque()
        self._bytes = 0
        self._is_opened = False
        self._is_paused = False
        self._scheduled: asyncio.Handle | None = None

    def client_sent(self, data: bytes) -> None:
        """Take bytes of the client."""
        self.add_requests(self.parser.client_sent(data))

    def gateway_sent(self, data: bytes) -> None:
        """Take bytes of the gateway."""
        self.add_gateway_messages(self.parser.take_version(self.parser.gateway_sent(data)))

    def add_requests(self, bodies: list[bytes]) -> None:
        """Take requests."""
        self._add(True, bodies)

    def add_gateway_messages(self, bodies: list[bytes]) -> None:
        """Take messages of the gateway, without the frame that has its version."""
        if not any(observer.wants_streams for observer in self.observers):
            bodies = drop_stream_messages(bodies)
        self._add(False, bodies)

    def close(self, reason: str) -> None:
        """Record the end of the connection. The observers get it after all waiting messages."""
        self._close_reason = reason
        if self._scheduled is None:
            self._finish()

    def flush(self) -> None:
        """Process all waiting messages now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        self._work(until=math.inf)
        if self._close_reason:
            self._finish()

    def _add(self, is_request: bool, bodies: list[bytes]) -> None:
        if not self.observers:
            return
        now = time.monotonic()
        self._waiting.extend([(now, is_request, body) for body in bodies])
        self._bytes += sum(map(len, bodies)) + _OVERHEAD * len(bodies)
        if self._scheduled is None and (self._waiting or not self._is_opened):
            try:
                self._scheduled = asyncio.get_running_loop().call_soon(self._run_slice)
            except RuntimeError:  # a script without asyncio sends something while its event loop does not run
                self._work(until=math.inf)
        if self._bytes > self._limit and not self._is_paused:
            if self._set_paused is None:
                self._work(until=math.inf)
            else:
                self._is_paused = True
                self._set_paused(True)

    def _run_slice(self) -> None:
        self._scheduled = None
        self._work(until=time.monotonic() + SLICE)
        if self._waiting:
            self._scheduled = asyncio.get_running_loop().call_soon(self._run_slice)
        elif self._close_reason:
            self._finish()
        if self._is_paused and self._set_paused and self._bytes < self._limit // 2:
            self._is_paused = False
            self._set_paused(False)

    def _work(self, until: float) -> None:
        version = self.parser.server_version
        if version and not self._is_opened:
            self._is_opened = True
            self._notify(lambda observer: observer.on_open(self.parser, time.monotonic()))
        if not version:  # wrong order: a request came before the gateway's version
            return
        while self._waiting and time.monotonic() < until:
            at, is_request, body = self._waiting.popleft()
            self._bytes -= len(body) + _OVERHEAD
            cleaned = self._cleaner.clean(body, version, is_request=is_request)
            self._notify(functools.partial(_take, at, is_request, cleaned))
        self._notify(lambda observer: observer.on_batch_end())

    def _notify(self, notify: Callable[[Observer], None]) -> None:
        for observer in list(self.observers):
            self._notify_one(observer, notify)

    def _notify_one(self, observer: Observer, notify: Callable[[Observer], None]) -> None:
        try:
            notify(observer)
        except Exception as error:  # an observer's error never ends the connection
            is_ours = not isinstance(error, OSError)
            log.error("%s stops: %s. The connection continues", observer, error, exc_info=error if is_ours else None)
            with contextlib.suppress(ValueError):
                self.observers.remove(observer)

    def _finish(self) -> None:
        self._notify(lambda observer: observer.on_close(time.monotonic(), self._close_reason))
        self.observers.clear()
        self._waiting.clear()
        self._close_reason = ""
        self._on_finished()


def _take(at: float, is_request: bool, cleaned: CleanedMessage, observer: Observer) -> None:
    observer.on_message(at, is_request, cleaned)
