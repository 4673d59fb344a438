"""The driver: one queue of events, taken one by one; each goes through the machine, then its effects are carried out.

Over 300 lines, because it also ends a session that our own mistake has broken, whatever else fails then.
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
from ibkr.core.facts import ClockJumped, Fact, Now, PeerSeen, Timer, TimerFired, TransportEnded
from ibkr.core.machine import Machine
from ibkr.core.status import Status
from ibkr.runtime.effects import CARRY_OUT, Session
from ibkr.runtime.peer import look_at_peer
from ibkr.runtime.pulse import Pulse, pulse_of
from ibkr.runtime.script import running_loop

logger = logging.getLogger("ibkr.runtime")


_ANOTHER_ERROR = "Another internal error while the session was being ended. Please report this, too."
_NEVER = datetime.min.replace(tzinfo=UTC)
_SLACK = 0.01
"""Of the whole wait: so much later may any timer fire. More would break the promise of 6.1 s to a suspicion."""


def now() -> Now:
    """The moment, for the machine; monotonic time is the running loop's, so that a test can hand in its own."""
    loop = running_loop()  # none runs when the program's has ended, and it still wants to know what became of orders
    return Now(time.monotonic() if loop is None else loop.time(), datetime.now(UTC))


def _nobody(_status: Status) -> None:
    """In a forked process nobody is called."""


def together(due: float, slack: float) -> float:
    """A moment at most ``slack`` seconds later, at which the timers of other connectors in this loop come due, too.

    Waking up costs more than what there is to do.
    """
    if slack <= 0:
        return due
    # Each grain is twice the next smaller one, so that different slacks meet; the whole of it at the usual 50 ms.
    grain = math.ldexp(0.05, math.frexp(slack / 0.05)[1] - 1)
    return math.ceil(due / grain) * grain


