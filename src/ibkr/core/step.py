"""One step of the machine: what a reaction reads and writes, and the orders it gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ibkr.core.calendar import Calendar
from ibkr.core.effects import Abort, Close, Effect, Open, Release, StartTimer, StopTimer
from ibkr.core.facts import Now, Timer
from ibkr.core.policy import Policy
from ibkr.core.situation import Identity, Phase, Session, Situation

_SESSION_TIMERS = (
    Timer.REQUEST,
    Timer.UPSTREAM,
    Timer.RESTORE,
    Timer.LIVENESS,
    Timer.STREAMS,
    Timer.WATCH,
)

_PATIENT_EVERY = 30


END_WITHIN = 30.0
"""Seconds that a socket may take to report its end. Usually it takes one turn of the loop, or the grace."""


class EndLost(Exception):
    """The end of a socket was not told: a mistake in our own code."""


class Step:
    """The situation, the moment, the rules; and the effects collected so far.

    ``shows_nothing``: the reaction has changed nothing that the status is made of. To look is most of a step's cost.
    """

    __slots__ = ("calendar", "effects", "identity", "now", "policy", "roll", "shows_nothing", "situation")

    def __init__(
        self,
        situation: Situation,
        identity: Identity,
        policy: Policy,
        now: Now,
        roll: Callable[[], float],
        calendar: Calendar,
    ) -> None:
        self.situation, self.now = situation, now
        self.identity, self.policy, self.roll, self.calendar = identity, policy, roll, calendar
        self.effects: list[Effect] = []
        self.shows_nothing = False

    def do(self, *effects: Effect) -> None:
        """Add effects, in order."""
        self.effects.extend(effects)

    def open(self) -> None:
        """Begin the next attempt, or first await the end of the old socket."""
        s = self.situation
        s.next_retry_at = None
        if s.socket_open:
            self.end_socket(abort=True)
            s.phase = Phase.CLOSING
            self.watch_end()
            return
        s.phase = Phase.OPENING
        s.attempt += 1
        s.attempts_made += 1
        s.socket_open = True
        s.attempt_started = self.now.mono
        s.session = Session()
        self.do(Open(s.attempt, s.port, s.half_open), StartTimer(Timer.ATTEMPT, self.syn_limit))

    @property
    def syn_limit(self) -> float:
        """Seconds after which the attempt ends if nothing has answered its SYN.

        After a half-open loss it is half as long, so that each SYN is the first of its attempt. The peer answers such a
        SYN with a challenge, and our system sends a second SYN at once only if that was the first. A link that takes
        longer than that to answer has its turn, too.
        """
        s = self.situation
        limit = min(self.policy.syn_timeout, self.identity.timeout)
        return limit / 2 if s.half_open and s.attempts_made % _PATIENT_EVERY else limit

    def wait(self, seconds: float) -> None:
        """Make the next attempt after a pause."""
        s = self.situation
        s.phase = Phase.WAITING
        s.next_retry_at = self.now.wall + timedelta(seconds=seconds)
        self.do(StartTimer(Timer.RETRY, seconds))

    def end_socket(self, *, abort: bool) -> None:
        """End the socket now, or in good order: within ``close_grace``, or ``disconnect_grace`` if nothing follows."""
        s = self.situation
        if not s.socket_open:
            return
        if abort:
            self.do(Abort(s.attempt), StopTimer(Timer.SOCKET_END))
        else:
            grace = self.policy.disconnect_grace if s.phase is Phase.IDLE else self.policy.close_grace
            self.do(Close(s.attempt), StartTimer(Timer.SOCKET_END, grace))

    def watch_end(self) -> None:
        """Nothing else goes on before the socket has ended: do not wait for that without limit."""
        if self.situation.socket_open:
            self.do(StartTimer(Timer.END_WATCH, END_WITHIN))

    def leave_session(self) -> None:
        """Stop what runs only while a session is up."""
        self.do(*(StopTimer(timer) for timer in _SESSION_TIMERS))

    def give_up(self, phase: Phase, *, abort: bool) -> None:
        """Stop everything: nothing is wanted any more, or nothing can be had."""
        s = self.situation
        s.phase = phase
        s.next_retry_at = None
        s.losses.clear()
        s.id_alert = ""
        self.do(StopTimer(Timer.RETRY), StopTimer(Timer.ATTEMPT), StopTimer(Timer.CALENDAR))
        self.leave_session()
        self.do(Release())
        self.end_socket(abort=abort)
        if phase is Phase.IDLE:
            self.watch_end()
