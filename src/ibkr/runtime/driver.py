"""The driver: takes events from one queue, gives each to the state machine, and carries out the effects.

This file has over 300 lines because it also ends a session after an internal error, even if further steps fail.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from ibkr.core import effects as do
from ibkr.core.errors import Failure
from ibkr.core.events import ClockJumped, Event, Now, PeerIdentified, Timer, TimerFired, TransportClosed
from ibkr.core.machine import Machine
from ibkr.core.status import Status
from ibkr.runtime.effect_runner import EFFECT_RUNNERS, SessionProtocol
from ibkr.runtime.loop_monitor import LoopMonitor, monitor_of
from ibkr.runtime.peer_probe import probe_peer
from ibkr.runtime.script_loop import running_loop

logger = logging.getLogger("ibkr.runtime")


_SECOND_ERROR = "Another internal error while the session was being ended. Please report this, too."
_NEVER = datetime.min.replace(tzinfo=UTC)
_SLACK = 0.01
"""A timer may be late by this fraction of its waiting time. A larger fraction would break the promise to suspect a
silent session within 6.1 s.
"""


def now() -> Now:
    """The current time for the state machine. The monotonic time is the running loop's: tests can replace it."""
    loop = running_loop()  # no loop runs if the program's loop has ended; the program may still ask about its orders
    return Now(time.monotonic() if loop is None else loop.time(), datetime.now(UTC))


def _ignore_status(_status: Status) -> None:
    """Call nobody: used in a forked process."""


def align_due(due: float, slack: float) -> float:
    """A time at most ``slack`` seconds later, at which timers of other connectors in this loop are due, too.

    So the process wakes up less often. To wake it up takes more time than the work itself.
    """
    if slack <= 0:
        return due
    # Each step is twice as long as the next shorter step, so that timers with different slack are due together. A slack
    # of 50 ms gives a step of 50 ms.
    grain = math.ldexp(0.05, math.frexp(slack / 0.05)[1] - 1)
    return math.ceil(due / grain) * grain


