"""Those who want to know: callbacks, kept apart from each other and from us."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress

from ibkr.core.status import Status

logger = logging.getLogger("ibkr.runtime")


class Listeners:
    """Status callbacks. One that raises is logged with its traceback and hurts nobody else."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Status], object]] = []

    def add(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call ``callback`` with every new status. Returns what takes it off again; raises ``TypeError``."""
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"on_status() takes a plain function, not the coroutine function {callback!r}: use 'async for status in"
                " connector.changes()', or create a task in a plain function"
            )
        self._callbacks.append(callback)
        return lambda: self._remove(callback)

    def tell(self, status: Status) -> None:
        """Call all that are on the list now."""
        for callback in tuple(self._callbacks):
            try:
                callback(status)
            except (Exception, asyncio.CancelledError):
                logger.exception("The status callback %r failed; the others go on", callback)

    async def first(self, holds: Callable[[Status], bool]) -> Status:
        """The next status of which ``holds`` is true."""
        found: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def look(status: Status) -> None:
            if holds(status) and not found.done():
                found.set_result(status)

        remove = self.add(look)
        try:
            return await found
        finally:
            remove()

    def _remove(self, callback: Callable[[Status], object]) -> None:
        with suppress(ValueError):  # off already, perhaps by another thread
            self._callbacks.remove(callback)
