"""``WorkerThread``: runs long reads for visitors in one thread, so that they never block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_MAX_QUEUED = 32
_CLOSE_TIMEOUT = 0.5


class QueueFull(Exception):
    """Too many reads are waiting, or the thread is closed."""


class WorkerThread:
    """Runs one read after the other. Use it in one event loop."""

    def __init__(self) -> None:
        # Use only one thread: a second thread would slow down the event loop, and would not make the reads faster.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ibkr web read")
        self._is_closed = False
        self._running: set[asyncio.Future[str]] = set()
        self._shared: dict[str, asyncio.Future[str]] = {}

    async def run(self, read: Callable[[], str], key: str = "") -> str:
        """Run ``read`` and return its result. Callers with the same ``key`` share one run.

        Raises:
            QueueFull: Too many reads wait.
        """
        reading = self._shared.get(key)
        if reading is None:
            if self._is_closed or len(self._running) >= _MAX_QUEUED:
                raise QueueFull
            reading = asyncio.get_running_loop().run_in_executor(self._thread, read)
            self._running.add(reading)
            reading.add_done_callback(self._running.discard)
            reading.add_done_callback(lambda _: self._shared.pop(key, None))
            if key:
                self._shared[key] = reading
        return await asyncio.shield(reading)  # a cancelled caller must not cancel the read for the other callers

    async def close(self) -> None:
        """Drop the reads that wait, and wait a moment for the read that runs."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSE_TIMEOUT)
        if not self._running:
            self._thread.shutdown(wait=True)  # it is idle, so this does not block
