"""Those who want to know: callbacks, kept apart from each other and from us."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

logger = logging.getLogger("ibkr.runtime")

T = TypeVar("T")


class Listeners(Generic[T]):
    """Callbacks about one thing, a status or a gap. One that raises is logged with its traceback and hurts nobody else.

    ``instead``: what to write in place of a coroutine function, in the error for it.
    """

    def __init__(self, thing: str, instead: str = "") -> None:
        self._thing, self._instead = thing, instead
        self._callbacks: list[Callable[[T], object]] = []

    def add(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """Call ``callback`` with every new one. Returns what takes it off again; raises ``TypeError``."""
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"on_{self._thing}() takes a plain function, not the coroutine function {callback!r}:"
                f" {self._instead}create a task in a plain function"
            )
        if not callable(callback):
            raise TypeError(
                f"on_{self._thing}() takes a function of one argument, not {callback!r}; write on_{self._thing}(print)"
            )
        self._callbacks.append(callback)
        return lambda: self._remove(callback)

    def tell(self, news: T) -> None:
        """Call all that are on the list now."""
        for callback in tuple(self._callbacks):
            try:
                callback(news)
            except (Exception, asyncio.CancelledError):
                logger.exception("The %s callback %r failed; the others go on", self._thing, callback)

    async def first(self, holds: Callable[[T], bool]) -> T:
        """The next one of which ``holds`` is true."""
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def look(news: T) -> None:
            if holds(news) and not found.done():
                found.set_result(news)

        self._callbacks.append(look)
        try:
            return await found
        finally:
            self._remove(look)

    def _remove(self, callback: Callable[[T], object]) -> None:
        with suppress(ValueError):  # off already, perhaps by another thread
            self._callbacks.remove(callback)
