"""Run work in an event loop of another thread, and wait for its result.

A waiting thread wakes up in short slices: on Windows, Ctrl-C does not interrupt a wait without a timeout.
``concurrent.futures`` is not used, because it takes its locks in several steps. If a signal handler raises between two
steps, as the handler of Ctrl-C does, the lock is never released, and the event loop would wait for the lock forever.
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
_REST_SECONDS = 10.0
"""Seconds that the loop of a plain script may rest while a call of another thread is half done."""
_LOOP_ENDED = "the connector's event loop ended before the call was done"


class LoopRests(RuntimeError):
    """The loop belongs to another thread and does not run. The work has not begun, and will never begin."""

    def __init__(self) -> None:
        super().__init__(
            "the connector's event loop belongs to another thread and does not run: start the connector with"
            " connector.start_in_thread() to use it from any thread"
        )


class CrossThreadCall(Generic[T]):
    """Work to run in an event loop of another thread. That loop calls ``on_done`` with the finished task.

    The loop can be the loop of a plain script. Such a loop can stop at any moment. Then it does not run until the
    script waits again.
    """

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, T]], on_done: Callable[[asyncio.Task[T]], object]
    ) -> None:
        self._work, self._on_done = work, on_done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._permit = [True]
        """Has one item until the loop takes it to begin the work, or the caller takes it to withdraw the work."""
        self._may_rest = False
        self._ran_at = 0.0

    def start_in(self, loop: asyncio.AbstractEventLoop, *, may_rest: bool) -> None:
        """Start the work in this loop. Call this once. Raises ``RuntimeError`` if the loop is closed.

        ``may_rest``: the loop may stop and run again later. Otherwise the loop runs until it is closed.
        """
        self._loop, self._may_rest = loop, may_rest
        self._note_turn()
        loop.call_soon_threadsafe(self._start)

    @property
    def is_abandoned(self) -> bool:
        """Whether the loop no longer runs."""
        loop = self._loop
        return loop is None or loop.is_closed() or not (loop.is_running() or threading.main_thread().is_alive())

    def cancel(self) -> None:
        """Cancel the work, or prevent its start. Does nothing if the work is done."""
        _take(self._permit)
        if self._loop is None or (self._task is not None and self._task.done()):
            return
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel_task)

    def check_rest(self) -> asyncio.Task[T] | None:
        """If the loop has stopped, end the wait for its result. Call this from time to time while the call is not done.

        Returns:
            The finished task, if the loop stopped before it could call ``on_done``.

        Raises:
            LoopRests: The loop stopped before the work began.
            ConnectionError: The work is half done, and the loop has not run for ``_REST_SECONDS``.
        """
        loop, task = self._loop, self._task
        if loop is None or not self._may_rest or loop.is_running():
            self._note_turn()
            return None
        if task is not None and task.done():
            return task
        if _take(self._permit):
            raise LoopRests
        if time.monotonic() - self._ran_at > _REST_SECONDS:
            raise ConnectionError(
                f"the connector's event loop has not run for {_REST_SECONDS:g} s, and the call is half done: start the"
                " connector with connector.start_in_thread(), or let its thread wait with connector.sleep()"
            )
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._note_turn)  # the loop may run between two of these checks
        return None

    def _note_turn(self) -> None:
        self._ran_at = time.monotonic()

    def _start(self) -> None:
        if self._permit:
            # Create the task here, in the loop. If Ctrl-C arrived between creating a coroutine and scheduling it,
            # Python would warn that the coroutine was never awaited.
            self._task = asyncio.get_running_loop().create_task(_begin(self._permit, self._work))
            self._task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[T]) -> None:
        if not (task.cancelled() or task.cancelling()):
            # Retrieve the exception. Otherwise asyncio would log it if the caller has just stopped waiting.
            task.exception()
        self._on_done(task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _take(permit: list[bool]) -> bool:
    """Whether this caller is the first. A lock is not used, for the reason at the top of this file."""
    try:
        return permit.pop()
    except IndexError:
        return False


async def _begin(permit: list[bool], work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    if not _take(permit):
        raise asyncio.CancelledError  # the caller has withdrawn the work, and does not wait
    return await work()


def run_in_other_loop(
    work: Callable[[], Coroutine[Any, Any, T]], submit: Callable[[CrossThreadCall[T]], None], timeout: float | None
) -> T:
    """Run the work in another loop and return its result.

    Args:
        work: Returns the coroutine to run.
        submit: Passes the call to the other loop.
        timeout: Seconds to wait. ``None`` waits without limit.

    Raises:
        TimeoutError: The timeout has passed. Then the work is cancelled. Ctrl-C cancels it, too.
        ConnectionError: The other loop ended before the work was done, or did not run for too long.
        LoopRests: The other loop stopped before the work began.
    """
    done: SimpleQueue[asyncio.Task[T]] = SimpleQueue()
    call = CrossThreadCall(work, done.put)
    try:
        submit(call)
        return _result(_wait(call, done, timeout))
    finally:
        call.cancel()
        # Otherwise there is a reference cycle: the exception keeps this frame alive, the frame keeps the call, and the
        # call keeps the exception.
        del call


async def run_in_other_loop_async(
    work: Callable[[], Coroutine[Any, Any, T]], submit: Callable[[CrossThreadCall[T]], None]
) -> T:
    """Do the same as ``run_in_other_loop`` from a coroutine. The calling loop keeps running."""
    done: asyncio.Future[asyncio.Task[T]] = asyncio.get_running_loop().create_future()
    call: CrossThreadCall[T] = CrossThreadCall(work, partial(_set_result, done))
    try:
        submit(call)
        return _result(await _wait_async(call, done))
    finally:
        call.cancel()
        del call, done  # otherwise there is a reference cycle, as in run_in_other_loop


def _wait(call: CrossThreadCall[T], done: SimpleQueue[asyncio.Task[T]], timeout: float | None) -> asyncio.Task[T]:
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        is_abandoned = call.is_abandoned
        left = _WAIT_SLICE if until is None else min(_WAIT_SLICE, until - time.monotonic())
        try:
            return done.get(timeout=0 if is_abandoned else max(left, 0))
        except Empty:
            if is_abandoned:
                raise ConnectionError(_LOOP_ENDED) from None
            if (finished := call.check_rest()) is not None:
                return finished
            if left <= 0:
                raise TimeoutError(f"not done within {timeout:g} s, and cancelled") from None


async def _wait_async(call: CrossThreadCall[T], done: asyncio.Future[asyncio.Task[T]]) -> asyncio.Task[T]:
    while True:
        is_abandoned = call.is_abandoned
        if (await asyncio.wait({done}, timeout=_WAIT_SLICE))[0]:
            return done.result()
        if is_abandoned:
            raise ConnectionError(_LOOP_ENDED)
        if (finished := call.check_rest()) is not None:
            return finished


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
        # Otherwise there is a reference cycle: the exception keeps this frame alive, the frame keeps the task, and the
        # task keeps the exception.
        del task


def join_thread(thread: threading.Thread, timeout: float | None) -> None:
    """Wait until the thread has ended, for at most ``timeout`` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    while thread.is_alive() and (until is None or time.monotonic() < until):
        thread.join(_WAIT_SLICE)
