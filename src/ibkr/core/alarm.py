"""The calendar and the alert: what trouble is expected, and when one that lasts is told to a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from ibkr.core.effects import StartTimer, StopTimer
from ibkr.core.facts import Fact, Timer
from ibkr.core.state import ConnectionState
from ibkr.core.step import Step

# The wall clock may be set meanwhile: the calendar is looked at this often, whatever it said.
_LONGEST_LOOK = 3600.0


def look_at_calendar(step: Step, _fact: Fact | None = None) -> None:
    """Note the window that we are in, and come back when that changes."""
    s, now = step.situation, step.now.wall
    s.maintenance, until = step.calendar.look(now)
    s.calendar_holds_until = until
    if s.maintenance is not None and s.trouble_since is not None:
        s.trouble_in = s.maintenance
    _come_back(step, until)


def clock_jumped(step: Step, fact: Fact) -> None:
    """The time that the machine slept is none for its timers: the window may be over long since."""
    look_at_calendar(step, fact)
    s = step.situation
    if s.trouble_since is not None and not s.alert:
        step.do(StartTimer(Timer.ALERT, max(0.0, s.trouble_since + step.policy.outage_alert_after - step.now.mono)))


def begin(step: Step) -> None:
    """A connection is wanted. What the calendar said when it was last asked is used while it holds: zones are slow."""
    until = step.situation.calendar_holds_until
    if until is not None and until <= step.now.wall:
        look_at_calendar(step)
    else:
        _come_back(step, until)


def follow(step: Step, state: ConnectionState) -> None:
    """A trouble begins or ends with the state that this step led to: an outage, or a first connection that is late."""
    s = step.situation
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


def overdue(step: Step, _fact: Fact) -> None:
    """The trouble lasts. In a window it is expected, and looked at again when that ends."""
    s = step.situation
    assert s.trouble_since is not None, "the timer runs in a trouble alone"
    look_at_calendar(step)  # its own timer may be later than this one
    if s.maintenance is not None:
        left = s.maintenance.end - step.now.wall
        step.do(StartTimer(Timer.ALERT, left / timedelta(seconds=1)))
        return
    if s.trouble_in is not None:
        s.alert = f"this has outlived the {s.trouble_in.name}, which ended at {s.trouble_in.end:%H:%M} UTC"
    else:
        s.alert = f"this has lasted for {in_words(step.now.mono - s.trouble_since)} outside of any maintenance window"


def _come_back(step: Step, until: datetime | None) -> None:
    if until is not None:
        left = (until - step.now.wall) / timedelta(seconds=1)
        step.do(StartTimer(Timer.CALENDAR, min(left, _LONGEST_LOOK)))


def in_words(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
