"""An event loop in a daemon thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from ibkr.runtime.cross_thread import CrossThreadCall, join_thread

_CANCEL_SECONDS = 1.0
"""Seconds that the program's tasks may take to end after they are cancelled."""


class LoopThread:
    """Runs ``loop`` in a thread, from ``start`` to ``stop``.

    Args:
        name: The name of the thread.
        before_stop: Awaited in the loop after all tasks were cancelled.
        on_closed: Called in the thread when the loop will never run again, just before it is closed.
    """

    def __init__(
        self, name: str, before_stop: Callable[[], Awaitable[object]], on_closed: Callable[[], object]
    ) -> None:
        self._before_stop, self._on_closed = before_stop, on_closed
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._started: SimpleQueue[BaseException | None] = SimpleQueue()
        self._stopping = asyncio.Event()
        self._lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop
        self.is_open = True
        self.ident = 0

    @property
    def in_this_thread(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.get_ident() == self.ident

    def start(self) -> None:
        """Start the thread, and return when the loop runs. Raises the error if the loop cannot be created."""
        self._thread.start()
        error = self._started.get()
        if error is not None:
            raise error

    def submit(self, call: CrossThreadCall[Any]) -> None:
        """Run the call in this thread's loop. Raises ``ConnectionError`` if the thread was stopped."""
        with self._lock:
            if not self.is_open:
                raise ConnectionError("the connector's thread was stopped")
            call.start_in(self.loop, may_rest=False)

    def stop(self, timeout: float | None = None) -> None:
        """End the thread, and wait at most ``timeout`` seconds. In the thread itself, do not wait.

        First the tasks are cancelled, while the connection is still up. Then ``before_stop`` ends the connection.
        """
        if self._mark_closed():
            with suppress(RuntimeError):  # the loop ended unexpectedly, and is closed
                self.loop.call_soon_threadsafe(self._stopping.set)
        if not self.in_this_thread:
            join_thread(self._thread, timeout)

    def _mark_closed(self) -> bool:
        with self._lock:
            was_open, self.is_open = self.is_open, False
        return was_open

    def _main(self) -> None:
        self.ident = threading.get_ident()
        try:
            self.loop = loop = asyncio.new_event_loop()
        except BaseException as error:  # for example: too many open files
            self._started.put(error)
            return
        asyncio.set_event_loop(loop)  # the client library looks for the loop there
        try:
            loop.run_until_complete(self._run())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._on_closed()
            loop.close()

    async def _run(self) -> None:
        self._started.put(None)
        await self._stopping.wait()
        # Everything that was submitted before ``is_open`` became False was scheduled before this point.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        await self._before_stop()
