"""Supervision: one machine at work in one event loop, what the program asks of it, and waiting for what comes of that.

Over 300 lines, because what the session asks of the connector around it is here, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from ibkr.core.errors import NotReady, connect_error
from ibkr.core.facts import ConnectWanted, DisconnectWanted, Fact, ProbeWanted, ReconnectWanted, RetryWanted
from ibkr.core.gap import GapReport
from ibkr.core.machine import Machine
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status
from ibkr.runtime.driver import Driver
from ibkr.runtime.effects import Session
from ibkr.runtime.home import Home
from ibkr.runtime.last_orders import LAST_ORDERS, LastOrders
from ibkr.runtime.limiter import Limiter
from ibkr.runtime.listeners import Listeners
from ibkr.runtime.script import run_in_script, running_loop

S = TypeVar("S", bound=Session)
T = TypeVar("T")

_AT_EXIT = 0.7
"""Seconds that the end of a connection may keep an interpreter from ending."""


class Supervision(Generic[S]):
    """What a connector does, in the event loop of its last ``connect``.

    Every coroutine and every command runs in the loop of ``home``, which knows how a caller gets there.
    """

    def __init__(
        self,
        machine: Machine,
        listeners: Listeners[Status],
        gap_listeners: Listeners[GapReport],
        on_blocked: Callable[[asyncio.AbstractEventLoop, float], None],
        home: Home,
        limiter: Limiter,
        make_session: Callable[[Supervision[S]], S],
    ) -> None:
        self._machine, self._listeners, self._gap_listeners = machine, listeners, gap_listeners
        self._home = home
        self._limiter = limiter
        self.session = session = make_session(self)
        self.driver = Driver(machine, session, listeners.tell, on_blocked)
        self._last_orders = LastOrders(
            home, limiter, machine.policy.disconnect_grace, session.refuse_orders, self.driver.quiet, self._end
        )
        self._is_exiting = False

    # What the session asks.

    def post(self, fact: Fact) -> None:
        """Take an event of the session."""
        self.driver.post(fact)

    def failed(self, what: str, error: Exception) -> None:
        """Our own code has made a mistake while doing this: the session ends, and the state is ``FAILED``."""
        self.driver.break_off(what, error)

    def gap_found(self, report: GapReport) -> None:
        """Take a gap report."""
        self._gap_listeners.tell(report)

    def orders_sent(self) -> None:
        """Orders or cancels were sent, or wait for their turn. In a plain script, returns when they have left."""
        self._last_orders.sent()

    def refuse_elsewhere(self) -> None:
        """Raises ``RuntimeError`` in another thread than that of the event loop."""
        self._home.refuse_elsewhere()

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """Run a blocking call of the client library in the event loop."""
        self._home.refuse_elsewhere()
        return self._home.run(
            "this blocking call of the client library", "its coroutine: 'await ib.req...Async(...)'", work, timeout
        )

    def run_until_over(self) -> None:
        """Block until no connection is wanted any more; see ``IBConnector.run``."""
        self.require_wanted("run()")
        self._home.run("run()", "'async for status in connector.changes()'", self._until_over)

    def disconnect(self) -> bool:
        """End the connection, from any thread; see ``IBConnector.disconnect``."""
        if self.is_quiet:
            return True
        if self._home.is_elsewhere or self._home.rests_here:
            return self._home.run("disconnect()", "'await connector.disconnect_async()'", self.disconnect_async)
        return self._disconnect_now()

    # What the program asks.

    @property
    def status(self) -> Status:
        """How the connection stands; as of now in the loop's own thread, and in others when the loop last had a say."""
        status = self.latest
        if self._home.is_here or self._machine.is_quiet:
            return replace(status, as_of=datetime.now(UTC))
        return replace(status, as_of=max(status.as_of, self.driver.last_beat))

    @property
    def latest(self) -> Status:
        """The status; a loop that was closed under a live connection has ended it, and nobody was there to say so."""
        loop = self._home.loop
        if loop is not None and loop.is_closed() and not self._machine.is_quiet:
            self.driver.abandon("the event loop that it lived in was closed")
        elif self._home.is_here and running_loop() is loop:
            self.driver.look_at_transport()
        return self._machine.status

    @property
    def is_over(self) -> bool:
        """Whether no connection is wanted, or it was given up."""
        return self.latest.state.is_over

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is wanted and nothing is left, so that another loop may begin."""
        _ = self.latest
        return self._machine.is_quiet

    def begin(self, *, wait: bool) -> bool:
        """Want a connection, in the running loop; whether none was wanted before."""
        if self.is_quiet:
            self._home.settle()
        was_over = self.is_over
        if was_over:
            self.driver.crash = None
        self._tell(ConnectWanted(None if wait else self._machine.policy.connect_attempts))
        return was_over

    async def connect(self, *, wait: bool) -> bool:
        """Connect in the running loop; see ``IBConnector.connect``. Cancelled, it gives up."""
        began = self.begin(wait=wait)
        try:
            await self._until(_is_settled)
        except asyncio.CancelledError:
            if began:
                self._tell(DisconnectWanted(abort=True))
            raise
        status = self._machine.status  # a callback may have gone on from there
        if status.state is ConnectionState.FAILED:
            raise self._connect_error()
        return status.is_connected

    async def disconnect_async(self) -> bool:
        """End the connection in good order, behind orders that wait; True when its socket has ended."""
        await self._last_orders.leave(LAST_ORDERS if self._is_exiting else None)
        return await self._end()

    async def _end(self) -> bool:
        if not self.is_quiet:
            self._tell(DisconnectWanted(abort=False))
            await self.driver.quiet()
        return not self.latest.is_connected

    def _disconnect_now(self) -> bool:
        """End the socket at once, and every attempt at one; True when that is so.

        Orders and cancels that wait for their turn are written first.
        """
        self._limiter.hurry()
        if not self.is_quiet:
            self._tell(DisconnectWanted(abort=True))
        return not self.latest.is_connected

    def reconnect(self) -> None:
        """Drop the session and come back now. Raises ``NotReady`` when no connection is wanted."""
        self._command("reconnect()", ReconnectWanted())

    def retry_now(self) -> None:
        """While waiting for the next attempt, make it now. Raises ``NotReady`` when no connection is wanted."""
        self._command("retry_now()", RetryWanted())

    async def ensure_fresh(self, max_age: float, ask: Callable[[], Awaitable[object]]) -> None:
        """Have the gateway answer, if its last byte is older; see ``IBConnector.ensure_fresh_async``.

        ``ask`` awaits an answer of its, one that was not on its way already.
        """
        if not self.latest.is_connected:
            raise NotReady(f"there is no session: {self.status}", self.status)
        if self.driver.silence <= max_age:
            return
        policy = self._machine.policy
        try:
            async with asyncio.timeout(policy.probe_apart + policy.suspect_after):
                self._tell(ProbeWanted())
                await ask()
        except (TimeoutError, ConnectionError) as error:
            raise NotReady(f"the session may be dead, do not send an order: {self.status}", self.status) from error

    async def wait_ready(self, seconds: float | None) -> Status:
        """The status, once it is ``READY``; see ``IBConnector.wait_ready_async``."""
        try:
            async with asyncio.timeout(seconds):
                await self._until(_is_ready_or_over)
                while not _is_ready_or_over(status := self._machine.status):
                    await self._until(_is_ready_or_over)
        except TimeoutError as error:
            raise NotReady(f"not ready after {seconds:g} s: {self.status}", self.status) from error
        if status.state is not ConnectionState.READY:
            raise NotReady(f"not ready, and nothing is under way: {status}", status)
        return status

    async def changes(self) -> AsyncIterator[Status]:
        """The status now, then every new one; a slow reader gets the latest. Ends when its reader does."""
        changed = asyncio.Event()
        here = asyncio.get_running_loop()

        def note(_: Status) -> None:
            if self._home.loop is here:
                changed.set()
            else:
                here.call_soon_threadsafe(changed.set)

        remove = self._listeners.add(note)
        try:
            while True:
                changed.clear()
                yield self.status
                await changed.wait()
        finally:
            remove()

    async def _until_over(self) -> None:
        """Until no connection is wanted any more. Raises the cause when it was given up."""
        while not self.is_over:
            await self._until(lambda status: status.state.is_over)
        if self._machine.status.state is ConnectionState.FAILED:
            raise self._connect_error()

    def require_wanted(self, what: str) -> None:
        """Raises ``NotReady`` when no connection is wanted."""
        if self.is_over:
            status = self._machine.status
            raise NotReady(f"{what} needs a connection: call connect() first. {status}", status)

    def _tell(self, fact: Fact) -> None:
        """Tell the machine. Raises ``RuntimeError`` in another loop than its own."""
        if running_loop() is not self._home.loop:
            status = self._machine.status
            raise RuntimeError(
                f"the connection to {status.endpoint} ({status}) belongs to another event loop: call it where connect()"
                " was called, or disconnect first"
            )
        self.driver.post(fact)

    def start_thread(self, name: str) -> bool:
        """Live in a thread of this name; False when that is so already. See ``IBConnector.start_in_thread``."""
        return self._home.start_thread(name, self.disconnect_async, self._thread_ended)

    def stop_thread(self, patience: float | None = None) -> bool:
        """End the connection and its own thread, and wait for that at most ``patience`` seconds; False without one."""
        return self._home.stop_thread(patience)

    def exit(self) -> None:
        """The interpreter ends: so does the connection, in good order where its loop can still be run.

        Orders that wait have ``LAST_ORDERS`` seconds; if an exception has ended the program, cancels alone are sent.
        """
        self._is_exiting = True
        self._last_orders.refuse_new(getattr(sys, "last_value", None))
        if self.stop_thread(_AT_EXIT + (LAST_ORDERS if self._limiter.holds_orders else 0)):
            return
        if self._machine.is_quiet:
            return
        if self._home.rests_here:
            assert self._home.loop is not None
            run_in_script(self._home.loop, self.disconnect_async())
        else:
            self.driver.shut_down()

    def forked(self) -> None:
        """A forked process has no connection: the socket that it has inherited is its parent's."""
        self._home.forget()
        if not self._machine.is_quiet:
            self.driver.abandon(f"this process was forked from {os.getppid()}, which has the connection", forked=True)

    def _thread_ended(self) -> None:
        if not self._machine.is_quiet:  # broken off, by a SystemExit in a callback for one
            self.driver.abandon("the thread that it lived in was broken off")

    def _command(self, name: str, fact: Fact) -> None:
        self.require_wanted(name)
        self._tell(fact)

    async def _until(self, holds: Callable[[Status], bool]) -> Status:
        """The first status, from now on, of which ``holds`` is true."""
        return self.status if holds(self._machine.status) else await self._listeners.first(holds)

    def _connect_error(self) -> Exception:
        if self.driver.crash is not None:
            return RuntimeError(f"internal error, please report it: {self.driver.crash!r}")
        failure = self._machine.failure
        assert failure is not None, "FAILED without a failure"
        status = self._machine.status
        return connect_error(failure, status.endpoint, status.client_id, self._machine.attempts_made)


def _is_settled(status: Status) -> bool:
    degraded = status.state is ConnectionState.DEGRADED and status.is_connected
    return degraded or _is_ready_or_over(status)


def _is_ready_or_over(status: Status) -> bool:
    return status.state is ConnectionState.READY or status.state.is_over