class Driver:
    """Runs one machine over one session. Everything here happens on the loop that runs it.

    A fact posted while another is being taken waits its turn, a caller's callback included. ``on_status`` is called
    after the orders of the fact that changed the status; ``on_blocked`` with the loop and the seconds that it was
    blocked, if over ``loop_block_warning``; ``stalls`` counts all that were noticed. ``crash`` holds the exception of a
    mistake in our own code.
    """

    def __init__(
        self,
        machine: Machine,
        session: Session,
        on_status: Callable[[Status], None],
        on_blocked: Callable[[asyncio.AbstractEventLoop, float], None],
    ) -> None:
        self._machine = machine
        self._session = session
        self._on_status = on_status
        self._on_blocked = on_blocked
        self._pulse: Pulse | None = None
        self._queue: deque[Fact] = deque()
        self._busy = False
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._fired: set[Timer] = set()
        self._quiet: set[asyncio.Future[None]] = set()
        self._look: asyncio.Task[Failure | None] | None = None
        self.crash: Exception | None = None
        self.stalls = 0
        self.stall_seconds = 0.0

    @property
    def last_beat(self) -> datetime:
        """When the loop last had a turn, to within a beat of its pulse; the earliest of all times if it has none."""
        pulse = self._pulse  # another thread may ask
        return _NEVER if pulse is None else datetime.fromtimestamp(pulse.wall, UTC)

    def post(self, fact: Fact) -> None:
        """Take a fact, or queue it behind the one that is being taken."""
        self._queue.append(fact)
        if not self._busy:
            self._work()

    def look_at_transport(self) -> None:
        """Show the end of the session as soon as nothing can be sent any more, before the loop tells of it."""
        if not self._busy and self._machine.is_in_session:
            self._work(self._take_loss)

    def _work(self, first: Callable[[], None] = lambda: None) -> None:
        """Take what is queued, and what comes to the queue by that."""
        self._busy = True
        try:
            first()
            self._settle()
            while self._queue:
                self._take(self._queue.popleft())
                self._settle()
        finally:
            self._busy = False

    @property
    def silence(self) -> float:
        """Seconds since the socket last brought a byte."""
        return asyncio.get_running_loop().time() - self._session.last_byte

    async def quiet(self) -> None:
        """Wait until nothing is wanted and nothing is left, or until somebody wants a connection again."""
        if self._is_quiet:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._quiet.add(waiter)
        try:
            await waiter
        finally:
            self._quiet.discard(waiter)

    def _take(self, fact: Fact) -> None:
        self._take_loss()
        if isinstance(fact, TimerFired):
            if fact.timer not in self._fired:
                return  # stopped while it waited in the queue, behind a callback that turns the loop itself
            self._fired.remove(fact.timer)
        self._step(fact)

    def _settle(self) -> None:
        """Mind the loop's pulse while a connection is wanted, and let go who waits until nothing is left of it."""
        if (self._pulse is not None) is not self._machine.is_wanted:
            self._mind_pulse()
        if self._look is not None and not self._machine.is_looking:
            self._look.cancel()
        self._tell_quiet()

    @property
    def _is_quiet(self) -> bool:
        return self._machine.is_quiet and self._look is None

    def _tell_quiet(self) -> None:
        if self._is_quiet or self._machine.is_wanted:
            for waiter in self._quiet:
                if not waiter.done():
                    waiter.set_result(None)

    def _step(self, fact: Fact) -> None:
        try:
            if isinstance(fact, TimerFired):
                fact = TimerFired(fact.timer, fact.late, self._session.last_byte, self._session.has_socket)
            orders, crash = self._machine.step(fact, now()), self.crash
            for order in orders:
                self._carry_out(order)
                if self.crash is not crash:
                    return  # broken off meanwhile: the rest is of a session that is over
        except Exception as error:
            self.break_off(f"handling {fact!r}", error)
            return
        published = orders[-1] if orders else None  # a new status is the last that a step orders
        if isinstance(published, do.Publish):
            self._on_status(published.status)

    def _take_loss(self) -> None:
        """No fact is shown in a session in which nothing can be sent any more."""
        try:
            why = self._session.lost_transport if self._machine.is_in_session else ""
        except Exception as error:
            self.break_off("looking at the transport", error)
            return
        if why:
            self._step(TransportEnded(self._machine.attempts, why))

    def blocked(self, seconds: float) -> None:
        """The loop's pulse has noticed a blockage."""
        self.stalls += 1
        self.stall_seconds += seconds
        if seconds > self._machine.policy.loop_block_warning:
            self._on_blocked(asyncio.get_running_loop(), seconds)

    def jumped(self, seconds: float) -> None:
        """The loop's pulse has noticed that the machine slept."""
        if seconds > self._machine.policy.suspend_jump:
            self.post(ClockJumped(seconds))

    def _mind_pulse(self) -> None:
        """Listen to the loop's pulse while a connection is wanted."""
        if self._pulse is not None:
            self._pulse.remove(self)
            self._pulse = None
        if self._machine.is_wanted:
            self._pulse = pulse_of(asyncio.get_running_loop())
            self._pulse.add(self)

    def _carry_out(self, order: do.Effect) -> None:
        match order:
            case do.StartTimer(timer, delay, whole):
                self._start(timer, delay, _SLACK * max(delay, whole))
            case do.StopTimer(timer):
                self._stop(timer)
            case do.Publish():
                pass  # told once all orders are carried out
            case do.Look(attempt, port):
                self._begin_look(attempt, port)
            case _:
                CARRY_OUT[type(order)](self._session, order)

    def _begin_look(self, attempt: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        look = loop.create_task(look_at_peer(self._machine.identity.host, port), name=f"ibkr-look-{attempt}")

        def ended(look: asyncio.Task[Failure | None]) -> None:
            if look is not self._look:
                return  # of a loop that was abandoned
            self._look = None
            if not look.cancelled():
                self.post(PeerSeen(attempt, look.result()))
            self._tell_quiet()

        self._look = look
        look.add_done_callback(ended)

    def _start(self, timer: Timer, delay: float, slack: float) -> None:
        self._stop(timer)
        loop = asyncio.get_running_loop()
        due = together(loop.time() + delay, slack)
        self._timers[timer] = loop.call_at(due, self._fire, timer, due)

    def _stop(self, timer: Timer) -> None:
        self._fired.discard(timer)
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _fire(self, timer: Timer, due: float) -> None:
        del self._timers[timer]
        self._fired.add(timer)
        late = max(0.0, asyncio.get_running_loop().time() - due)
        self.post(TimerFired(timer, late))

    def shut_down(self) -> None:
        """Have the system end the socket, whatever the loop does; nothing else is changed."""
        self._session.shut_down()

    def abandon(self, why: str, *, forked: bool = False) -> None:
        """The loop is gone, with a live connection: nothing of it can be awaited or called any more.

        In a ``forked`` process it is the parent's, and goes on there; nobody is called here.
        """
        self._timers.clear()
        self._look = None
        if self._pulse is not None:
            self._pulse.remove(self)
            self._pulse = None
        self._fired.clear()
        self._queue.clear()
        self._busy = False
        self._survive(self._session.detach if forked else self._session.shut_down)
        self._machine.break_off(why, Now(0.0, datetime.now(UTC)), socket_gone=True)
        on_status = self._on_status
        if forked:
            self._on_status = _nobody
        try:
            self._survive(self._session.abandon)
        finally:
            self._on_status = on_status
        if not forked:
            self._on_status(self._machine.status)

    def break_off(self, what: str, error: Exception) -> None:
        """A mistake in our own code, while doing ``what``: what it would call ready could be a lie.

        The session ends, loudly, and the state is ``FAILED``, whatever else raises on the way.
        """
        if not self._busy:  # what the end of the session posts has to wait until the machine knows
            self._work(lambda: self.break_off(what, error))
            return
        logger.critical("Internal error while %s; the session is ended. Please report this.", what, exc_info=error)
        self.crash = error
        self._queue.clear()
        for timer in list(self._timers):
            self._stop(timer)
        socket_gone = self._end_session()
        self._machine.break_off(f"internal error: {error!r}", now(), socket_gone=socket_gone)
        self._on_status(self._machine.status)

    def _end_session(self) -> bool:
        """End it as far as it can be ended. Whether nothing more will be heard of its socket."""
        socket_gone = True
        try:
            self._session.abort()
            socket_gone = self._session.has_ended
        except Exception:
            logger.critical(_ANOTHER_ERROR, exc_info=True)
            self._survive(self._session.shut_down)
        self._survive(self._session.release)
        return socket_gone

    def _survive(self, end: Callable[[], None]) -> None:
        """Take one step of a session's end. If it fails, the other steps are taken all the same."""
        try:
            end()
        except Exception:
            logger.critical(_ANOTHER_ERROR, exc_info=True)
