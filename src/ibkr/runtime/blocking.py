"""Work for the loop of another thread, and blocking until it is done.

In slices: on Windows a wait without an end does not hear Ctrl-C.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SLICE = 0.25


def submit(work: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> concurrent.futures.Future[T]:
    """Have the work done in the loop, which runs in another thread; given up before it began, it is not.

    As ``asyncio.run_coroutine_threadsafe``, but that is given a coroutine: with a Ctrl-C between its making and its
    handing over, Python's last words would be that it was never awaited.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def begin() -> None:
        if future.cancelled():
            return
        task = loop.create_task(work())
        task.add_done_callback(tell)
        future.add_done_callback(lambda given_up: given_up.cancelled() and loop.call_soon_threadsafe(task.cancel))

    def tell(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        error = task.exception()
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    loop.call_soon_threadsafe(begin)
    return future


def outcome(future: concurrent.futures.Future[T], loop: asyncio.AbstractEventLoop, timeout: float | None) -> T:
    """What the work in the loop comes to: its result or its exception.

    Given up, after ``timeout`` seconds (``TimeoutError``) or on Ctrl-C, the work is cancelled. Raises
    ``ConnectionError`` when the loop ends under it.
    """
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while not future.done():
            left = _SLICE if until is None else min(_SLICE, until - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"not done within {timeout:g} s, and cancelled")
            if loop.is_closed() or not (loop.is_running() or threading.main_thread().is_alive()):
                raise ConnectionError("the connector's event loop ended before the call was done")
            concurrent.futures.wait([future], left)
        return future.result()
    except concurrent.futures.CancelledError as error:
        raise ConnectionError("the call was cancelled in the connector's event loop, which is being ended") from error
    finally:
        if not loop.is_closed():
            future.cancel()


def join(thread: threading.Thread, patience: float | None) -> None:
    """Wait for the thread's end, at most ``patience`` seconds."""
    until = None if patience is None else time.monotonic() + patience
    while thread.is_alive() and (until is None or time.monotonic() < until):
        thread.join(_SLICE)
