"""Lists of callbacks for statuses, gap reports and other values. If one raises, the others are still called."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from ibkr.core.states import ConnectionState
from ibkr.core.status import Status
from ibkr.runtime.script_loop import running_loop
from ibkr.session.error_log import raise_in_callback

logger = logging.getLogger("ibkr.runtime")

T = TypeVar("T")

SETTLE_SECONDS = 1.0
"""Seconds. A ``SYNCING`` that lasts longer is reported. A shorter ``SYNCING`` is not, because ``READY`` follows."""


class Listeners(Generic[T]):
    """Callbacks for one topic. If a callback raises, the exception is logged, and the other callbacks are still called.

    ``alternative`` is what the error for a coroutine function suggests instead.
    """

    def __init__(self, topic: str, alternative: str = "") -> None:
        self._topic, self._alternative = topic, alternative
        self._callbacks: list[Callable[[T], object]] = []

    def add(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """Call ``callback`` with every new value. Returns a function that removes the callback.

        Raises ``TypeError`` for a coroutine function, and for anything that is not a function.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"on_{self._topic}() takes a plain function, not the coroutine function {callback!r}:"
                f" {self._alternative}create a task in a plain function"
            )
        if not callable(callback):
            raise TypeError(
                f"on_{self._topic}() takes a function of one argument, not {callback!r}; write on_{self._topic}(print)"
            )
        self._callbacks.append(callback)
        return lambda: self._remove(callback)

    def __len__(self) -> int:
        return len(self._callbacks)

    def notify(self, value: T) -> None:
        """Call all callbacks. If one raises ``SystemExit`` or ``KeyboardInterrupt``, the event loop ends soon."""
        for callback in tuple(self._callbacks):
            try:
                callback(value)
            except (Exception, asyncio.CancelledError):
                logger.exception("The %s callback %r failed; the others continue", self._topic, callback)
            except (SystemExit, KeyboardInterrupt) as error:
                raise_in_callback(error)

    async def first(self, condition: Callable[[T], bool]) -> T:
        """Wait for the next value for which ``condition`` is true."""
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def check(value: T) -> None:
            if condition(value) and not found.done():
                found.set_result(value)

        self._callbacks.append(check)
        try:
            return await found
        finally:
            self._remove(check)

    def _remove(self, callback: Callable[[T], object]) -> None:
        with suppress(ValueError):  # removed already, perhaps by another thread
            self._callbacks.remove(callback)


class StateChangeFilter:
    """Reports a status if its ``state`` or ``may_trade`` differs from the last reported one.

    A restart of the gateway gives three changes: lost, trading again, ready. A ``SYNCING`` without trading is reported
    only if it lasts longer than ``SETTLE_SECONDS``. ``known`` is the status when the program began to listen.
    """

    def __init__(self, notify: Callable[[Status], None], known: Status | None = None) -> None:
        self._notify = notify
        self._last_reported = (ConnectionState.DISCONNECTED, False) if known is None else (known.state, known.may_trade)
        self._pending: Status | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, status: Status) -> None:
        """Check a new status."""
        lost_more = self._last_reported[1] and not status.may_trade
        loop = running_loop()
        is_passing = status.state is ConnectionState.SYNCING and not status.may_trade and not lost_more
        if is_passing and loop is not None:
            self._pending = status
            if self._timer is None:
                self._timer = loop.call_later(SETTLE_SECONDS, self._timer_due)
            return
        self._cancel_pending()
        self._report(status)

    def _timer_due(self) -> None:
        status = self._pending
        self._cancel_pending()
        if status is not None:
            self._report(status)

    def _cancel_pending(self) -> None:
        self._pending = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self, status: Status) -> None:
        key = status.state, status.may_trade
        if key != self._last_reported:
            self._last_reported = key
            self._notify(status)
