"""What the design demands of the machine at every step, told a second time, from the facts and orders alone."""

from __future__ import annotations

from typing import Any

import pytest

from ibkr.core import effects as do
from ibkr.core import facts as fact_of
from ibkr.core.effects import Effect
from ibkr.core.facts import Fact, Timer, TimerFired
from ibkr.core.situation import Phase as P
from ibkr.core.state import ConnectionState as S
from ibkr.core.table import TABLE

from .alarms import Alarms, Seen
from .attempts import Attempts
from .gateway import BACK, DOWN, EPSILON, IN_SESSION, Link
from .streams import Streams

ANSWERED = {phase: {timer for timer in Timer if (phase, timer) in TABLE} for phase in P}


class Oracle:
    """Watches one rig; raises ``AssertionError`` at the first step that the design does not allow."""

    def __init__(self, rig: Any, windows: list[Seen]) -> None:
        self.rig = rig
        self.link = Link()
        self.streams = Streams(rig, self.link)
        self.attempts = Attempts(rig)
        self.alarms = Alarms(rig, windows)
        self.wanted = False
        self.had_session = False
        self.outages = 0
        self.notices = 0
        self.has_compared = False
        self.unconfirmed: tuple[Any, ...] = ()
        self.state = S.DISCONNECTED
        self.newest = 0
        self.told_to_end = 0
        self.fact: type[Fact] = type(None)
        rig.watch = self.see

    def see(self, fact: Fact, phase: P, effects: list[Effect]) -> None:
        """One step is done."""
        if getattr(fact, "attempt", self.newest) != self.newest:
            assert effects == [], "news of an older attempt changes nothing"
            return
        had_session = self.had_session
        self.fact = type(fact)
        self._take(fact, phase)
        watches = self.streams.take(fact, phase in IN_SESSION) if phase in (P.OPENING, *IN_SESSION) else []
        assert [effect for effect in effects if isinstance(effect, do.Watch)] == watches
        self.link.restore_due &= self.rig.machine.phase is not P.UP
        for effect in effects:
            if not isinstance(effect, (do.StopTimer, do.Publish)):
                self._follow(effect)
        if self.rig.machine.phase in (P.RESTORING, P.UP):
            self.link.announced = self.link.compared = self.had_session = True
        self._check_status()
        self._check_words()
        self._check_socket(fact, phase, effects)
        self._check_timers()
        self._check_delays(effects)
        self.attempts.check(fact, phase, effects, had_session=had_session, has_one=self.had_session)
        self.alarms.see(fact, phase, effects)
        if self.rig.machine.phase in IN_SESSION:
            self.streams.check()

    def _take(self, fact: Fact, phase: P) -> None:
        self.attempts.take(fact, phase)
        match fact:
            case fact_of.ConnectWanted() if phase in (P.IDLE, P.FAILED):
                self.wanted, self.had_session = True, False
                self.login: set[str] = set()
            case fact_of.DisconnectWanted():
                self.wanted = False
            case fact_of.OrdersUnconfirmed(orders):
                self.unconfirmed = orders
            case fact_of.SessionOpened(_, _, accounts, names, to_restore) if phase is P.OPENING:
                self.link.up = not self.link.lost
                self.login = self.login or set(accounts)
                self.link.is_other_login = self.login.isdisjoint(accounts)
                self.link.asked = set(names)
                self.link.restore_due = to_restore
            case fact_of.SocketEnded():
                self.link.up = False
            case fact_of.TransportEnded() if phase in (P.OPENING, *IN_SESSION):
                self.link.up, self.link.lost = False, True
        if phase in (P.OPENING, *IN_SESSION):
            self._hear(fact)
        if phase in IN_SESSION:
            self.link.take(fact, self.rig.policy.lateness_tolerance)

    def _hear(self, fact: Fact) -> None:
        match fact:
            case fact_of.CodeReceived(_, code, text):
                if code in DOWN:
                    self.notices = self.notices + 1 if self.link.upstream == "down" else 1
                self.link.hear(code, text)
                if code == BACK[1] and not self.has_compared:
                    self.link.answered -= self.link.told_while_down
            case fact_of.FarmsTold(_, notices):
                for code, text in notices:
                    self.link.hear(code, text)

    def _follow(self, effect: Effect) -> None:
        self.attempts.follow(effect)
        self.streams.follow(effect)
        link = self.link
        match effect:
            case do.Open(attempt):
                assert self.wanted, "disconnect always wins"
                self.link = Link()
                self.has_compared = False
                self.streams = Streams(self.rig, self.link)
                self.newest = attempt
            case do.Close(attempt) | do.Abort(attempt):
                link.up = False
                self.told_to_end = attempt
            case do.StartUp():
                link.answered.clear()
                link.unreadable.clear()
                link.told_while_down.clear()
                self.has_compared = False
                link.compared = False
            case do.Compare(_, cause, unknown):
                assert link.upstream != "down", "a gateway that is blind cannot tell"
                assert not self.has_compared, "once for each start-up"
                assert cause
                assert set(unknown) >= link.asked - link.answered
                self.has_compared = True
            case do.ReportGap():
                assert self.has_compared
                assert self.rig.machine.phase is P.UP
            case do.AskAgain(_, names):
                assert link.upstream != "down"
                overdue = self.fact is TimerFired and self.rig.machine.phase is P.STARTUP
                left_out = link.unreadable if overdue else set()  # in start-up they are asked for when it has ended
                assert names == tuple(sorted(link.asked - link.answered - left_out)) != ()
                link.unreadable &= left_out
            case do.Restore():
                assert link.restore_due, "what runs is not asked for again"
            case do.Probe():
                assert link.probed is None, "one probe at a time"
                link.probe(self.rig.mono, self.rig.policy.probe_apart)

    def _unanswered(self) -> float:
        """How long a probe is; what our own loop overslept does not count."""
        return 0.0 if self.link.probed is None else self.rig.mono - self.link.probed - self.link.blocked

    def _is_suspect(self) -> bool:
        """As the status says it, after seeing that it may."""
        link, policy, said = self.link, self.rig.policy, self.rig.status.session == "suspect"
        counted = self._unanswered()
        if said:
            assert link.probed is not None
            assert counted >= policy.suspect_after - EPSILON
        elif self.rig.timers.get(Timer.LIVENESS, 0.0) >= self.rig.mono:  # an overdue look has yet to be taken
            assert not link.up or counted <= policy.suspect_after + 2 * policy.lateness_tolerance + EPSILON
        return said

    def _lacks(self) -> bool:
        link = self.link
        broken = any(link.farms.get(farm, "broken") == "broken" for farm in self.rig.policy.required_farms)
        return broken or bool(link.refused or self.streams.ended or link.is_other_login or link.asked - link.answered)

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
        orders_known = link.compared and {"open orders", "executions", "positions"} <= link.answered
        if link.told_while_down:
            orders_known &= self.has_compared
        hindered = suspect or link.upstream == "down" or link.read_only or readonly or link.is_other_login
        assert status.may_trade == (link.up and orders_known and not hindered)
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
        """What costs nothing but is to be known is said."""
        if self.state is S.READY:
            reason = self.rig.status.reason
            assert ("(100)" in reason) == bool(self.link.too_fast)
            assert ("(10197)" in reason) == bool(self.link.withheld)
            assert ("farm broken" in reason) == ("broken" in self.link.farms.values())

    def _check_socket(self, fact: Fact, phase: P, effects: list[Effect]) -> None:
        rig, now, policy = self.rig, self.rig.machine.phase, self.rig.policy
        if now not in (P.OPENING, *IN_SESSION):
            assert rig.socket in (None, self.told_to_end), "a socket is left open"
        if isinstance(fact, TimerFired) and fact.timer is Timer.SOCKET_END:
            assert do.Abort(self.newest) in effects
        if isinstance(fact, TimerFired) and phase in IN_SESSION and now not in IN_SESSION:
            assert self._unanswered() >= policy.probe_timeout - EPSILON, "declared dead too early"
        told = isinstance(fact, fact_of.CodeReceived) and phase in (P.OPENING, *IN_SESSION)
        assert (do.SlowDown(self.newest) in effects) == (told and fact.code == 100)
        if told and phase in IN_SESSION:
            assert (now not in IN_SESSION) == (fact.code == 1300), "no other code ends a session"
            assert (do.StartUp(self.newest) in effects) == (fact.code == BACK[0])
        if isinstance(fact, fact_of.RetryWanted):
            assert now is phase or (phase is P.WAITING and now in (P.OPENING, P.CLOSING))

    def _check_timers(self) -> None:
        rig, phase = self.rig, self.rig.machine.phase
        running = set(rig.timers)
        assert running <= ANSWERED[phase], "a timer runs that nothing would answer"
        due = {P.OPENING: Timer.ATTEMPT, P.LOOKING: Timer.ATTEMPT, P.WAITING: Timer.RETRY}
        due |= {P.STARTUP: Timer.REQUEST, P.RESTORING: Timer.RESTORE}
        assert phase not in due or due[phase] in running, "nothing would ever end this phase"
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
                case do.StartTimer(Timer.REQUEST, delay) if not in_startup and self.fact is fact_of.RowsUnreadable:
                    assert delay in (min(1.0, policy.missing_every), policy.missing_every)
                case do.StartTimer(timer, delay) if timer in whole:
                    assert delay == whole[timer]


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle
