"""The seam for those that take a status and tell it: what a sink is, and the relay that keeps it from delaying anybody.

``connector.on_status(Relay(CommandSink(["notify-send", "IBKR"])))`` attaches one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ibkr.core.status import Status

_log = logging.getLogger("ibkr.observe")

_TELL_EVERY = 60.0
_News = TypeVar("_News")


class Sink(Protocol):
    """Takes each status in turn, in a thread of its own, and may take its time or fail."""

    def tell(self, status: Status) -> None:
        """A new status; or the last one again, after a while, so that a sink can wait for something to last."""

    def close(self) -> None:
        """Nothing comes any more."""


class Relay:
    """Hands statuses to one sink from a thread of its own; to be given to ``connector.on_status``.

    At most ``limit`` statuses wait: a sink that is slower loses the oldest, one that raises loses that one. Both are
    counted (``dropped``, ``failed``) and logged once a minute. After ``repeat`` seconds without news the sink gets the
    last status again. The thread begins with the first status and ends with ``close()``.
    """

    def __init__(self, sink: Sink, *, name: str = "", limit: int = 256, repeat: float = 1.0) -> None:
        self.sink = sink
        self.name: str = name or type(sink).__name__
        self.dropped: int = 0
        self.failed: int = 0
        self._repeat = repeat
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._limit = limit
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._told_at = -math.inf

    def __call__(self, status: Status) -> None:
        """Hand a status on; returns at once."""
        self.hand(self.sink.tell, status)

    def hand(self, tell: Callable[[_News], None], news: _News) -> None:
        """Call a method of the sink's with something else than a status, in its turn; returns at once."""
        with self._changed:
            if self._closing:
                return
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self.dropped += 1
                self._complain("is too slow: %d of what it should have told were dropped so far", self.dropped)
            self._waiting.append((tell, news))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"ibkr sink {self.name}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, timeout: float = 1.0) -> bool:
        """Let the sink tell what waits, then close it; True unless it needs longer than ``timeout`` seconds."""
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify()
        if thread is None:
            self.sink.close()
            return True
        thread.join(timeout)
        if thread.is_alive():
            _log.warning("The sink %s has not ended after %.1f s and is left behind", self.name, timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        last: tuple[Callable[[Any], None], Any] | None = None
        while True:
            with self._changed:
                if not self._waiting and not self._closing:
                    self._changed.wait(self._repeat)
                if self._waiting:
                    item = self._waiting.popleft()
                    last = item if item[0] == self.sink.tell else last
                elif self._closing:
                    break
                elif last is not None:
                    item = last
                else:
                    continue
            self._tell(*item)
        self._tell(lambda _: self.sink.close(), None)

    def _tell(self, tell: Callable[[Any], None], news: object) -> None:
        try:
            tell(news)
        except Exception:  # of whatever kind: it is the sink's, and hurts nobody else
            self.failed += 1
            self._complain("failed (%d times so far); the others go on", self.failed, exc_info=True)

    def _complain(self, words: str, count: int, *, exc_info: bool = False) -> None:
        now = time.monotonic()
        is_due = now - self._told_at >= _TELL_EVERY
        if is_due:
            self._told_at = now
        _log.log(
            logging.WARNING if is_due else logging.DEBUG, f"The sink %s {words}", self.name, count, exc_info=exc_info
        )
