"""Handles the end or a fork of the program: sends the last orders, ends connections, and forgets them in a fork."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from ibkr.runtime.loop_context import LoopContext
from ibkr.runtime.rate_limiter import RateLimiter
from ibkr.runtime.script_loop import run_in_script, running_loop

FLUSH_SECONDS = 2.0
"""Seconds for sending the waiting orders and cancels when the program or its event loop ends."""
_INTERRUPTED = "the program was interrupted, and nobody would watch a new order"


class FinalFlush:
    """Lets the last orders and cancels reach the gateway before a program or its event loop ends.

    Args:
        context: The loop and thread of the connector.
        limiter: Has the orders that wait to be sent.
        read_seconds: Seconds that the gateway gets to read the sent messages.
        refuse_orders: Drops new orders that wait, for the given reason.
        wait_quiet: Waits until the connection has ended.
        end: Ends the connection properly.
    """

    def __init__(
        self,
        context: LoopContext,
        limiter: RateLimiter,
        read_seconds: float,
        refuse_orders: Callable[[str], None],
        wait_quiet: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[object]],
    ) -> None:
        self._context, self._limiter, self._read_seconds = context, limiter, read_seconds
        self._refuse_orders, self._wait_quiet, self._end = refuse_orders, wait_quiet, end
        self._sent_at = 0.0
        self._known_errors: tuple[BaseException | None, ...] = ()
        self._task: asyncio.Task[None] | None = None

    def order_sent(self) -> None:
        """An order or a cancel was sent, or waits. In a plain script, return when the message is sent.

        In a running loop, a task makes sure that the message is sent even if ``asyncio.run`` ends immediately after it.
        """
        loop = self._context.loop
        if loop is None:
            return
        # An exception that the program handles while it sends orders is not the exception that ends the program.
        self._known_errors = sys.exc_info()[1], getattr(sys, "last_value", None)
        if self._context.is_idle_here:
            if self._limiter.has_waiting_orders:
                run_in_script(loop, self._limiter.wait_orders_sent())
        elif running_loop() is loop:
            self._sent_at = loop.time()
            if self._task is None or self._task.done():
                work = self._flush_task_body()
                work.send(None)  # enter the try block of the work: the loop may end before the task first runs
                self._task = loop.create_task(work, name="ibkr-orders")

    async def flush(self, seconds: float | None) -> None:
        """Wait at most this many seconds until no order waits. The end of the session drops orders that still wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._limiter.wait_orders_sent()

    def refuse_new_orders(self, error: BaseException | None) -> None:
        """Refuse new orders if an exception other than ``SystemExit`` ends the program: no one would watch orders."""
        is_news = not any(error is each for each in self._known_errors)
        if error is not None and is_news and not isinstance(error, SystemExit):
            self._refuse_orders(_INTERRUPTED)

    async def _flush_task_body(self) -> None:
        """Run until orders are sent and the gateway has had time to read them.

        When ``asyncio.run`` ends, it cancels every task and waits for all of them. If an exception ended the program,
        that exception is the context of the ``CancelledError``.
        """
        try:
            await asyncio.sleep(0)
            await self._limiter.wait_orders_sent()
            while (left := self._sent_at + self._read_seconds - asyncio.get_running_loop().time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        return await self._wait_quiet()
        except asyncio.CancelledError as cancelled:
            if not _loop_is_ending():
                raise
            self.refuse_new_orders(cancelled.__context__)
            await self.flush(FLUSH_SECONDS)
            await self._end()
            raise


def _loop_is_ending() -> bool:
    """Whether every task is being cancelled, as at the end of ``asyncio.run``, and not just some of them."""
    return all(task.cancelling() for task in asyncio.all_tasks() if task is not asyncio.current_task())


class ExitListener(Protocol):
    """Is called when the process ends or forks."""

    def at_exit(self) -> None:
        """End everything, because the interpreter is about to end. The interpreter waits for this method."""

    def after_fork(self) -> None:
        """In a forked process: release everything that was inherited, because it belongs to the parent."""


_registered: weakref.WeakSet[ExitListener] = weakref.WeakSet()


def register(listener: ExitListener) -> None:
    """Call this listener when the process ends or forks, if the listener still exists. Keeps no strong reference."""
    _registered.add(listener)


def _run_exit() -> None:
    for listener in list(_registered):
        listener.at_exit()


def _run_after_fork() -> None:
    for listener in list(_registered):
        listener.after_fork()


atexit.register(_run_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run_after_fork)
