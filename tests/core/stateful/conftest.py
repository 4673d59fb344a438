"""What the design demands of the machine at every step, told a second time, from the facts and orders alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from ibkr.core import effects as do
from ibkr.core import facts as fact_of
from ibkr.core.effects import Effect
from ibkr.core.errors import FailureKind as K
from ibkr.core.facts import Fact, Timer, TimerFired
from ibkr.core.situation import Phase as P
from ibkr.core.state import ConnectionState as S
from ibkr.core.table import TABLE

IN_SESSION = (P.STARTUP, P.RESTORING, P.UP)
DOWN, BACK = (1100, 2110), (1101, 1102)
FARM = {2103: "broken", 2104: "ok", 2105: "broken", 2106: "ok", 2107: "inactive", 2108: "inactive"}
FARM |= {2119: "connecting", 2157: "broken", 2158: "ok"}
NO_CURE = (K.NOT_A_GATEWAY, K.UNSUPPORTED_VERSION)
EPSILON = 1e-6


@dataclass
class Link:
    """What the gateway has told in one session."""

    up: bool = False
    announced: bool = False
    compared: bool = False
    upstream: str = "unknown"
    farms: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    refused: tuple[str, ...] = ()
    read_only: bool = False
    restore_due: bool = True
    probed: float | None = None
    blocked: float = 0.0


class Oracle:
    """Watches one rig; raises ``AssertionError`` at the first step that the design does not allow."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.link = Link()
        self.wanted = False
        self.budget: int | None = None
        self.had_session = False
        self.outages = 0
        self.state = S.DISCONNECTED
        self.id_in_use_since: float | None = None
        self.newest = 0
        self.told_to_end = 0
        self.losses: list[float] = []
        rig.watch = self.see

    def see(self, fact: Fact, phase: P, effects: list[Effect]) -> None:
        """One step is done."""
        if getattr(fact, "attempt", self.newest) != self.newest:
            assert effects == [], "news of an older attempt changes nothing"
            return
        had_session = self.had_session
        self._take_from_caller(fact, phase)
        self._take_from_link(fact, phase)
        if phase in IN_SESSION:
            self._take_from_session(fact)
        for effect in effects:
            self._follow(effect)
        if self.rig.machine.phase in (P.RESTORING, P.UP):
            self.link.announced = self.link.compared = self.had_session = True
            self.link.restore_due &= self.rig.machine.phase is not P.UP
        self._check_status()
        self._check_socket(fact, phase, effects, had_session)
        self._check_timers()
        self._check_delays(fact, phase, effects, had_session)
        self._check_end(phase)

    def _take_from_caller(self, fact: Fact, phase: P) -> None:
        match fact:
            case fact_of.ConnectWanted(attempts) if phase in (P.IDLE, P.FAILED):
                self.wanted, self.budget, self.had_session = True, attempts, False
                self.id_in_use_since = None
            case fact_of.ConnectWanted(attempts):
                patient = self.budget is None or attempts is None
                self.budget = None if patient else max(self.budget, attempts)
            case fact_of.DisconnectWanted():
                self.wanted = False

    def _take_from_link(self, fact: Fact, phase: P) -> None:
        match fact:
            case fact_of.SessionOpened() if phase is P.OPENING:
                self.link.up = True
                self.id_in_use_since = None
            case fact_of.SocketEnded():
                self.link.up = False
            case fact_of.CodeReceived(_, code, text) if phase in (P.OPENING, *IN_SESSION):
                self._hear(code, text)

    def _take_from_session(self, fact: Fact) -> None:
        link = self.link
        match fact:
            case fact_of.StartupAsked(_, names):
                link.asked |= set(names)
            case fact_of.StartupAnswered(_, name, read_only):
                link.answered.add(name)
                link.read_only |= read_only
            case fact_of.SubscriptionsMoved(_, _, refused):
                link.refused = refused
            case fact_of.Heard():
                link.probed = None
            case TimerFired(Timer.UPSTREAM):
                link.upstream = "assumed"
            case TimerFired(Timer.LIVENESS, late) if late > self.rig.policy.lateness_tolerance:
                link.blocked += late

    def _hear(self, code: int, text: str) -> None:
        link = self.link
        if code in DOWN:
            link.upstream = "down"
        elif code in BACK:
            link.upstream = "up"
            if "connected:" in text:
                link.farms = {name.strip(): "ok" for name in text.split(":")[1].rstrip(".").split(";")}
        elif code in FARM:
            link.farms[text.replace(".", ":").split(":")[1]] = FARM[code]
            link.upstream = "down" if link.upstream == "down" else "up"

    def _follow(self, effect: Effect) -> None:
        match effect:
            case do.Open(attempt):
                assert self.wanted, "disconnect always wins"
                self.link = Link()
                self.newest = attempt
            case do.Close(attempt) | do.Abort(attempt):
                self.link.up = False
                self.told_to_end = attempt
            case do.StartUp():
                self.link.answered.clear()
                self.link.compared = False
                self.link.restore_due = True
            case do.Restore():
                assert self.link.restore_due, "what runs is not asked for again"
            case do.Probe():
                self.link.probed, self.link.blocked = self.rig.mono, 0.0

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
        return broken or bool(link.refused) or not link.asked <= link.answered

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
        orders_known = link.compared and {"open orders", "executions"} <= link.answered
        hindered = suspect or link.upstream == "down" or link.read_only or readonly
        assert status.may_trade == (link.up and orders_known and not hindered)
        assert bool(status.may_trade_reason) != status.may_trade
        assert status.read_only == (readonly or (link.up and link.read_only))
        assert dict(status.farms) == (link.farms if link.up else {})
        assert status.upstream == (link.upstream if link.up else "unknown")
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

    def _check_socket(self, fact: Fact, phase: P, effects: list[Effect], had_session: bool) -> None:
        rig, now, policy = self.rig, self.rig.machine.phase, self.rig.policy
        if now not in (P.OPENING, *IN_SESSION):
            assert rig.socket in (None, self.told_to_end), "a socket is left open"
        if isinstance(fact, TimerFired) and fact.timer is Timer.SOCKET_END:
            assert do.Abort(self.newest) in effects
        if isinstance(fact, TimerFired) and phase in IN_SESSION and now not in IN_SESSION:
            assert self._unanswered() >= policy.probe_timeout - EPSILON, "declared dead too early"
        if isinstance(fact, fact_of.SocketEnded) and phase in IN_SESSION and had_session:
            self.losses = [at for at in self.losses if at >= rig.mono - policy.flap_window] + [rig.mono]
            assert now is (P.WAITING if len(self.losses) > policy.flap_limit else P.OPENING)
        if now in (P.IDLE, P.FAILED):
            self.losses.clear()

    def _check_timers(self) -> None:
        rig, phase = self.rig, self.rig.machine.phase
        running = set(rig.timers)
        assert all((phase, timer) in TABLE for timer in running), "a timer runs that nothing would answer"
        due = {P.OPENING: Timer.ATTEMPT, P.WAITING: Timer.RETRY, P.STARTUP: Timer.REQUEST, P.RESTORING: Timer.RESTORE}
        assert phase not in due or due[phase] in running, "nothing would ever end this phase"
        assert phase not in IN_SESSION or Timer.LIVENESS in running
        assert phase not in IN_SESSION or (Timer.UPSTREAM in running) == (self.link.upstream == "unknown")
        assert phase is not P.CLOSING or rig.socket is not None
        assert phase is not P.FAILED or not running
        assert phase is not P.IDLE or running <= {Timer.SOCKET_END}
        retry_at = rig.status.next_retry_at
        assert (retry_at is not None) == (Timer.RETRY in running)
        if retry_at is not None:
            ahead = rig.now.wall + timedelta(seconds=rig.timers[Timer.RETRY] - rig.mono)
            assert abs((retry_at - ahead).total_seconds()) < 1e-3
        assert rig.machine.is_quiet == (phase in (P.IDLE, P.FAILED) and rig.socket is None)

    def _check_delays(self, fact: Fact, phase: P, effects: list[Effect], had_session: bool) -> None:
        policy = self.rig.policy
        whole = {
            Timer.ATTEMPT: self.rig.machine.identity.timeout,
            Timer.SOCKET_END: policy.close_grace,
            Timer.REQUEST: policy.request_timeout,
            Timer.UPSTREAM: policy.upstream_grace,
            Timer.RESTORE: policy.restore_grace,
        }
        for effect in effects:
            if not isinstance(effect, do.StartTimer):
                continue
            if effect.timer is Timer.RETRY:
                low, high = self._waits(isinstance(fact, fact_of.SocketEnded) and phase in IN_SESSION and had_session)
                assert low - EPSILON <= effect.delay <= high + EPSILON
            elif effect.timer is Timer.LIVENESS:
                assert 0 <= effect.delay <= max(policy.probe_after, policy.probe_timeout)
            else:
                assert effect.delay == whole[effect.timer]

    def _waits(self, lost: bool) -> tuple[float, float]:
        """The shortest and the longest wait for the next attempt that the policy allows now."""
        policy = self.rig.policy
        if lost:
            return policy.flap_pause, policy.flap_pause
        if self.budget is not None and not self.had_session:
            return policy.connect_pause, policy.connect_pause
        failure = self.rig.machine.failure
        if failure.kind is K.UNREACHABLE:
            low, high = policy.refused_every, policy.refused_every_later
        elif failure.kind is K.CLOSED and failure.before_any_byte:
            low, high = policy.closed_every, policy.closed_every_later
        else:
            low, high = policy.backoff_first, policy.backoff_cap
        gone = 0.0 if failure.kind is K.SILENT else self.rig.mono - self.rig.opened[-1][1]
        return max(0.0, low * (1 - policy.jitter) - gone), max(0.0, high - gone)

    def _check_end(self, phase: P) -> None:
        """``FAILED`` is for what no retry cures, and for attempts used up."""
        machine = self.rig.machine
        kind = machine.failure.kind if machine.failure else None
        if kind is not K.CLIENT_ID_IN_USE:
            self.id_in_use_since = None
        elif self.id_in_use_since is None:
            self.id_in_use_since = self.rig.mono
        if machine.phase is not P.FAILED or phase is P.FAILED:
            return
        if self.had_session:
            assert self.id_in_use_since is not None
            assert self.rig.mono - self.id_in_use_since >= self.rig.policy.client_id_grace
        else:
            assert self.budget is not None
            assert kind in NO_CURE or machine.attempts_made >= self.budget


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle
