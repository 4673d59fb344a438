"""Home: the event loop and the thread that a connector lives in, and the ways there from wherever a caller is.

Three cases, told apart for every call: the loop runs in another thread (one of our own, or the program's), it runs
here, or it rests here, as in a plain script.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ibkr.runtime.errands import Errand, run_elsewhere, run_elsewhere_async
from ibkr.runtime.script import run_in_script, running_loop, script_loop, turn

if TYPE_CHECKING:
    from ibkr.runtime.own_thread import OwnThread

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]


class Home:
    """``is_vacant`` says that nothing lives here any more.

    ``loop`` is where the connector lives: that of its own thread, or else of its last ``connect``.
    """

    def __init__(self, is_vacant: Callable[[], bool]) -> None:
        self._is_vacant = is_vacant
        self._thread = 0
        self._moving = threading.Lock()
        self._inherited: asyncio.AbstractEventLoop | None = None
        self._ending: OwnThread | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.own: OwnThread | None = None

    def settle(self) -> None:
        """Live in the loop that runs here."""
        self.loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        # As asyncio.run does: the client library schedules coroutine handlers there, and a Runner with a loop factory
        # does not set it, so that they would never run.
        asyncio.set_event_loop(self.loop)

    def start_thread(
        self, name: str, farewell: Callable[[], Awaitable[object]], after_all: Callable[[], object]
    ) -> bool:
        """Live in a thread of one's own; False when that is so already.

        ``farewell`` is awaited in it when it is stopped, ``after_all`` called when its loop will never run again.
        Raises ``RuntimeError`` while somebody lives in another loop.
        """

        from ibkr.runtime.own_thread import OwnThread  # most programs have a loop

        def ended() -> None:
            after_all()
            self._ending = own
            self._leave()

        with self._moving:
            if self.own is not None and self.own.is_open:
                return False
            if self.own is not None:
                self.own.stop()
            if not self._is_vacant():
                raise RuntimeError("the connector lives in another event loop: call disconnect() there first")
            own = OwnThread(name, farewell, ended)
            own.start()
            self.own, self.loop, self._thread = own, own.loop, own.ident
            return True

    def stop_thread(self, patience: float | None) -> bool:
        """End the thread of one's own, and wait for that at most ``patience`` seconds; False without one."""
        own = self.own
        if own is not None:
            own.stop(patience)
        elif self._ending is not None:  # stopped by another, it may still be about to close its loop
            self._ending.stop(patience)
        return own is not None

    def forget(self) -> None:
        """In a forked process: the loop and the thread are the parent's."""
        # Kept, for a loop that is collected unregisters its wake-up socket with the selector that both processes share.
        self._inherited = self.loop
        self._moving = threading.Lock()
        self._ending = None
        self._leave()

    def _leave(self) -> None:
        self.own = self.loop = None

    @property
    def is_here(self) -> bool:
        """Whether this is the thread that the loop runs or rests in."""
        return self._thread == threading.get_ident()

    @property
    def is_elsewhere(self) -> bool:
        """Whether the loop runs, in another thread than this."""
        own, loop = self.own, self.loop  # the own thread may end meanwhile
        if own is not None:
            return not own.is_here
        return loop is not None and not self.is_here and loop.is_running() and running_loop() is not loop

    @property
    def rests_here(self) -> bool:
        """Whether this is the loop's thread, and nothing runs in it."""
        loop = self.loop
        return (
            loop is not None
            and self.is_here
            and not loop.is_closed()
            and not loop.is_running()
            and running_loop() is None
        )

    def refuse_elsewhere(self) -> None:
        """Raise ``RuntimeError`` in another thread than that of the loop, while somebody lives in it."""
        if self.is_here or self.loop is None:
            return
        if self.own is not None or not self._is_vacant():
            raise RuntimeError(
                "connector.ib belongs to the thread of its event loop, and this is another one: use"
                " connector.call(lambda ib: ...), which runs it there"
            )

    def look(self) -> None:
        """Let a loop that rests here take what has come; one that runs does so by itself."""
        if self.rests_here:
            assert self.loop is not None
            turn(self.loop)

    def run(self, what: str, instead: str, work: Work[T], timeout: float | None = None) -> T:
        """Block until the work is done in the loop. Raises ``RuntimeError`` where that would block the loop itself."""
        if self.is_elsewhere:
            return self._cross(work, timeout)
        running = running_loop()
        if running is not None and not getattr(running, "_nest_patched", False):
            if self.own is not None:
                raise RuntimeError(
                    f"{what} in the connector's own thread would wait for itself, for ever; there, use {instead}"
                )
            raise RuntimeError(
                f"{what} would block the running event loop: use {instead}, or give the connector a thread of its own"
                " with connector.start_in_thread()"
            )
        return run_in_script(self._loop_to_run(), _within(work, timeout))

    async def join(self, work: Work[T]) -> T:
        """As ``run``, for coroutines: whatever loop runs here goes on meanwhile."""
        if not self.is_elsewhere:
            return await work()
        return await run_elsewhere_async(lambda: _within(work, None), self._hand_over)

    def give(self, command: Callable[[], T]) -> T:
        """A short command, which awaits nothing, given in the loop; what it returns or raises."""

        async def obey() -> T:
            return command()

        if self.is_elsewhere:
            return self._cross(obey, None)
        if self.rests_here:
            assert self.loop is not None
            self.look()
            return self.loop.run_until_complete(obey())
        return command()

    def _loop_to_run(self) -> asyncio.AbstractEventLoop:
        """The loop to run here. Raises ``RuntimeError`` when somebody lives in another thread's, which rests."""
        if self.loop is None or self.loop.is_closed() or self._is_vacant():
            return script_loop()
        if self.is_here:
            return self.loop
        raise RuntimeError(
            "the connector lives in an event loop that rests in another thread, and cannot be reached from here: start"
            " it with connector.start_in_thread() to use it from every thread"
        )

    def _cross(self, work: Work[T], timeout: float | None) -> T:
        try:
            return run_elsewhere(lambda: _carried(work), self._hand_over, timeout)
        except _Carried as carried:
            raise carried.error from None

    def _hand_over(self, errand: Errand[T]) -> None:
        own, loop = self.own, self.loop
        if own is not None:
            own.hand_over(errand)
        elif loop is not None:
            errand.hand_to(loop)
        else:
            raise ConnectionError("the connector's thread was stopped")


class _Carried(Exception):
    """A ``sys.exit()`` on its way to the caller: raised as it is, it would end the loop's thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _carried(work: Work[T]) -> T:
    try:
        return await work()
    except (SystemExit, KeyboardInterrupt) as error:
        raise _Carried(error) from error


async def _within(work: Work[T], seconds: float | None) -> T:
    async with asyncio.timeout(seconds):
        return await work()