class Driver:
    """Runs one state machine with one session. Everything happens in the event loop.

    If an event is posted while another event is processed, for example by a user's callback, it waits in the queue.

    Attributes:
        crash: The exception of an internal error, if there was one.
        stalls: How often the event loop was blocked.
        stall_seconds: How long the event loop was blocked in total.
    """

    def __init__(
        self,
        machine: Machine,
        session: SessionProtocol,
        on_status: Callable[[Status], None],
        on_blocked: Callable[[asyncio.AbstractEventLoop, float], None],
    ) -> None:
        self._machine = machine
        self._session = session
        self._on_status = on_status
        self._on_blocked = on_blocked
        self._monitor: LoopMonitor | None = None
        self._queue: deque[Event] = deque()
        self._busy = False
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._due_timers: set[Timer] = set()
        self._quiet_waiters: set[asyncio.Future[None]] = set()
        self._peer_probe: asyncio.Task[Failure | None] | None = None
        self.crash: Exception | None = None
        self.stalls = 0
        self.stall_seconds = 0.0

    @property
    def last_loop_check(self) -> datetime:
        """When the loop last ran, exact to one period of its monitor. ``datetime.min`` if the loop has no monitor."""
        monitor = self._monitor  # another thread may call this
        return _NEVER if monitor is None else datetime.fromtimestamp(monitor.checked_at, UTC)

    def post(self, event: Event) -> None:
        """Process an event, or queue it behind the event that is being processed."""
        self._queue.append(event)
        if not self._busy:
            self._process_queue()

    def check_transport(self) -> None:
        """If nothing can be sent any more, report the end of the session now, before the event loop reports it."""
        if not self._busy and self._machine.is_in_session:
            self._process_queue(self._check_transport_loss)

    def _process_queue(self, first: Callable[[], None] | None = None) -> None:
        """Process the queued events, and the events that are queued during this."""
        self._busy = True
        try:
            if first is not None:
                first()
                self._after_step()
            while self._queue:
                self._process(self._queue.popleft())
                self._after_step()
        finally:
            self._busy = False

    @property
    def silence(self) -> float:
        """Seconds since a message was last decoded."""
        return asyncio.get_running_loop().time() - self._session.last_message

    @property
    def answer_age(self) -> float:
        """Seconds since the gateway last answered a request."""
        return asyncio.get_running_loop().time() - self._session.last_answer

    async def wait_quiet(self) -> None:
        """Wait until no connection is requested and all its parts have ended, or until one is requested again."""
        if self._is_quiet:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._quiet_waiters.add(waiter)
        try:
            await waiter
        finally:
            self._quiet_waiters.discard(waiter)

    def _process(self, event: Event) -> None:
        self._check_transport_loss()
        if isinstance(event, TimerFired):
            if event.timer not in self._due_timers:
                return  # a callback ran the loop itself, and so stopped the timer while its event was queued
            self._due_timers.remove(event.timer)
        self._step(event)

    def _after_step(self) -> None:
        """Update the loop monitor, cancel an unneeded peer probe, and wake up waiters."""
        if (self._monitor is not None) is not self._machine.is_wanted:
            self._update_monitor()
        if self._peer_probe is not None and not self._machine.is_identifying_peer:
            self._peer_probe.cancel()
        if self._quiet_waiters:
            self._wake_quiet_waiters()

    @property
    def _is_quiet(self) -> bool:
        return self._machine.is_quiet and self._peer_probe is None

    def _wake_quiet_waiters(self) -> None:
        if self._is_quiet or self._machine.is_wanted:
            for waiter in self._quiet_waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _step(self, event: Event) -> None:
        try:
            if isinstance(event, TimerFired):
                event = TimerFired(event.timer, event.late, self._session.last_message, self._session.has_socket)
            effects, crash = self._machine.step(event, now()), self.crash
            for effect in effects:
                self._run_effect(effect)
                if self.crash is not crash:
                    return  # this effect has ended the session; the remaining effects belong to that session
        except Exception as error:
            self.break_off(f"handling {event!r}", error)
            return
        last = effects[-1] if effects else None  # a new status is the last effect of a step
        if isinstance(last, do.PublishStatus):
            self._on_status(last.status)

    def _check_transport_loss(self) -> None:
        """If messages can no longer be sent, process this first: such a session must process no other event."""
        try:
            why = self._session.lost_transport if self._machine.is_in_session else ""
        except Exception as error:
            self.break_off("checking the transport", error)
            return
        if why:
            self._step(TransportClosed(self._machine.attempts, why))

    def blocked(self, seconds: float) -> None:
        """Count a blockage of the loop, which the loop monitor has seen. Log a long blockage."""
        self.stalls += 1
        self.stall_seconds += seconds
        if seconds > self._machine.policy.loop_block_warning:
            self._on_blocked(asyncio.get_running_loop(), seconds)

    def jumped(self, seconds: float) -> None:
        """Report a long clock jump, which the loop monitor has seen, to the state machine."""
        if seconds > self._machine.policy.suspend_jump:
            self.post(ClockJumped(seconds))

    def _update_monitor(self) -> None:
        """Monitor the loop while a connection is requested."""
        if self._monitor is not None:
            self._monitor.remove(self)
            self._monitor = None
        if self._machine.is_wanted:
            self._monitor = monitor_of(asyncio.get_running_loop())
            self._monitor.add(self)

    def _run_effect(self, effect: do.Effect) -> None:
        match effect:
            case do.StartTimer(timer, delay, whole):
                self._start_timer(timer, delay, _SLACK * max(delay, whole))
            case do.StopTimer(timer):
                self._stop_timer(timer)
            case do.PublishStatus():
                pass  # reported after all effects are carried out
            case do.IdentifyPeer(attempt, port):
                self._start_peer_probe(attempt, port)
            case _:
                EFFECT_RUNNERS[type(effect)](self._session, effect)

    def _start_peer_probe(self, attempt: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        probe = loop.create_task(probe_peer(self._machine.identity.host, port), name=f"ibkr-look-{attempt}")

        def ended(probe: asyncio.Task[Failure | None]) -> None:
            if probe is not self._peer_probe:
                return  # the probe belongs to a loop that was abandoned
            self._peer_probe = None
            if not probe.cancelled():
                self.post(PeerIdentified(attempt, probe.result()))
            self._wake_quiet_waiters()

        self._peer_probe = probe
        probe.add_done_callback(ended)

    def _start_timer(self, timer: Timer, delay: float, slack: float) -> None:
        self._stop_timer(timer)
        loop = asyncio.get_running_loop()
        due = align_due(loop.time() + delay, slack)
        self._timers[timer] = loop.call_at(due, self._timer_due, timer, due)

    def _stop_timer(self, timer: Timer) -> None:
        self._due_timers.discard(timer)
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _timer_due(self, timer: Timer, due: float) -> None:
        del self._timers[timer]
        self._due_timers.add(timer)
        late = max(0.0, asyncio.get_running_loop().time() - due)
        self.post(TimerFired(timer, late))

    def shut_down(self) -> None:
        """Let the operating system end the socket. This works in every state of the loop. Nothing else changes."""
        self._session.shut_down()

    def abandon(self, why: str, *, forked: bool = False) -> None:
        """End a live connection whose loop is gone: nothing in that loop can be awaited or called.

        In a ``forked`` process, the connection belongs to the parent and continues there. No listener is called.
        """
        self._timers.clear()
        self._peer_probe = None
        if self._monitor is not None:
            self._monitor.remove(self)
            self._monitor = None
        self._due_timers.clear()
        self._queue.clear()
        self._busy = False
        self._run_guarded(self._session.detach if forked else self._session.shut_down)
        self._machine.break_off(why, Now(0.0, datetime.now(UTC)), socket_gone=True)
        on_status = self._on_status
        if forked:
            self._on_status = _ignore_status
        try:
            self._run_guarded(self._session.abandon)
        finally:
            self._on_status = on_status
        if not forked:
            self._on_status(self._machine.status)

    def break_off(self, what: str, error: Exception) -> None:
        """Handle an error in our own code that occurred while doing ``what``.

        The session ends with a critical log message, and the state is ``FAILED``, even if further steps raise. If the
        session continued, it could report ``READY`` wrongly.
        """
        if not self._busy:  # events of the session's end must wait until the state machine knows about the error
            self._process_queue(lambda: self.break_off(what, error))
            return
        logger.critical("Internal error while %s; the session is ended. Please report this.", what, exc_info=error)
        self.crash = error
        self._queue.clear()
        for timer in list(self._timers):
            self._stop_timer(timer)
        socket_gone = self._end_broken_session()
        self._machine.break_off(f"internal error: {error!r}", now(), socket_gone=socket_gone)
        self._on_status(self._machine.status)

    def _end_broken_session(self) -> bool:
        """End the session as far as possible. Returns whether no further event of its socket will come."""
        socket_gone = True
        try:
            self._session.abort_socket()
            socket_gone = self._session.has_ended
        except Exception:
            logger.critical(_SECOND_ERROR, exc_info=True)
            self._run_guarded(self._session.shut_down)
        self._run_guarded(self._session.end_subscriptions)
        return socket_gone

    def _run_guarded(self, end: Callable[[], None]) -> None:
        """Run one step of a session's end. If the step fails, log this; the other steps still run."""
        try:
            end()
        except Exception:
            logger.critical(_SECOND_ERROR, exc_info=True)
