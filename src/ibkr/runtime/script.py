"""The event loop of a plain script: run while something is awaited, and at rest in between."""

from __future__ import annotations

import asyncio
import signal
import threading
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# One turn reads the socket, the next delivers its end, the third what followed from that.
_TURNS = 3


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread now, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def script_loop() -> asyncio.AbstractEventLoop:
    """The loop of a plain script in this thread, where the client library looks for it too; made if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of making one, which from 3.14 on it does not do
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            loop = None
    if loop is None or loop.is_closed():
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


def run_in_script(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run the loop until the work is done; on Ctrl-C the work is cancelled first, so that nothing is left half-way."""
    task = loop.create_task(work)
    with _ctrl_c_cancels(task, loop) as pressed:
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            if pressed:
                raise KeyboardInterrupt from None
            raise
        finally:
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop that rests take what has come meanwhile, without waiting for more."""

    async def take() -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    loop.run_until_complete(take())


@contextmanager
def _ctrl_c_cancels(task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> Iterator[list[int]]:
    """Ctrl-C cancels the task, as with ``asyncio.run``: raised in the middle of a callback it could leave a half-done
    step. A second one raises at once. Where the program has a handler of its own, that is left alone.
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
        loop.call_soon_threadsafe(lambda: None)  # wakes the loop, if it waits for its sockets

    signal.signal(signal.SIGINT, cancel)
    try:
        yield pressed
    finally:
        if signal.getsignal(signal.SIGINT) is cancel:
            signal.signal(signal.SIGINT, signal.default_int_handler)
