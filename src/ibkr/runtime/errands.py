"""Work for the loop of another thread, and waiting until it is done.

In slices: on Windows a wait without an end does not hear Ctrl-C. And without ``concurrent.futures``: its locks are
taken in several steps, and a signal that raises between two of them, as Ctrl-C does, leaves them taken. The loop would
wait for such a lock for ever.
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

_SLICE = 0.25


class Errand(Generic[T]):
    """Work for a loop that runs in another thread. ``tell`` is called there, with its task, when that is done."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], tell: Callable[[asyncio.Task[T]], object]) -> None:
        self._work, self._tell = work, tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._is_given_up = False

    def hand_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have it done there; once. Raises ``RuntimeError`` when the loop is closed."""
        self._loop = loop
        loop.call_soon_threadsafe(self._begin)

    @property
    def is_left(self) -> bool:
        """Whether its loop does not run any more."""
        loop = self._loop
        return loop is None or loop.is_closed() or not (loop.is_running() or threading.main_thread().is_alive())

    def give_up(self) -> None:
        """Nobody waits for it any more: it is cancelled, or never begun. Harmless when it is done."""
        self._is_given_up = True
        if self._loop is None or (self._task is not None and self._task.done()):
            return
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel)

    def _begin(self) -> None:
        if not self._is_given_up:
            # Made here: with a Ctrl-C between the making of a coroutine and its handing over, Python's last words would
            # be that it was never awaited.
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        if not (task.cancelled() or task.cancelling()):
            # Looked at, so that asyncio does not tell of it: the caller may have given up this moment, and was told so.
            task.exception()
        self._tell(task)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def run_elsewhere(
    work: Callable[[], Coroutine[Any, Any, T]], hand_over: Callable[[Errand[T]], None], timeout: float | None
) -> T:
    """What the work comes to in the loop that it is handed to: its result or its exception.

    Given up, after ``timeout`` seconds (``TimeoutError``) or on Ctrl-C, the work is cancelled. Raises
    ``ConnectionError`` when the loop ends under it.
    """
    done: SimpleQueue[asyncio.Task[T]] = SimpleQueue()
    errand = Errand(work, done.put)
    try:
        hand_over(errand)
        return _result(_wait(errand, done, timeout))
    finally:
        errand.give_up()
        del errand  # an exception keeps this frame, and the errand the exception


async def run_elsewhere_async(work: Callable[[], Coroutine[Any, Any, T]], hand_over: Callable[[Errand[T]], None]) -> T:
    """As ``run_elsewhere``, for coroutines: their own loop goes on meanwhile."""
    done: asyncio.Future[asyncio.Task[T]] = asyncio.get_running_loop().create_future()
    errand = Errand(work, partial(_tell, done))
    try:
        hand_over(errand)
        return _result(await done)
    finally:
        errand.give_up()
        del errand, done  # as above


def _wait(errand: Errand[T], done: SimpleQueue[asyncio.Task[T]], timeout: float | None) -> asyncio.Task[T]:
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        is_left = errand.is_left
        left = _SLICE if until is None else min(_SLICE, until - time.monotonic())
        try:
            return done.get(timeout=0 if is_left else max(left, 0))
        except Empty:
            if is_left:
                raise ConnectionError("the connector's event loop ended before the call was done") from None
            if left <= 0:
                raise TimeoutError(f"not done within {timeout:g} s, and cancelled") from None


def _tell(done: asyncio.Future[asyncio.Task[T]], task: asyncio.Task[T]) -> None:
    def settle() -> None:
        if not done.done():
            done.set_result(task)

    with suppress(RuntimeError):  # whoever waited has closed its loop
        done.get_loop().call_soon_threadsafe(settle)


def _result(task: asyncio.Task[T]) -> T:
    try:
        if task.cancelled():
            raise ConnectionError("the call was cancelled in the connector's event loop, which is being ended")
        return task.result()
    finally:
        del task  # an exception keeps this frame, and the task the exception


def join(thread: threading.Thread, patience: float | None) -> None:
    """Wait for the thread's end, at most ``patience`` seconds."""
    until = None if patience is None else time.monotonic() + patience
    while thread.is_alive() and (until is None or time.monotonic() < until):
        thread.join(_SLICE)
