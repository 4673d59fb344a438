"""The design's rules for the machine, written a second time. They use only the machine's events and effects.

This file has over 300 lines because each step is checked against all rules.
"""

from __future__ import annotations

from typing import Any

import pytest

from ibkr.core import effects as do
from ibkr.core import events as event_of
from ibkr.core.effects import Effect
from ibkr.core.events import Event, Timer, TimerFired
from ibkr.core.machine_state import Phase as P
from ibkr.core.machine_state import RestoreState
from ibkr.core.states import ConnectionState as S
from ibkr.core.transitions import TRANSITIONS

from .alert_oracle import AlertOracle, Observation
from .attempt_oracle import AttemptOracle
from .gateway_model import BACK, BOOKS, DOWN, EPSILON, IN_SESSION, Link
from .halt_oracle import HaltOracle
from .stream_oracle import StreamOracle

ANSWERED = {phase: {timer for timer in Timer if (phase, timer) in TRANSITIONS} for phase in P}


class Oracle:
    """Watches one rig. Raises ``AssertionError`` at the first step that breaks a rule."""

    def __init__(self, rig: Any, windows: list[Observation]) -> None:
        self.rig = rig
        self.link = Link()
        self.streams = StreamOracle(rig, self.link)
        self.attempts = AttemptOracle(rig)
        self.alarms = AlertOracle(rig, windows)
        self.wanted = False
        self.had_session = False
        self.outages = 0
        self.notices = 0
        self.has_compared = False
        self.unconfirmed: tuple[Any, ...] = ()
        self.halts = HaltOracle()
        self.state = S.DISCONNECTED
        self.newest = 0
        self.told_to_end = 0
        self.event: type[Event] | type[None] = type(None)
        rig.watch = self.see

    def see(self, event: Event, phase: P, effects: list[Effect]) -> None:
        """Check after one step."""
        if getattr(event, "attempt", self.newest) != self.newest:
            assert effects == [], "news of an older attempt changes nothing"
            return
        had_session = self.had_session
        self.event = type(event)
        self._take(event, phase)
        watches = self.streams.take(event, phase in IN_SESSION) if phase in (P.OPENING, *IN_SESSION) else []
        told = [effect for effect in effects if isinstance(effect, do.FindActiveStreams)]
        restored = do.FindActiveStreams(self.rig.attempt, None, self.rig.mono, "") if told else None
        is_restored = self.link.restore_due and self.is_restored
        assert [watch for watch in told if watch != restored or not is_restored] == watches
        self.link.restore_due = not self.is_restored
        for effect in effects:
            self.halts.follow(effect, self.link)
            if not isinstance(effect, (do.StopTimer, do.PublishStatus)):
                self._follow(effect)
        if self.rig.machine.phase in (P.RESTORING, P.UP):
            self.link.announced = self.had_session = True
        self._check_status()
        self._check_words()
        self._check_socket(event, phase, effects)
        self._check_timers()
        self._check_delays(effects)
        self.attempts.check(event, phase, effects, had_session=had_session, has_one=self.had_session)
        self.alarms.see(event, phase, effects)
        if self.rig.machine.phase in IN_SESSION:
            self.streams.check()

    @property
    def is_restored(self) -> bool:
        """Whether everything was requested again, according to the machine."""
        return self.rig.machine._state.session.restore is RestoreState.DONE

    def _take(self, event: Event, phase: P) -> None:
        self.attempts.take(event, phase)
        self.halts.take(event, self.link)
        match event:
            case event_of.ConnectRequested() if phase in (P.IDLE, P.FAILED):
                self.wanted, self.had_session = True, False
                self.login: set[str] = set()
            case event_of.DisconnectRequested():
                self.wanted = False
            case event_of.RetryRequested() | TimerFired(Timer.READ_ONLY) if (
                phase in IN_SESSION and self.link.read_only and self.link.upstream != "down"
            ):
                self._begin_books()
            case event_of.UnconfirmedOrdersChanged(orders):
                self.unconfirmed = orders
            case event_of.SessionOpened(_, _, accounts, names, to_restore) if phase is P.OPENING:
                self.link.up = not self.link.lost
                self.login = self.login or set(accounts)
                self.link.is_other_login = self.login.isdisjoint(accounts)
                self.link.asked = set(names)
                self.link.restore_due = to_restore
            case event_of.SocketClosed():
                self.link.up = False
            case event_of.TransportClosed() if phase in (P.OPENING, *IN_SESSION):
                self.link.up, self.link.lost = False, True
        if phase in (P.OPENING, *IN_SESSION):
            self._hear(event)
        if phase in IN_SESSION:
            self.link.take(event, self.rig.policy.lateness_tolerance)

    def _hear(self, event: Event) -> None:
        match event:
            case event_of.CodeReceived(_, code, text):
                if code in DOWN:
                    self.notices = self.notices + 1 if self.link.upstream == "down" else 1
                self.link.hear(code, text)
                if code == BACK[1] and self.link.asked:
                    self._begin_books()
                elif code == BACK[0] and self.link.asked:
                    self._forget_answers()
            case event_of.FarmStatusReceived(_, notices):
                for code, text in notices:
                    self.link.hear(code, text)

    def _follow_books(self, effect: Effect) -> None:
        link = self.link
        assert link.upstream != "down"
        is_late = isinstance(effect, do.AmendGapReport) or effect.is_late
        assert self.has_compared or not is_late
        if isinstance(effect, do.RequestBrokerState):
            assert effect.names == tuple(sorted(link.asked & BOOKS if is_late else link.asked - link.answered)) != ()
            link.unreadable &= BOOKS if is_late else set()
            if not is_late:
                link.declined.clear()
                link.outdated.clear()

    def _begin_books(self) -> None:
        """Note that the requests for orders, executions and positions must be answered again."""
        self.link.answered -= BOOKS
        self.link.outdated |= BOOKS & self.link.asked
        self.link.told_while_down.clear()
        self.has_compared = False

    def _forget_answers(self) -> None:
        """Note that each start-up request must be sent and answered again."""
        link = self.link
        for told in (link.answered, link.unreadable, link.declined, link.told_while_down):
            told.clear()
        link.outdated = set(link.asked)
        self.has_compared = link.compared = False

    def _follow(self, effect: Effect) -> None:
        self.attempts.follow(effect)
        self.streams.follow(effect)
        link = self.link
        match effect:
            case do.StartAttempt(attempt):
                assert self.wanted, "disconnect always wins"
                self.link = Link()
                self.has_compared = False
                self.streams = StreamOracle(self.rig, self.link)
                self.newest = attempt
            case do.CloseSocket(attempt) | do.AbortSocket(attempt):
                link.up = False
                self.told_to_end = attempt
            case do.SendStartupRequests():
                self._forget_answers()
                link.outdated.clear()
            case do.CompareBrokerState(_, cause, unknown):
                assert link.upstream != "down", "a gateway that is blind cannot tell"
                assert not self.has_compared, "once for each start-up"
                assert not link.outdated, "what was requested before the loss tells nothing about it"
                assert cause
                assert set(unknown) >= (link.asked - link.answered) & BOOKS
                self.has_compared = link.compared = True
            case do.ReportGap():
                assert self.has_compared and self.rig.machine.phase is P.UP  # noqa: PT018
            case do.ResendStartupRequests(_, names):
                assert link.upstream != "down"
                overdue = self.event is TimerFired and self.rig.machine.phase is P.STARTUP
                left_out = link.unreadable | link.declined if overdue else set()  # during start-up, this waits
                assert names == tuple(sorted(link.asked - link.answered - left_out)) != ()
                link.unreadable &= left_out
            case do.RequestBrokerState() | do.AmendGapReport():
                self._follow_books(effect)
            case do.RestoreSubscriptions():
                assert not self.is_restored, "what runs is not asked for again"
            case do.SendProbe():
                assert link.probed is None, "one probe at a time"
                link.probe(self.rig.mono, self.rig.policy.probe_apart)

    def _unanswered(self) -> float:
        """Return how long a probe is unanswered. The time in which our own loop was blocked is not included."""
        return 0.0 if self.link.probed is None else self.rig.mono - self.link.probed - self.link.blocked

    def _is_suspect(self) -> bool:
        """Whether the status says suspect, after a check that it may."""
        link, policy, said = self.link, self.rig.policy, self.rig.status.session == "suspect"
        counted = self._unanswered()
        if said:
            assert link.probed is not None
            assert counted >= policy.suspect_after - EPSILON
        elif self.rig.timers.get(Timer.LIVENESS, 0.0) >= self.rig.mono:  # no check is overdue
            assert not link.up or counted <= policy.suspect_after + 2 * policy.lateness_tolerance + EPSILON
        return said

    def _lacks(self) -> bool:
        link = self.link
        broken = any(link.farms.get(farm, "broken") == "broken" for farm in self.rig.policy.required_farms)
        refused = any(stream.ran for stream in link.refused)
        return broken or bool(refused or self.streams.ended or link.is_other_login or link.asked - link.answered)

    def _state(self, suspect: bool) -> S:
        link, phase = self.link, self.rig.machine.phase
        if not self.wanted:
            return S.DISCONNECTED
        if phase is P.FAILED:
            return S.FAILED
        if not link.up:
            return S.RECONNECTING if self.had_session else S.CONNECTING
        if link.upstream == "down" or suspect:
            return S.DEGRADED
        if phase in (P.STARTUP, P.RESTORING) or link.upstream == "unknown":
            return S.SYNCING
        return S.DEGRADED if self._lacks() else S.READY

    def _check_status(self) -> None:
        link, status, readonly = self.link, self.rig.status, self.rig.machine.identity.readonly
        suspect = self._is_suspect()
        assert status.state is self._state(suspect)
        assert status.is_connected == (link.up and link.announced)
        known = link.answered | (link.declined - link.unreadable)  # unreadable rows are not a refusal
        orders_known = link.compared and {"open orders", "executions", "positions"} <= known
        if link.told_while_down:
            orders_known &= self.has_compared
        hindered = suspect or link.upstream == "down" or link.read_only or readonly or link.is_other_login
        hindered = hindered or self.halts.hinder
        assert status.may_trade == (link.up and orders_known and not hindered)
        if link.up and self.rig.machine.phase in IN_SESSION and link.upstream != "down" and not suspect:
            self.halts.check(link)
        assert bool(status.may_trade_reason) != status.may_trade
        assert self.has_compared or not status.may_trade
        assert status.unconfirmed == self.unconfirmed
        assert status.read_only == (readonly or (link.up and link.read_only))
        assert dict(status.farms) == (link.farms if link.up else {})
        assert status.upstream == (link.upstream if link.up else "unknown")
        assert status.upstream_notices == self.notices
        if status.state is S.READY:
            assert link.up
            assert link.asked
            assert link.upstream in ("up", "assumed")
            assert not suspect
            assert not self._lacks()
        if self.state is S.READY and status.state not in (S.READY, S.DISCONNECTED):
            self.outages += 1
        self.state = status.state
        assert status.outages == self.outages

    def _check_words(self) -> None:
        """The status must mention problems that leave the connection READY."""
        if self.state is S.READY:
            reason = self.rig.status.reason
            assert ("(100)" in reason) == bool(self.link.too_fast)
            assert ("(10197)" in reason) == bool(self.link.withheld)
            assert ("farm broken" in reason) == ("broken" in self.link.farms.values())

    def _check_socket(self, event: Event, phase: P, effects: list[Effect]) -> None:
        rig, now, policy = self.rig, self.rig.machine.phase, self.rig.policy
        if now not in (P.OPENING, *IN_SESSION):
            assert rig.socket in (None, self.told_to_end), "a socket is left open"
        if isinstance(event, TimerFired) and event.timer is Timer.SOCKET_END:
            assert do.AbortSocket(self.newest) in effects
        if isinstance(event, TimerFired) and phase in IN_SESSION and now not in IN_SESSION:
            assert self._unanswered() >= policy.probe_timeout - EPSILON, "declared dead too early"
        told = isinstance(event, event_of.CodeReceived) and phase in (P.OPENING, *IN_SESSION)
        assert (do.ReduceSendRate(self.newest) in effects) == (told and event.code == 100)
        if told and phase in IN_SESSION:
            assert (now not in IN_SESSION) == (event.code == 1300), "no other code ends a session"
            assert (do.SendStartupRequests(self.newest) in effects) <= (event.code == BACK[0])
        if isinstance(event, event_of.RetryRequested):
            by_phase = {P.WAITING: (P.OPENING, P.CLOSING), **dict.fromkeys(IN_SESSION, (P.STARTUP,))}
            assert now is phase or now in by_phase.get(phase, ())

    def _check_timers(self) -> None:
        rig, phase = self.rig, self.rig.machine.phase
        running = set(rig.timers)
        assert running <= ANSWERED[phase], "a timer runs that nothing would answer"
        due = {P.OPENING: Timer.ATTEMPT, P.IDENTIFYING: Timer.ATTEMPT, P.WAITING: Timer.RETRY}
        due |= {P.STARTUP: Timer.REQUEST, P.RESTORING: Timer.RESTORE}
        if phase in due and not (phase is P.RESTORING and self.link.held_back):
            assert due[phase] in running, "nothing would ever end this phase"
        assert phase not in IN_SESSION or Timer.LIVENESS in running
        assert phase not in IN_SESSION or (Timer.UPSTREAM in running) == (self.link.upstream == "unknown")
        if phase in (P.RESTORING, P.UP) and not self.link.asked <= self.link.answered:
            assert Timer.REQUEST in running, "what is missing is asked for now and then"
        assert phase is not P.CLOSING or rig.socket is not None
        assert phase is not P.FAILED or not running
        assert phase is not P.IDLE or running <= {Timer.SOCKET_END, Timer.END_WATCH}
        awaits_end = phase in (P.IDLE, P.CLOSING) and rig.socket is not None
        assert (Timer.END_WATCH in running) == awaits_end, "nothing would ever end this phase"
        assert rig.machine.is_quiet == (phase in (P.IDLE, P.FAILED) and rig.socket is None)

    def _check_delays(self, effects: list[Effect]) -> None:
        policy, in_startup = self.rig.policy, self.rig.machine.phase is P.STARTUP
        whole = {
            Timer.ATTEMPT: self.rig.machine.identity.timeout,
            Timer.SOCKET_END: policy.disconnect_grace if self.rig.machine.phase is P.IDLE else policy.close_grace,
            Timer.REQUEST: policy.request_timeout if in_startup else policy.missing_every,
            Timer.UPSTREAM: policy.upstream_grace,
            Timer.RESTORE: policy.restore_grace,
        }
        for effect in effects:
            match effect:
                case do.StartTimer(Timer.LIVENESS, delay):
                    assert 0 <= delay <= max(policy.probe_after, policy.probe_timeout)
                case do.StartTimer(Timer.ATTEMPT, delay):
                    assert 0 < delay <= whole[Timer.ATTEMPT], "less, where our own loop was late"
                case do.StartTimer(Timer.REQUEST, delay) if not in_startup and (
                    self.link.declined or self.link.unreadable
                ):
                    assert 0 < delay <= policy.missing_every
                case do.StartTimer(timer, delay) if timer in whole:
                    assert delay == whole[timer]


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle
