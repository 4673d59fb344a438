"""What a sink is, and ``Relay``, which runs a sink in its own thread so that the sink delays nobody.

``connector.on_status(Relay(CommandSink(["notify-send", "IBKR"])))`` attaches a sink.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from ibkr.core.status import Status

_log = logging.getLogger("ibkr.observe")

_WARNING_INTERVAL = 60.0
_STOP_TIMEOUT = 0.2
_Item = TypeVar("_Item")


class Sink(Protocol):
    """Takes each status, one after the other, in its own thread. A sink may be slow, and it may fail."""

    def handle(self, status: Status) -> None:
        """Take a new status, or the last status again after a while, so that a sink can wait until something lasts."""

    def close(self) -> None:
        """Finish: no further status will come."""


@runtime_checkable
class SupportsStop(Protocol):
    """A sink that another thread can interrupt."""

    def stop(self) -> None:
        """Interrupt what the sink does now, and do nothing more."""


@runtime_checkable
class SupportsAlerts(Protocol):
    """A sink that also takes alerts about more than one connection, such as an alert of a fleet."""

    def handle_alert(self, alert: dict[str, Any]) -> None:
        """Take an alert in JSON types; ``words`` is its text."""


class Relay:
    """Passes each status to one sink, in a thread. Give it to ``connector.on_status``.

    If the sink is too slow and more than ``limit`` statuses wait, the oldest is dropped. If the sink raises, that
    status is lost. Both cases are counted (``dropped``, ``failed``) and logged at most once a minute. The thread starts
    with the first status and ends with ``close()``.

    Args:
        sink: Gets the statuses.
        name: For metrics, logs and the thread. Default: the sink's ``name`` or class.
        limit: How many statuses may wait.
        repeat: After this many seconds without a new status, the sink gets the last status again.
    """

    def __init__(self, sink: Sink, *, name: str = "", limit: int = 256, repeat: float = 1.0) -> None:
        self.sink = sink
        self.name: str = name or getattr(sink, "name", "") or type(sink).__name__
        self.dropped: int = 0
        self.failed: int = 0
        self._repeat = repeat
        self._queue: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._limit = limit
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._warned_at = -math.inf

    def __call__(self, status: Status) -> None:
        """Queue a status. Returns immediately."""
        self.submit(self.sink.handle, status)

    def submit(self, handle: Callable[[_Item], None], item: _Item) -> None:
        """Queue another call of a method of the sink, between the statuses. Returns immediately."""
        with self._changed:
            if self._is_closing:
                return
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self.dropped += 1
                self._warn("is too slow: %d items for it were dropped so far", self.dropped)
            self._queue.append((handle, item))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"ibkr sink {self.name}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, timeout: float = 1.0) -> bool:
        """Let the sink handle what is queued, then close it.

        Returns:
            False if the sink needs longer than ``timeout`` seconds. Its thread then continues to run.
        """
        with self._changed:
            self._is_closing = True
            thread = self._thread
            self._changed.notify()
        if thread is None:
            self.sink.close()
            return True
        thread.join(timeout)
        if thread.is_alive() and isinstance(self.sink, SupportsStop):
            self.sink.stop()
            thread.join(_STOP_TIMEOUT)
        if thread.is_alive():
            _log.warning("The sink %s has not ended after %.1f s, and still runs", self.name, timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        last: tuple[Callable[[Any], None], Any] | None = None
        while True:
            with self._changed:
                if not self._queue and not self._is_closing:
                    self._changed.wait(self._repeat)
                if self._queue:
                    item = self._queue.popleft()
                    last = item if item[0] == self.sink.handle else last
                elif self._is_closing:
                    break
                elif last is not None:
                    item = last
                else:
                    continue
            self._call(*item)
        self._call(lambda _: self.sink.close(), None)

    def _call(self, handle: Callable[[Any], None], item: object) -> None:
        try:
            handle(item)
        except Exception:  # any error of a sink must not affect the others
            self.failed += 1
            self._warn("failed (%d times so far); the others continue", self.failed, exc_info=True)

    def _warn(self, text: str, count: int, *, exc_info: bool = False) -> None:
        now = time.monotonic()
        is_due = now - self._warned_at >= _WARNING_INTERVAL
        if is_due:
            self._warned_at = now
        _log.log(
            logging.WARNING if is_due else logging.DEBUG, f"The sink %s {text}", self.name, count, exc_info=exc_info
        )
