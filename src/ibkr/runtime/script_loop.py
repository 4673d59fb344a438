"""The event loop of a plain script: it runs while the script waits for something, and is idle in between."""

from __future__ import annotations

import asyncio
import signal
import threading
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# Turns of the loop. The first turn reads the socket, the second turn delivers the end of the socket, and the third turn
# delivers what follows from this end.
_TURNS = 3


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread now, or ``None``."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def script_loop() -> asyncio.AbstractEventLoop:
    """Return the script's loop in this thread, made when first needed. The client library finds this loop, too."""
    with warnings.catch_warnings():
        # Python warns when the call below creates a loop. From 3.14 on, Python raises an error instead.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            loop = None
    if loop is None or loop.is_closed():
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


def run_in_script(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run the loop until the work is done. On Ctrl-C, cancel it, and then raise ``KeyboardInterrupt``."""
    task = loop.create_task(work)
    with _ctrl_c_cancels(task, loop) as pressed:
        try:
            return run_until_done(loop, task)
        except asyncio.CancelledError:
            if pressed:
                raise KeyboardInterrupt from None
            raise
        finally:
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def run_until_done(loop: asyncio.AbstractEventLoop, work: asyncio.Task[T] | Coroutine[Any, Any, T]) -> T:
    """Run the loop until the work is done. If a callback raises ``SystemExit``, this does not disturb the next run."""
    task = work if isinstance(work, asyncio.Task) else loop.create_task(work)
    try:
        return loop.run_until_complete(task)
    except (SystemExit, KeyboardInterrupt):
        if task.done():  # in the same turn: the callback with which asyncio stops the loop is still queued
            loop.call_soon(loop.stop)
            loop.run_forever()
        raise


def process_pending(loop: asyncio.AbstractEventLoop) -> None:
    """Let an idle loop process pending events, without waiting for more."""

    async def pass_turns() -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    run_until_done(loop, pass_turns())


@contextmanager
def _ctrl_c_cancels(task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> Iterator[list[int]]:
    """Let Ctrl-C cancel the task, as ``asyncio.run`` does. Otherwise Ctrl-C could stop a callback halfway.

    A second Ctrl-C raises immediately. If the program has its own handler, nothing changes.
    """
    pressed: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return

    def cancel(number: int, _frame: object) -> None:
        pressed.append(number)
        if len(pressed) > 1 or task.done():
            raise KeyboardInterrupt
        task.cancel()
        loop.call_soon_threadsafe(lambda: None)  # wakes up the loop if it waits for its sockets

    signal.signal(signal.SIGINT, cancel)
    try:
        yield pressed
    finally:
        if signal.getsignal(signal.SIGINT) is cancel:
            signal.signal(signal.SIGINT, signal.default_int_handler)
