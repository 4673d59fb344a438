"""The event loop and thread of a connector, and how calls from any thread reach them.

Every call distinguishes three cases. The loop runs in another thread (a ``LoopThread`` or the program's). The loop
runs in this thread. The loop belongs to this thread and is idle, as in a plain script between calls.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ibkr.runtime.cross_thread import CrossThreadCall, LoopRests, run_in_other_loop, run_in_other_loop_async
from ibkr.runtime.script_loop import process_pending, run_in_script, run_until_done, running_loop, script_loop

if TYPE_CHECKING:
    from ibkr.runtime.loop_thread import LoopThread

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]


def check_seconds(seconds: float | None) -> None:
    """Raise ``ValueError`` for NaN: a timer that is never due confuses the order of all timers of its loop."""
    if seconds is not None and math.isnan(seconds):
        raise ValueError(f"the time must be a number of seconds, not {seconds}")


class LoopContext:
    """Knows in which loop and thread a connector runs, and runs work there.

    Args:
        is_unused: Whether all parts of a connection have ended, so that another loop may be used.

    Attributes:
        loop: The loop of the connector's own thread, or otherwise the loop of the last ``connect``.
        thread: The connector's own thread, if it has one.
    """

    def __init__(self, is_unused: Callable[[], bool]) -> None:
        self._is_unused = is_unused
        self._thread_id = 0
        self._lock = threading.Lock()
        self._parent_loop: asyncio.AbstractEventLoop | None = None
        self._ending_thread: LoopThread | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: LoopThread | None = None

    def use_running_loop(self) -> None:
        """Use the running loop from now on."""
        self.loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()
        # asyncio.run does the same. The client library schedules coroutine handlers in the loop that is set here. A
        # Runner with a loop factory does not set the loop, so without this line the handlers would never run.
        asyncio.set_event_loop(self.loop)

    def start_thread(
        self, name: str, before_stop: Callable[[], Awaitable[object]], on_closed: Callable[[], object]
    ) -> bool:
        """Start a thread with its own loop, and use that loop. Returns False if there already is such a thread.

        Args:
            name: The name of the thread.
            before_stop: Awaited in the thread when it is stopped.
            on_closed: Called in the thread when its loop will never run again.

        Raises:
            RuntimeError: The connector uses another loop, or this is the connector's own thread and it is ending.
        """

        from ibkr.runtime.loop_thread import LoopThread  # most programs have a loop and never need this

        def thread_closed() -> None:
            on_closed()
            self._ending_thread = thread
            self._clear()

        here = self.thread
        if here is not None and here.in_this_thread and not here.is_open:  # a thread cannot wait for its own end
            raise RuntimeError("this thread of the connector is ending: call start_in_thread() in another thread")
        with self._lock:
            if self.thread is not None and self.thread.is_open:
                return False
            if self.thread is not None:
                self.thread.stop()
            if not self._is_unused():
                raise RuntimeError("the connector lives in another event loop: call disconnect() there first")
            thread = LoopThread(name, before_stop, thread_closed)
            thread.start()
            self.thread, self.loop, self._thread_id = thread, thread.loop, thread.ident
            return True

    def stop_thread(self, patience: float | None) -> bool:
        """End the connector's thread, and wait at most ``patience`` seconds. Returns False without a thread."""
        thread = self.thread
        if thread is not None:
            thread.stop(patience)
        elif self._ending_thread is not None:  # a stopped thread, which may still be closing its loop
            self._ending_thread.stop(patience)
        return thread is not None

    def after_fork(self) -> None:
        """In a forked process: forget the loop and the thread, which belong to the parent."""
        # Keep the loop. If it were garbage collected, it would unregister its wake-up socket from the selector that
        # both processes share.
        self._parent_loop = self.loop
        self._lock = threading.Lock()
        self._ending_thread = None
        self._clear()
        if self.in_loop_thread and script_loop() is self._parent_loop:  # Python 3.12 and later forgets this loop itself
            asyncio.set_event_loop(asyncio.new_event_loop())

    def _clear(self) -> None:
        self.thread = self.loop = None

    @property
    def in_loop_thread(self) -> bool:
        """Whether this is the loop's thread, running or idle."""
        return self._thread_id == threading.get_ident()

    @property
    def in_other_thread(self) -> bool:
        """Whether the loop runs in another thread."""
        thread, loop = self.thread, self.loop  # the thread may end meanwhile
        if thread is not None:
            return not thread.in_this_thread
        return loop is not None and not self.in_loop_thread and loop.is_running() and running_loop() is not loop

    @property
    def is_idle_here(self) -> bool:
        """Whether this is the loop's thread and no loop runs in it."""
        loop = self.loop
        return (
            loop is not None
            and self.in_loop_thread
            and not loop.is_closed()
            and not loop.is_running()
            and running_loop() is None
        )

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` if the loop is in use, and this is not the loop's thread."""
        if self._thread_id == threading.get_ident() or self.loop is None:
            return
        if self.thread is not None or not self._is_unused():
            raise RuntimeError(
                "connector.ib can only be used in the thread of its event loop: use"
                " connector.call(lambda ib: ...), which runs it there"
            )

    def run_pending(self) -> None:
        """Process pending events if the loop is idle in this thread. A running loop processes them itself."""
        if self.is_idle_here:
            assert self.loop is not None
            process_pending(self.loop)

    def run(self, what: str, instead: str, work: Work[T], timeout: float | None = None) -> T:
        """Run the work in the loop, and block until it is done.

        Raises ``RuntimeError`` if this would block the loop itself, or if the loop of another thread does not run.
        """
        check_seconds(timeout)
        if self.in_other_thread:
            return self._run_in_other_thread(work, timeout)
        running = running_loop()
        if running is not None and not getattr(running, "_nest_patched", False):
            if self.thread is not None:
                raise RuntimeError(f"{what} in the connector's own thread would wait for itself: use {instead}")
            raise RuntimeError(
                f"{what} would block the running event loop: use {instead}, or run the connector in its own thread"
                " with connector.start_in_thread()"
            )
        return run_in_script(self._loop_to_run(), _within(work, timeout))

    async def run_async(self, work: Work[T]) -> T:
        """Do the same as ``run`` from a coroutine. The calling loop keeps running."""
        if self.in_other_thread:
            return await run_in_other_loop_async(lambda: _within(work, None), self._submit)
        if not self.in_loop_thread and running_loop() is not self.loop and self._is_in_use:
            raise LoopRests  # what the work awaits would happen in that loop, which cannot wake up this loop
        return await work()

    def run_in_loop(self, command: Callable[[], T]) -> T:
        """Call a short function in the loop, and return its result. The function does not await anything."""

        async def call() -> T:
            return command()

        if self.in_other_thread:
            with suppress(LoopRests):  # the loop has just stopped: the function runs here
                return self._run_in_other_thread(call, None)
        if self.is_idle_here:
            assert self.loop is not None
            self.run_pending()
            return run_until_done(self.loop, call())
        return command()

    def call_soon(self, command: Callable[[], object]) -> None:
        """Schedule a function in the loop, from any thread. Call it now if that loop runs here or is unused."""
        loop = self.loop
        if loop is None or loop is running_loop() or (self._is_unused() and not loop.is_running()):
            command()
            return
        try:
            loop.call_soon_threadsafe(command)
        except RuntimeError:  # the loop is closed
            command()

    def _loop_to_run(self) -> asyncio.AbstractEventLoop:
        """The loop to run here. Raises ``RuntimeError`` if the connector uses an idle loop of another thread."""
        loop = self.loop
        if loop is None or not self._is_in_use:
            return script_loop()
        if self.in_loop_thread:
            return loop
        raise LoopRests

    @property
    def _is_in_use(self) -> bool:
        """Whether a connection still uses the loop, so that no other loop may be used."""
        return self.loop is not None and not self.loop.is_closed() and not self._is_unused()

    def _run_in_other_thread(self, work: Work[T], timeout: float | None) -> T:
        try:
            return run_in_other_loop(lambda: _wrap_exit(work), self._submit, timeout)
        except _ExitRaised as raised:
            raise raised.error from None

    def _submit(self, call: CrossThreadCall[T]) -> None:
        thread, loop = self.thread, self.loop
        if thread is not None:
            thread.submit(call)
        elif loop is not None:
            call.start_in(loop, may_rest=True)
        else:
            raise ConnectionError("the connector's thread was stopped")


class _ExitRaised(Exception):
    """Carries a ``sys.exit()`` to the caller. ``SystemExit`` itself would end the loop's thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _wrap_exit(work: Work[T]) -> T:
    try:
        return await work()
    except (SystemExit, KeyboardInterrupt) as error:
        raise _ExitRaised(error) from error


async def _within(work: Work[T], seconds: float | None) -> T:
    async with asyncio.timeout(seconds):
        return await work()
