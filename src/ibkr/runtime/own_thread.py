"""An event loop in a daemon thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any

from ibkr.runtime.errands import Errand, join

_PATIENCE = 1.0
"""Seconds that tasks of the program's may take over their cancellation."""


class OwnThread:
    """Runs ``loop`` from ``start`` to ``stop``. ``farewell`` is awaited as the last of all in it.

    ``on_end`` is called in the thread when the loop will never run again, just before it is closed.
    """

    def __init__(self, name: str, farewell: Callable[[], Awaitable[object]], on_end: Callable[[], object]) -> None:
        self._farewell, self._on_end = farewell, on_end
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._begun: SimpleQueue[BaseException | None] = SimpleQueue()
        self._stopping = asyncio.Event()
        self._gate = threading.Lock()
        self.loop: asyncio.AbstractEventLoop
        self.is_open = True
        self.ident = 0

    @property
    def is_here(self) -> bool:
        """Whether this is the thread."""
        return threading.get_ident() == self.ident

    def start(self) -> None:
        """Returns when the loop runs. Raises what kept it from being made."""
        self._thread.start()
        error = self._begun.get()
        if error is not None:
            raise error

    def hand_over(self, errand: Errand[Any]) -> None:
        """Have it done there. Raises ``ConnectionError`` when the thread has been stopped."""
        with self._gate:
            if not self.is_open:
                raise ConnectionError("the connector's thread was stopped")
            errand.hand_to(self.loop)

    def stop(self, patience: float | None = None) -> None:
        """End the loop and the thread, and wait for that, at most ``patience`` seconds; in the thread itself, do not.

        Its tasks are cancelled while the connection still stands, then ``farewell`` ends that.
        """
        if self._close_gate():
            self.loop.call_soon_threadsafe(self._stopping.set)
        if not self.is_here:
            join(self._thread, patience)

    def _close_gate(self) -> bool:
        with self._gate:
            was_open, self.is_open = self.is_open, False
        return was_open

    def _main(self) -> None:
        self.ident = threading.get_ident()
        try:
            self.loop = loop = asyncio.new_event_loop()
        except BaseException as error:  # no more files, for one
            self._begun.put(error)
            return
        asyncio.set_event_loop(loop)  # where the client library looks for it
        try:
            loop.run_until_complete(self._live())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._on_end()
            loop.close()

    async def _live(self) -> None:
        self._begun.put(None)
        await self._stopping.wait()
        # All that passed the gate was handed to the loop before this turn.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
        await self._farewell()
