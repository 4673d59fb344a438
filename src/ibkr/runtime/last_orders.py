"""Orders and cancels that were sent last: they leave, and are read, before a program or its event loop ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ibkr.runtime.home import Home
from ibkr.runtime.limiter import Limiter
from ibkr.runtime.script import run_in_script, running_loop

LAST_ORDERS = 2.0
"""Seconds that orders and cancels which wait for their turn have at the end of a program or its event loop."""
_INTERRUPTED = "the program was interrupted, and nobody would look after a new order"


class LastOrders:
    """``grace``: seconds that the gateway has to read what was sent. ``refuse_orders`` drops new orders that wait, with
    the reason that it is given. ``quiet`` waits until the connection has ended, ``end`` ends it in good order.
    """

    def __init__(
        self,
        home: Home,
        limiter: Limiter,
        grace: float,
        refuse_orders: Callable[[str], None],
        quiet: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[object]],
    ) -> None:
        self._home, self._limiter, self._grace = home, limiter, grace
        self._refuse_orders, self._quiet, self._end = refuse_orders, quiet, end
        self._sent_at = 0.0
        self._handled: tuple[BaseException | None, ...] = ()
        self._task: asyncio.Task[None] | None = None

    def sent(self) -> None:
        """An order or a cancel was sent, or waits. In a plain script, return when it has left.

        In a running loop a task sees to it that it leaves even if ``asyncio.run`` ends at once.
        """
        loop = self._home.loop
        if loop is None:
            return
        # What the program handles while it sends orders is not what ends it.
        self._handled = sys.exc_info()[1], getattr(sys, "last_value", None)
        if self._home.rests_here:
            if self._limiter.holds_orders:
                run_in_script(loop, self._limiter.orders_gone())
        elif running_loop() is loop:
            self._sent_at = loop.time()
            if self._task is None or self._task.done():
                work = self._until_read()
                work.send(None)  # into its try block: the loop may end before the task has its first turn
                self._task = loop.create_task(work, name="ibkr-orders")

    async def leave(self, seconds: float | None) -> None:
        """Wait until no order waits, at most so many seconds; those that are left then are dropped with the session."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._limiter.orders_gone()

    def refuse_new(self, error: BaseException | None) -> None:
        """The program ends. With an error that is not ``SystemExit`` nobody would look after a new order."""
        is_news = not any(error is each for each in self._handled)
        if error is not None and is_news and not isinstance(error, SystemExit):
            self._refuse_orders(_INTERRUPTED)

    async def _until_read(self) -> None:
        """Lasts until orders have left and the gateway has had time to read them.

        ``asyncio.run`` cancels every task at its end, and waits for it. The error that it ends with, if any, is the
        context of the ``CancelledError``.
        """
        try:
            await asyncio.sleep(0)
            await self._limiter.orders_gone()
            while (left := self._sent_at + self._grace - asyncio.get_running_loop().time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        return await self._quiet()
        except asyncio.CancelledError as cancelled:
            if not _loop_ends():
                raise
            self.refuse_new(cancelled.__context__)
            await self.leave(LAST_ORDERS)
            await self._end()
            raise


def _loop_ends() -> bool:
    """Whether every task is being cancelled, as at the end of ``asyncio.run``, and not some of them by another."""
    return all(task.cancelling() for task in asyncio.all_tasks() if task is not asyncio.current_task())
