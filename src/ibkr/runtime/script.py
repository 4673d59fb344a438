"""The event loop of a plain script: run while something is awaited, and at rest in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread now, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def refuse_running_loop(what: str, instead: str) -> None:
    """Raises ``RuntimeError`` where ``what`` would block a running loop, and names what to write ``instead``."""
    if running_loop() is not None:
        raise RuntimeError(f"{what} would block the running event loop: use '{instead}'")


def run_in_script(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run the loop until the work is done; on Ctrl-C the work is cancelled first, so that nothing is left half-way."""
    task = loop.create_task(work)
    try:
        return loop.run_until_complete(task)
    finally:
        if not task.done():
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def call_in_script(loop: asyncio.AbstractEventLoop | None, command: Callable[[], T]) -> T:
    """Give a command where it belongs: in the loop, if it rests and none runs here."""
    if loop is None or loop.is_running() or loop.is_closed() or running_loop() is not None:
        return command()

    async def give() -> T:
        return command()

    return loop.run_until_complete(give())
