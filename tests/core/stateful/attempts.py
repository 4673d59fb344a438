"""What the design demands of attempts: where they go, when they start, when they are given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ibkr.core import effects as do
from ibkr.core import facts as fact_of
from ibkr.core.effects import Effect
from ibkr.core.errors import FailureKind as K
from ibkr.core.facts import Fact, Timer
from ibkr.core.situation import Phase as P

from .gateway import EPSILON, ID_ALERT, IN_SESSION

NO_CURE = (K.NOT_A_GATEWAY, K.UNSUPPORTED_VERSION)


class Attempts:
    """Watches the attempts of one rig, over all its sessions."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.port, self.other_port = rig.machine.identity.port, None
        self.budget: int | None = None
        self.losses: list[float] = []
        self.id_in_use_since: float | None = None
        self.retry_at: datetime | None = None

    def take(self, fact: Fact, phase: P) -> None:
        """A fact, before its orders are followed."""
        match fact:
            case fact_of.ConnectWanted(attempts) if phase in (P.IDLE, P.FAILED):
                self.budget, self.id_in_use_since = attempts, None
            case fact_of.ConnectWanted(attempts):
                patient = self.budget is None or attempts is None
                self.budget = None if patient else max(self.budget, attempts)
            case fact_of.SessionOpened() if phase is P.OPENING:
                self.id_in_use_since = None
        if (
            phase in (P.OPENING, P.LOOKING)
            and self.rig.machine.phase in (P.WAITING, P.FAILED)
            and self.other_port is not None
        ):
            self.port, self.other_port = self.other_port, self.port
        match fact:
            case fact_of.CodeReceived(_, 1300, text) if phase in (P.OPENING, *IN_SESSION):
                self._move(text.rpartition("-")[2])

    def _move(self, port: str) -> None:
        if port.isdigit():
            configured = self.rig.machine.identity.port
            self.port, self.other_port = int(port), None if int(port) == configured else configured

    def follow(self, effect: Effect) -> None:
        """An order."""
        match effect:
            case do.Open(_, port):
                assert port == self.port, "the new port and the configured one, in turn"
            case do.StartTimer(Timer.RETRY, delay):
                self.retry_at = self.rig.now.wall + timedelta(seconds=delay)

    def check(self, fact: Fact, phase: P, effects: list[Effect], *, had_session: bool, has_one: bool) -> None:
        """One step is done. ``had_session``: before it, and ``has_one`` after it, a start-up had ended."""
        now = self.rig.machine.phase
        assert self.rig.status.endpoint == f"127.0.0.1:{self.port}"
        flaps = False
        if phase in IN_SESSION and had_session and now in (P.OPENING, P.CLOSING, P.WAITING):
            flaps = self._lose(fact, now)
        if now in (P.IDLE, P.FAILED):
            self.losses.clear()
        for effect in effects:
            match effect:
                case do.StartTimer(Timer.RETRY, delay):
                    low, high = self._waits(flaps, has_one)
                    assert low - EPSILON <= delay <= high + EPSILON
        assert self.rig.status.next_retry_at == (self.retry_at if Timer.RETRY in self.rig.timers else None)
        self._check_end(phase, has_one)

    def _lose(self, fact: Fact, now: P) -> bool:
        """A session is over that was not our own wish to end: whether this happens too often."""
        if isinstance(fact, fact_of.ReconnectWanted):
            assert now is P.CLOSING
            return False
        rig, policy = self.rig, self.rig.policy
        self.losses = [at for at in self.losses if at >= rig.mono - policy.flap_window] + [rig.mono]
        if len(self.losses) > policy.flap_limit:
            assert now is P.WAITING
            return True
        assert now is (P.OPENING if isinstance(fact, fact_of.SocketEnded) else P.CLOSING)
        return False

    def _waits(self, flaps: bool, had_session: bool) -> tuple[float, float]:
        """The shortest and the longest wait for the next attempt that the policy allows now."""
        policy = self.rig.policy
        if flaps:
            return policy.flap_pause, policy.flap_pause
        if self.budget is not None and not had_session:
            return policy.connect_pause, policy.connect_pause
        failure = self.rig.machine.failure
        if failure.kind is K.UNREACHABLE:
            low, high = policy.refused_every, policy.refused_every_later
        elif failure.kind is K.CLOSED and failure.before_any_byte:
            low, high = policy.closed_every, policy.closed_every_later
        elif failure.kind is K.CLIENT_ID_IN_USE:
            low, high = policy.client_id_every, policy.client_id_every_last
        else:
            low, high = policy.backoff_first, policy.backoff_cap
        gone = 0.0 if failure.kind is K.SILENT else self.rig.mono - self.rig.opened[-1][1]
        return max(0.0, low * (1 - policy.jitter) - gone), max(0.0, high - gone)

    def _check_end(self, phase: P, had_session: bool) -> None:
        """``FAILED`` is for what no retry cures, and for attempts used up."""
        machine = self.rig.machine
        kind = machine.failure.kind if machine.failure else None
        if ID_ALERT in self.rig.status.alert:
            assert self.rig.mono - self.id_in_use_since >= self.rig.policy.client_id_grace - EPSILON
        if kind is not K.CLIENT_ID_IN_USE:
            self.id_in_use_since = None
        elif self.id_in_use_since is None:
            self.id_in_use_since = self.rig.mono
        if machine.phase is not P.FAILED or phase is P.FAILED:
            return
        assert not had_session, "after a session it is tried without end"
        assert self.budget is not None
        assert kind in NO_CURE or machine.attempts_made >= self.budget
