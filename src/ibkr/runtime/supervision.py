"""Supervision: runs one state machine in one event loop, accepts the program's commands, and waits for their results.

This file has over 300 lines because it also implements what a session needs of the connector.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from ibkr.core.errors import NotReady, connect_error
from ibkr.core.events import (
    ConnectRequested,
    DisconnectRequested,
    Event,
    ProbeRequested,
    ReconnectRequested,
    RetryRequested,
)
from ibkr.core.frozen_record import replace
from ibkr.core.gap_report import GapReport
from ibkr.core.machine import Machine
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status
from ibkr.core.subscription_info import SubscriptionStatus
from ibkr.runtime.driver import Driver
from ibkr.runtime.effect_runner import SessionProtocol
from ibkr.runtime.listeners import Listeners
from ibkr.runtime.loop_context import LoopContext, check_seconds
from ibkr.runtime.process_exit import FLUSH_SECONDS, FinalFlush
from ibkr.runtime.rate_limiter import RateLimiter
from ibkr.runtime.script_loop import run_in_script, running_loop

S = TypeVar("S", bound=SessionProtocol)
T = TypeVar("T")

_EXIT_SECONDS = 0.7
"""Seconds that ending a connection may delay the end of the interpreter."""


class FleetMembership(Protocol):
    """What supervision needs of a program's membership in a fleet."""

    def why_not_held(self) -> str:
        """Why the lease cannot be trusted now. Empty if it can be trusted."""

    def leave_now(self) -> None:
        """Leave the fleet, and wait briefly for the end."""

    def after_fork(self) -> None:
        """Called in a forked process."""


class Supervision(Generic[S]):
    """Does the work of a connector, in the event loop of its last ``connect``.

    Every coroutine and every command runs in the loop of ``context``. ``context`` passes the calls to this loop.
    """

    def __init__(
        self,
        machine: Machine,
        listeners: Listeners[Status],
        gap_listeners: Listeners[GapReport],
        subscription_listeners: Listeners[SubscriptionStatus],
        on_blocked: Callable[[asyncio.AbstractEventLoop, float], None],
        context: LoopContext,
        limiter: RateLimiter,
        make_session: Callable[[Supervision[S]], S],
        make_fleet: Callable[[Supervision[S]], FleetMembership] | None = None,
    ) -> None:
        self._fleet: FleetMembership | None = None  # set first: if this method fails, the library's finalizer uses it
        self._machine, self._listeners, self._gap_listeners = machine, listeners, gap_listeners
        self._subscription_listeners = subscription_listeners
        self._context = context
        self._limiter = limiter
        self.session = session = make_session(self)
        self.driver = Driver(machine, session, listeners.notify, on_blocked)
        self._final_flush = FinalFlush(
            context, limiter, machine.policy.disconnect_grace, session.refuse_orders, self.driver.wait_quiet, self._end
        )
        self._is_exiting = False
        if make_fleet is not None:
            self._fleet = make_fleet(self)

    # Called by the session.

    def post(self, event: Event) -> None:
        """Process an event of the session. In another thread, pass the event to the loop, which processes it later.

        A thread may halt orders while the loop of a script does not run. If that thread processed the event itself,
        the script could run the loop at the same time. Besides, the effects of the event need the running loop.
        """
        if self._context.in_loop_thread:
            self.driver.post(event)
        else:
            self._context.call_soon(lambda: self.driver.post(event))

    def failed(self, what: str, error: Exception) -> None:
        """An error in our own code occurred while doing ``what``: end the session. The state becomes ``FAILED``."""
        self.driver.break_off(what, error)

    def gap_found(self, report: GapReport) -> None:
        """Publish a gap report."""
        self._gap_listeners.notify(report)

    @property
    def has_subscription_listeners(self) -> bool:
        """Whether any listener wants changes of single subscriptions."""
        return bool(len(self._subscription_listeners))

    def subscriptions_changed(self, changed: tuple[SubscriptionStatus, ...]) -> None:
        """Publish changed subscriptions, in a separate callback of the loop."""
        loop = self._context.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon(self._post_subscriptions, changed)

    def _post_subscriptions(self, changed: tuple[SubscriptionStatus, ...]) -> None:
        for each in changed:
            self._subscription_listeners.notify(each)

    def orders_sent(self) -> None:
        """Orders or cancels were sent or are waiting. In a plain script, return when they are sent."""
        self._final_flush.order_sent()

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` if this is not the event loop's thread."""
        self._context.check_thread()

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """Run a blocking call of the client library in the event loop."""
        self._context.check_thread()
        return self._context.run(
            "this blocking call of the client library", "its coroutine: 'await ib.req...Async(...)'", work, timeout
        )

    def run_until_over(self) -> None:
        """Block until a connection is no longer requested. See ``IBConnector.run``."""
        self.require_wanted("run()")
        self._context.run("run()", "'async for status in connector.changes()'", self._wait_until_over)

    def disconnect(self) -> bool:
        """End the connection, from any thread. See ``IBConnector.disconnect``."""
        if self.is_quiet:
            return True
        if not self._context.in_loop_thread or self._context.is_idle_here:
            return self._context.run("disconnect()", "'await connector.disconnect_async()'", self.disconnect_async)
        return self._disconnect_now()

    # Called by the connector.

    @property
    def status(self) -> Status:
        """The status as of now. In another thread, ``as_of`` is the time when the loop last ran."""
        status = self.latest
        if self._context.in_loop_thread or self._machine.is_quiet:
            return replace(status, as_of=datetime.now(UTC))
        return replace(status, as_of=max(status.as_of, self.driver.last_loop_check))

    @property
    def latest(self) -> Status:
        """The last known status. If the loop was closed while connected, this ends the connection first."""
        loop = self._context.loop
        if loop is not None and loop.is_closed() and not self._machine.is_quiet:
            self.driver.abandon("its event loop was closed")
        elif self._context.in_loop_thread and running_loop() is loop:
            self.driver.check_transport()
        status = self._machine.status
        if self._fleet is not None and status.may_trade and (why := self._fleet.why_not_held()):
            return replace(status, may_trade=False, may_trade_reason=why)  # the event loop does not know it yet
        return status

    @property
    def is_over(self) -> bool:
        """Whether no connection is requested, or the connector stopped trying."""
        return self.latest.state.is_over

    @property
    def is_quiet(self) -> bool:
        """Whether no connection is requested and all its parts have ended, so that another loop may be used."""
        _ = self.latest
        return self._machine.is_quiet

    def begin(self, *, wait: bool) -> bool:
        """Request a connection in the running loop. Returns True if no connection was requested before."""
        if self.is_quiet:
            self._context.use_running_loop()
        was_unwanted = self.is_over
        if was_unwanted:
            self.driver.crash = None
            self.session.prepare()
        self._post_event(ConnectRequested(None if wait else self._machine.policy.connect_attempts))
        return was_unwanted

    async def connect(self, *, wait: bool) -> bool:
        """Connect in the running loop. See ``IBConnector.connect``. If cancelled, stop connecting."""
        began = self.begin(wait=wait)
        try:
            await self._wait_until(_is_settled)
        except asyncio.CancelledError:
            if began:
                self._post_event(DisconnectRequested(abort=True))
            raise
        status = self._machine.status  # a callback may have changed the state again
        if status.state is ConnectionState.FAILED:
            raise self._connect_error()
        return status.is_connected

    async def disconnect_async(self) -> bool:
        """Send waiting orders, then end the connection properly. Returns True when its socket has ended."""
        await self._final_flush.flush(FLUSH_SECONDS if self._is_exiting else None)
        return await self._end()

    async def _end(self) -> bool:
        if not self.is_quiet:
            self._post_event(DisconnectRequested(abort=False))
            await self.driver.wait_quiet()
        return not self.latest.is_connected

    def _disconnect_now(self) -> bool:
        """End the socket and every attempt immediately. Returns True when that is done.

        Waiting orders and cancels are written first.
        """
        self._limiter.send_orders_now()
        if not self.is_quiet:
            self._post_event(DisconnectRequested(abort=True))
        return not self.latest.is_connected

    def reconnect(self) -> None:
        """Drop the session and reconnect now. Raises ``NotReady`` if no connection is requested."""
        self._command("reconnect()", ReconnectRequested())

    def retry_now(self) -> None:
        """Make the next attempt now. Raises ``NotReady`` if no connection is requested."""
        self._command("retry_now()", RetryRequested())

    async def ensure_fresh(self, max_age: float, ask: Callable[[], Awaitable[object]]) -> None:
        """Make sure that the gateway has answered within ``max_age`` seconds. See ``IBConnector.ensure_fresh_async``.

        ``ask`` requests an answer and waits for it. While messages arrive, ``ask`` may take longer.
        """
        check_seconds(max_age)
        if not self.latest.is_connected:
            raise NotReady(f"there is no session: {self.status}", self.status)
        if self.driver.answer_age <= max_age:
            return
        policy, loop = self._machine.policy, asyncio.get_running_loop()
        began, timeout = loop.time(), policy.probe_apart + policy.suspect_after
        longest = began + policy.probe_apart + policy.probe_timeout + policy.lateness_tolerance
        try:
            self._post_event(ProbeRequested())
            answer = asyncio.ensure_future(ask())
            try:
                while not (await asyncio.wait({answer}, timeout=timeout))[0]:
                    timeout = min(policy.suspect_after - self.driver.silence, longest - loop.time())
                    if timeout <= 0:
                        raise TimeoutError
                await answer
            finally:
                answer.cancel()
        except (TimeoutError, ConnectionError) as error:
            raise NotReady(f"the session may be dead, do not send an order: {self.status}", self.status) from error

    async def wait_ready(self, seconds: float | None) -> Status:
        """Wait until the status is ``READY``. See ``IBConnector.wait_ready_async``."""
        check_seconds(seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._wait_until(_is_ready_or_over)
                while not _is_ready_or_over(status := self._machine.status):
                    await self._wait_until(_is_ready_or_over)
        except TimeoutError as error:
            raise NotReady(f"not ready after {seconds:g} s: {self.status}", self.status) from error
        if status.state is not ConnectionState.READY:
            raise NotReady(f"not ready, and no connection is in progress: {status}", status)
        return status

    async def changes(self) -> AsyncIterator[Status]:
        """Yield the status now, then every new status. A slow reader gets the latest. Ends when the reader stops."""
        changed = asyncio.Event()
        here = asyncio.get_running_loop()

        def note(_: Status) -> None:
            if self._context.loop is here:
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

    async def _wait_until_over(self) -> None:
        """Wait until a connection is no longer requested. Raises the cause if the connector stopped trying."""
        while not self.is_over:
            await self._wait_until(lambda status: status.state.is_over)
        if self._machine.status.state is ConnectionState.FAILED:
            raise self._connect_error()

    def require_wanted(self, what: str) -> None:
        """Raise ``NotReady`` if no connection is requested."""
        if self.is_over:
            status = self._machine.status
            raise NotReady(f"{what} needs a connection: call connect() first. {status}", status)

    def _post_event(self, event: Event) -> None:
        """Post an event. Raises ``RuntimeError`` in a loop other than the connector's."""
        if running_loop() is not self._context.loop:
            status = self._machine.status
            raise RuntimeError(
                f"the connection to {status.endpoint} ({status}) belongs to another event loop: call it where connect()"
                " was called, or disconnect first"
            )
        self.driver.post(event)

    def start_thread(self, name: str) -> bool:
        """Start the connector's own thread. Returns False if there is one. See ``IBConnector.start_in_thread``."""
        return self._context.start_thread(name, self.disconnect_async, self._thread_ended)

    def stop_thread(self, timeout: float | None = None) -> bool:
        """End the connection and its thread, and wait at most ``timeout`` seconds. Returns False without a thread."""
        return self._context.stop_thread(timeout)

    def at_exit(self) -> None:
        """End the connection because the interpreter ends. If the loop can still run, end the connection properly.

        Waiting orders are sent for up to ``FLUSH_SECONDS`` seconds. If an exception ended the program, only cancels are
        sent.
        """
        self._is_exiting = True
        self._final_flush.refuse_new_orders(getattr(sys, "last_value", None))
        self._end_at_exit()
        if self._fleet is not None:
            self._fleet.leave_now()

    def _end_at_exit(self) -> None:
        if self.stop_thread(_EXIT_SECONDS + (FLUSH_SECONDS if self._limiter.has_waiting_orders else 0)):
            return
        if self._machine.is_quiet:
            return
        if self._context.is_idle_here:
            assert self._context.loop is not None
            run_in_script(self._context.loop, self.disconnect_async())
        else:
            self.driver.shut_down()

    def after_fork(self) -> None:
        """In a forked process: drop the connection, whose socket belongs to the parent."""
        self._context.after_fork()
        if self._fleet is not None:
            self._fleet.after_fork()
        if not self._machine.is_quiet:
            self.driver.abandon(f"this process was forked from {os.getppid()}, which has the connection", forked=True)

    def _thread_ended(self) -> None:
        if not self._machine.is_quiet:  # for example, a SystemExit in a callback ended the thread
            self.driver.abandon("its thread ended unexpectedly")

    def _command(self, name: str, event: Event) -> None:
        self.require_wanted(name)
        self._post_event(event)

    async def _wait_until(self, condition: Callable[[Status], bool]) -> Status:
        """Return the present status if ``condition`` is true for it, otherwise wait for such a status."""
        return self.status if condition(self._machine.status) else await self._listeners.first(condition)

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
