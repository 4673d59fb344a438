"""Reactions of the maintenance calendar and of the alert: which outages are expected, and which need a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from ibkr.core.effects import StartTimer, StopTimer
from ibkr.core.events import Event, Timer
from ibkr.core.states import ConnectionState
from ibkr.core.step import Step

# Seconds. The calendar is checked at least this often, because the wall clock may be set at any time.
_LONGEST_LOOK = 3600.0


def update_maintenance(step: Step, _event: Event | None = None) -> None:
    """Store the current maintenance window, and set the timer for the next change."""
    s, now = step.state, step.now.wall
    s.maintenance, until = step.calendar.window_at(now)
    s.calendar_holds_until = until
    if s.maintenance is not None and s.trouble_since is not None:
        s.trouble_in = s.maintenance
    _schedule_calendar_update(step, until)


def clock_jumped(step: Step, event: Event) -> None:
    """Update the window and the timers after the computer slept, because timers do not run during that time."""
    update_maintenance(step, event)
    s = step.state
    if s.trouble_since is not None and not s.alert:
        step.do(StartTimer(Timer.ALERT, max(0.0, s.trouble_since + step.policy.outage_alert_after - step.now.mono)))


def start_calendar(step: Step) -> None:
    """Begin to watch the calendar. Use its last answer while it is valid, because time zones are slow."""
    until = step.state.calendar_holds_until
    if until is not None and until <= step.now.wall:
        update_maintenance(step)
    else:
        _schedule_calendar_update(step, until)


def update_trouble(step: Step, state: ConnectionState) -> None:
    """Store whether an outage, or a first connection that fails, begins or ends with the new state."""
    s = step.state
    in_trouble = state is not ConnectionState.READY and not state.is_over
    if in_trouble is (s.trouble_since is not None):
        return
    if in_trouble:
        s.trouble_since = step.now.mono
        s.trouble_in = s.maintenance
        step.do(StartTimer(Timer.ALERT, step.policy.outage_alert_after))
    else:
        s.trouble_since = None
        s.trouble_in = None
        s.alert = ""
        step.do(StopTimer(Timer.ALERT))


def raise_alert(step: Step, _event: Event) -> None:
    """Raise the alert, because the outage lasts too long.

    In a maintenance window an outage is expected: check again when the window ends.
    """
    s = step.state
    assert s.trouble_since is not None, "the timer runs only during a trouble"
    update_maintenance(step)  # the calendar's own timer may fire after this one
    if s.maintenance is not None:
        left = s.maintenance.end - step.now.wall
        step.do(StartTimer(Timer.ALERT, left / timedelta(seconds=1)))
        return
    if s.trouble_in is not None:
        s.alert = f"this continues after the {s.trouble_in.name}, which ended at {s.trouble_in.end:%H:%M} UTC"
    else:
        s.alert = (
            f"this has lasted for {format_duration(step.now.mono - s.trouble_since)} outside of any maintenance window"
        )


def _schedule_calendar_update(step: Step, until: datetime | None) -> None:
    if until is not None:
        left = (until - step.now.wall) / timedelta(seconds=1)
        step.do(StartTimer(Timer.CALENDAR, min(left, _LONGEST_LOOK)))


def format_duration(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
