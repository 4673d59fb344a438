"""Calls between the event loop of the server and the event loop of a connector, which runs in another thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from ibkr.connector import IBConnector

_CALL_TIMEOUT = 1.0
"""Seconds that the connector's loop may take until its next turn."""

LONGEST_REST = 10.0
"""Seconds without a turn of the connector's loop after which its last status is outdated.

A loop that runs notices within this time that a session was cut.
"""

T = TypeVar("T")


class LoopBusy(Exception):
    """The connector's event loop did not run for a while, so it could not be asked."""


class CrossLoopCaller:
    """Calls functions in the loop of a connector. Make it in the server's event loop."""

    def __init__(self, connector: IBConnector) -> None:
        self._connector = connector
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None

    @property
    def why_outdated(self) -> str:
        """Say why the connector's last report is outdated. Empty if the connector's loop has run recently."""
        waits = 0.0 if self._waits_since is None else self._loop.time() - self._waits_since
        if waits < LONGEST_REST:
            return ""
        return f"the program has not run its event loop for {waits:.0f} s: nobody knows whether the connection works"

    async def call(self, function: Callable[[], T]) -> T:
        """Call a short function in the connector's loop, and return or raise what it returns or raises.

        Raises:
            LoopBusy: The loop has not run within a second. The loop still calls the function when it runs again.
        """
        answer: asyncio.Future[Callable[[], T]] = self._loop.create_future()
        if self._waits_since is None:
            self._waits_since = self._loop.time()

        def settle(result: Callable[[], T]) -> None:
            self._waits_since = None
            if not answer.done():
                answer.set_result(result)

        self._connector.call_soon(lambda: self._call_back(settle, _outcome(function)))
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                result = await answer
        except TimeoutError as error:
            raise LoopBusy("the program's event loop is busy or does not run; the call is made when it runs") from error
        return result()

    def callback(self, function: Callable[[T], object]) -> Callable[[T], None]:
        """Return a callback for the connector's loop that calls this function in the server's loop."""
        return lambda value: self._call_back(function, value)

    def _call_back(self, function: Callable[[T], object], value: T) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop is closed
            self._loop.call_soon_threadsafe(function, value)


def _outcome(function: Callable[[], T]) -> Callable[[], T]:
    """Call this function. Returns a second function, which returns or raises the same as this function."""
    try:
        result = function()
    except Exception as raised:
        error = raised

        def fail() -> T:
            raise error

        return fail
    return lambda: result
