"""Run work in an event loop of another thread, and wait for its result.

A waiting thread wakes up in short slices: on Windows, Ctrl-C does not interrupt a wait without a timeout.
``concurrent.futures`` is not used. It takes its locks in several steps. If a signal handler raises between two steps,
as Ctrl-C does, the lock is never released, and the event loop would wait for it forever.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_WAIT_SLICE = 0.25


class CrossThreadCall(Generic[T]):
    """Work to run in an event loop of another thread. That loop calls ``on_done`` with the finished task."""

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, T]], on_done: Callable[[asyncio.Task[T]], object]
    ) -> None:
        self._work, self._on_done = work, on_done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False

    def start_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the work in this loop. Call this once. Raises ``RuntimeError`` if the loop is closed."""
        self._loop = loop
        loop.call_soon_threadsafe(self._start)

    @property
    def is_abandoned(self) -> bool:
        """Whether the loop no longer runs."""
        loop = self._loop
        return loop is None or loop.is_closed() or not (loop.is_running() or threading.main_thread().is_alive())

    def cancel(self) -> None:
        """Cancel the work, or prevent its start. Does nothing if the work is done."""
        self._is_cancelled = True
        if self._loop is None or (self._task is not None and self._task.done()):
            return
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel_task)

    def _start(self) -> None:
        if not self._is_cancelled:
            # Create the task here, in the loop. If Ctrl-C arrived between creating a coroutine and scheduling it,
            # Python would warn that the coroutine was never awaited.
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[T]) -> None:
        if not (task.cancelled() or task.cancelling()):
            # Retrieve the exception, so that asyncio does not log it. The caller may have stopped waiting just now.
            task.exception()
        self._on_done(task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()


def run_in_other_loop(
    work: Callable[[], Coroutine[Any, Any, T]], submit: Callable[[CrossThreadCall[T]], None], timeout: float | None
) -> T:
    """Run the work in another loop and return its result.

    Args:
        work: Returns the coroutine to run.
        submit: Passes the call to the other loop.
        timeout: Seconds to wait. ``None`` waits without limit.

    Raises:
        TimeoutError: The timeout has passed. The work is cancelled, as on Ctrl-C.
        ConnectionError: The other loop ended before the work did.
    """
    done: SimpleQueue[asyncio.Task[T]] = SimpleQueue()
    call = CrossThreadCall(work, done.put)
    try:
        submit(call)
        return _result(_wait(call, done, timeout))
    finally:
        call.cancel()
        del call  # an exception keeps this frame alive, and the call keeps the exception alive


async def run_in_other_loop_async(
    work: Callable[[], Coroutine[Any, Any, T]], submit: Callable[[CrossThreadCall[T]], None]
) -> T:
    """Do the same as ``run_in_other_loop`` from a coroutine. The calling loop keeps running."""
    done: asyncio.Future[asyncio.Task[T]] = asyncio.get_running_loop().create_future()
    call = CrossThreadCall(work, partial(_set_result, done))
    try:
        submit(call)
        return _result(await done)
    finally:
        call.cancel()
        del call, done  # an exception keeps this frame alive, and these would keep the exception alive


def _wait(call: CrossThreadCall[T], done: SimpleQueue[asyncio.Task[T]], timeout: float | None) -> asyncio.Task[T]:
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        is_abandoned = call.is_abandoned
        left = _WAIT_SLICE if until is None else min(_WAIT_SLICE, until - time.monotonic())
        try:
            return done.get(timeout=0 if is_abandoned else max(left, 0))
        except Empty:
            if is_abandoned:
                raise ConnectionError("the connector's event loop ended before the call was done") from None
            if left <= 0:
                raise TimeoutError(f"not done within {timeout:g} s, and cancelled") from None


def _set_result(done: asyncio.Future[asyncio.Task[T]], task: asyncio.Task[T]) -> None:
    def resolve() -> None:
        if not done.done():
            done.set_result(task)

    with suppress(RuntimeError):  # the waiting loop is closed
        done.get_loop().call_soon_threadsafe(resolve)


def _result(task: asyncio.Task[T]) -> T:
    try:
        if task.cancelled():
            if not task.cancelling():
                raise ConnectionError("the call was cancelled: what it awaited was cancelled")
            raise ConnectionError("the call was cancelled because the connector's event loop is ending")
        return task.result()
    finally:
        del task  # an exception keeps this frame alive, and the task keeps the exception alive


def join_thread(thread: threading.Thread, timeout: float | None) -> None:
    """Wait until the thread has ended, for at most ``timeout`` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    while thread.is_alive() and (until is None or time.monotonic() < until):
        thread.join(_WAIT_SLICE)
