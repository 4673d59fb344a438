"""One step of the state machine: what a reaction reads and changes, and the effects that it adds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ibkr.core.effects import AbortSocket, CloseSocket, Effect, EndSubscriptions, StartAttempt, StartTimer, StopTimer
from ibkr.core.events import Now, Timer
from ibkr.core.machine_state import Identity, MachineState, Phase, SessionInfo
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.policy import Policy

_SESSION_TIMERS = (
    Timer.REQUEST,
    Timer.UPSTREAM,
    Timer.RESTORE,
    Timer.LIVENESS,
    Timer.STREAMS,
    Timer.WATCH,
    Timer.LATE_LOOK,
    Timer.READ_ONLY,
    Timer.RESYNC,
)

_PATIENT_EVERY = 30


END_WITHIN = 30.0
"""Seconds within which a socket must report that it is closed. It usually takes one turn of the loop."""


_LONGEST_WAIT = 1e9
"""Seconds, about 30 years. The end of a longer wait would not fit into a date."""


class SocketCloseLost(Exception):
    """The close of a socket was not reported: a defect in our own code."""


class Step:
    """The ``MachineState``, the time, the policy, and the effects so far.

    A reaction sets ``is_status_unchanged`` if it changed nothing that the status shows. The status is not computed
    then, which saves most of the time of a step.
    """

    __slots__ = ("calendar", "effects", "identity", "is_status_unchanged", "now", "policy", "roll", "state")

    def __init__(
        self,
        state: MachineState,
        identity: Identity,
        policy: Policy,
        now: Now,
        roll: Callable[[], float],
        calendar: Calendar,
    ) -> None:
        self.state, self.now = state, now
        self.identity, self.policy, self.roll, self.calendar = identity, policy, roll, calendar
        self.effects: list[Effect] = []
        self.is_status_unchanged = False

    def do(self, *effects: Effect) -> None:
        """Add effects, in order."""
        self.effects.extend(effects)

    def open(self) -> None:
        """Begin the next attempt. If the old socket is open, first close it and wait until it is closed."""
        s = self.state
        s.next_retry_at = None
        if s.socket_open:
            self.close_socket(abort=True)
            s.phase = Phase.CLOSING
            self.watch_socket_close()
            return
        s.phase = Phase.OPENING
        s.attempt += 1
        s.attempts_made += 1
        s.socket_open = True
        s.attempt_started = self.now.mono
        s.session = SessionInfo()
        s.client_id = s.lease.client_id if s.lease else None
        is_standby = s.lease is not None and not s.lease.is_leader
        self.do(StartAttempt(s.attempt, s.port, s.half_open, s.client_id, is_standby))
        self.do(StartTimer(Timer.ATTEMPT, self.syn_limit))

    @property
    def syn_limit(self) -> float:
        """Seconds after which the attempt ends if its SYN is not answered.

        After a half-open loss, the time is half as long, so that an attempt ends before our system repeats its SYN. The
        peer answers a SYN with a challenge. Our system reacts with an immediate second SYN only if the challenged SYN
        was the first one of its attempt. One attempt in thirty has the full time, for a link that needs longer to
        answer.
        """
        s = self.state
        limit = min(self.policy.syn_timeout, self.identity.timeout)
        return limit / 2 if s.half_open and s.attempts_made % _PATIENT_EVERY else limit

    def wait(self, seconds: float) -> None:
        """Make the next attempt after a pause."""
        s = self.state
        seconds = min(seconds, _LONGEST_WAIT)
        s.phase = Phase.WAITING
        s.next_retry_at = self.now.wall + timedelta(seconds=seconds)
        self.do(StartTimer(Timer.RETRY, seconds))

    def close_socket(self, *, abort: bool) -> None:
        """Close the socket now, or within ``close_grace`` (``disconnect_grace`` if no attempt follows)."""
        s = self.state
        if not s.socket_open:
            return
        if abort:
            self.do(AbortSocket(s.attempt), StopTimer(Timer.SOCKET_END))
        else:
            grace = self.policy.disconnect_grace if s.phase is Phase.IDLE else self.policy.close_grace
            self.do(CloseSocket(s.attempt), StartTimer(Timer.SOCKET_END, grace))

    def watch_socket_close(self) -> None:
        """Limit the time for which the state machine waits for the socket to close."""
        if self.state.socket_open:
            self.do(StartTimer(Timer.END_WATCH, END_WITHIN))

    def leave_session(self) -> None:
        """Stop the timers of a session."""
        self.do(*(StopTimer(timer) for timer in _SESSION_TIMERS))

    def give_up(self, phase: Phase, *, abort: bool) -> None:
        """Stop everything: no connection is requested, or no connection is possible."""
        s = self.state
        s.phase = phase
        s.next_retry_at = None
        s.losses.clear()
        s.id_alert = ""
        self.do(StopTimer(Timer.RETRY), StopTimer(Timer.ATTEMPT), StopTimer(Timer.CALENDAR))
        self.leave_session()
        self.do(EndSubscriptions())
        self.close_socket(abort=abort)
        if phase is Phase.IDLE:
            self.watch_socket_close()
