"""The design's rules for the calendar and the alert."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ibkr.core import effects as do
from ibkr.core import events as event_of
from ibkr.core.effects import Effect
from ibkr.core.events import Event, Timer, TimerFired
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S

from .gateway_model import EPSILON, ID_ALERT, JOURNAL_FAILS

DAY = timedelta(days=1)
LONGEST_LOOK = 3600.0
REST = (S.READY, S.DISCONNECTED, S.FAILED)
Observation = tuple[str, datetime, datetime]


class AlertOracle:
    """Checks the calendar and the alert of one rig.

    Each of ``windows`` has a name, and its first start and end. A window repeats daily.
    """

    def __init__(self, rig: Any, windows: list[Observation]) -> None:
        self.rig, self.windows = rig, windows
        self.since: float | None = None
        self.last_in: Observation | None = None
        self.alert = ""
        self.said: Observation | None = None
        self.holds_until: datetime | None = None
        self._look()

    def _edges(self) -> list[Observation]:
        """The windows of some days around now."""
        today = (self.rig.now.wall - self.windows[0][1]) // DAY if self.windows else 0
        days = [number * DAY for number in range(today - 1, today + 3)]
        return [(name, start + day, end + day) for name, start, end in self.windows for day in days]

    def _window(self) -> Observation | None:
        now = self.rig.now.wall
        around = [window for window in self._edges() if window[1] <= now < window[2]]
        return max(around, key=lambda window: window[2], default=None)

    def _look(self) -> None:
        self.said = self._window()
        edges = [edge for window in self._edges() for edge in window[1:] if edge > self.rig.now.wall]
        self.holds_until = min(edges, default=None)
        if self.said is not None and self.since is not None:
            self.last_in = self.said

    def see(self, event: Event, phase: P, effects: list[Effect]) -> None:
        """Check after one step."""
        idle = phase in (P.IDLE, P.FAILED)
        match event:
            case TimerFired(Timer.CALENDAR | Timer.ALERT):
                self._look()
            case event_of.ClockJumped() if not idle:
                self._look()
            case event_of.ConnectRequested() if idle and self.holds_until and self.holds_until <= self.rig.now.wall:
                self._look()
        self._check_calendar(effects)
        self._check_alert(event)
        self._check_timers(event, effects)
        self._follow()

    def _check_calendar(self, effects: list[Effect]) -> None:
        status = self.rig.status
        shown = status.maintenance
        said = self.said if self.rig.machine.is_wanted else None
        assert (shown and (shown.name, shown.start, shown.end)) == said
        expected = f"(expected: {shown})" in status.reason
        assert expected == (shown is not None and status.state in (S.CONNECTING, S.RECONNECTING, S.DEGRADED))
        for effect in effects:
            match effect:
                case do.StartTimer(Timer.CALENDAR, delay):
                    left = (self.holds_until - self.rig.now.wall).total_seconds()
                    assert abs(delay - min(left, LONGEST_LOOK)) < EPSILON

    def _alert(self) -> str:
        """Return the alert of a lasting problem, except an alert about the client id or the journal."""
        alert = self._of_connection()
        return "" if ID_ALERT in alert else alert

    def _of_connection(self) -> str:
        return "; ".join(part for part in self.rig.status.alert.split("; ") if part != JOURNAL_FAILS)

    def _check_alert(self, event: Event) -> None:
        """Raised once per problem, with a reason; cleared with the problem."""
        rig, alert, at_rest = self.rig, self._alert(), self.rig.state in REST
        assert not (self._of_connection() and at_rest)
        assert not (alert and at_rest)
        if alert == self.alert or (not alert and at_rest):
            return
        assert not self.alert, "told twice, or taken back"
        assert event.timer is Timer.ALERT
        assert self._window() is None, "in a window trouble is expected"
        assert rig.mono - self.since >= rig.policy.outage_alert_after - EPSILON
        assert alert in rig.published[-1].alert
        if self.last_in is None:
            assert alert.endswith("outside of any maintenance window")
        else:
            assert alert == f"this continues after the {self.last_in[0]}, which ended at {self.last_in[2]:%H:%M} UTC"

    def _check_timers(self, event: Event, effects: list[Effect]) -> None:
        rig = self.rig
        assert (Timer.CALENDAR in rig.timers) == (rig.machine.is_wanted and bool(self.windows))
        assert (Timer.ALERT in rig.timers) == (rig.state not in REST and not self._alert())
        for effect in effects:
            match effect:
                case do.StartTimer(Timer.ALERT, delay) if self.since is None:
                    assert delay == rig.policy.outage_alert_after
                case do.StartTimer(Timer.ALERT, delay) if isinstance(event, event_of.ClockJumped):
                    assert delay == max(0.0, self.since + rig.policy.outage_alert_after - rig.mono)
                case do.StartTimer(Timer.ALERT, delay):
                    window = self._window()
                    assert window is not None
                    assert abs(delay - (window[2] - rig.now.wall).total_seconds()) < EPSILON

    def _follow(self) -> None:
        self.alert = self._alert()
        if self.rig.state in REST:
            self.since = self.last_in = None
        elif self.since is None:
            self.since, self.last_in = self.rig.mono, self.said
