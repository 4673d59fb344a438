"""The design's rules for attempts: where they connect, when they start, when they are abandoned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ibkr.core import effects as do
from ibkr.core import events as event_of
from ibkr.core.effects import Effect
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import Event, Timer
from ibkr.core.machine_state import Phase as P

from .gateway_model import EPSILON, ID_ALERT, IN_SESSION

NO_CURE = (K.NOT_A_GATEWAY, K.UNSUPPORTED_VERSION)


class AttemptOracle:
    """Checks the attempts of one rig, over all its sessions."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.port, self.other_port = rig.machine.identity.port, None
        self.budget: int | None = None
        self.losses: list[float] = []
        self.id_in_use_since: float | None = None
        self.retry_at: datetime | None = None

    def take(self, event: Event, phase: P) -> None:
        """Process an event, before its effects are carried out."""
        match event:
            case event_of.ConnectRequested(attempts) if phase in (P.IDLE, P.FAILED):
                self.budget, self.id_in_use_since = attempts, None
            case event_of.ConnectRequested(attempts):
                self.budget = None if self.budget is None or attempts is None else max(self.budget, attempts)
            case event_of.SessionOpened() if phase is P.OPENING:
                self.id_in_use_since = None
        if (
            phase in (P.OPENING, P.IDENTIFYING)
            and self.rig.machine.phase in (P.WAITING, P.FAILED)
            and self.other_port is not None
        ):
            self.port, self.other_port = self.other_port, self.port
        match event:
            case event_of.CodeReceived(_, 1300, text) if phase in (P.OPENING, *IN_SESSION):
                self._move(text.rpartition("-")[2])

    def _move(self, port: str) -> None:
        if port.isdigit():
            configured = self.rig.machine.identity.port
            self.port, self.other_port = int(port), None if int(port) == configured else configured

    def follow(self, effect: Effect) -> None:
        """Process an effect."""
        match effect:
            case do.StartAttempt(_, port):
                assert port == self.port, "the new port and the configured one, in turn"
            case do.StartTimer(Timer.RETRY, delay):
                self.retry_at = self.rig.now.wall + timedelta(seconds=delay)

    def check(self, event: Event, phase: P, effects: list[Effect], *, had_session: bool, has_one: bool) -> None:
        """Check after one step. ``had_session``: a start-up had ended before the step. ``has_one``: after the step."""
        now = self.rig.machine.phase
        assert self.rig.status.endpoint == f"127.0.0.1:{self.port}"
        flaps = False
        if phase in IN_SESSION and had_session and now in (P.OPENING, P.CLOSING, P.WAITING):
            flaps = self._lose(event, now)
        if now in (P.IDLE, P.FAILED):
            self.losses.clear()
        for effect in effects:
            match effect:
                case do.StartTimer(Timer.RETRY, delay):
                    low, high = self._waits(flaps, has_one)
                    assert low - EPSILON <= delay <= high + EPSILON
        assert self.rig.status.next_retry_at == (self.retry_at if Timer.RETRY in self.rig.timers else None)
        self._check_end(phase, has_one)

    def _lose(self, event: Event, now: P) -> bool:
        """A session was lost: note whether this happens too often."""
        if isinstance(event, event_of.ReconnectRequested):
            assert now is P.CLOSING
            return False
        rig, policy = self.rig, self.rig.policy
        self.losses = [at for at in self.losses if at >= rig.mono - policy.flap_window] + [rig.mono]
        if len(self.losses) > policy.flap_limit:
            assert now is P.WAITING
            return True
        assert now is (P.OPENING if isinstance(event, event_of.SocketClosed) else P.CLOSING)
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
        """Check that ``FAILED`` comes only after the last attempt, or for a cause that a retry cannot cure."""
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
