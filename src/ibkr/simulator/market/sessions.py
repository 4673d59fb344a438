"""When instruments trade: their sessions by day, from the calendar of their exchange.

A simulated market can be one that never closes. From the moment it begins every day is then a trading day, and each
session lasts until the next one.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibkr.simulator.market.calendars import CALENDARS, Calendar, Hours
from ibkr.simulator.market.instrument import Instrument

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day, from `start` to `end` in seconds since the epoch."""

    day: dt.date
    start: int
    end: int


def zone_of(item: Instrument) -> ZoneInfo:
    """The time zone of an instrument."""
    return ZoneInfo(item.time_zone_id)


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def today() -> dt.date:
    """The date in New York."""
    return dt.datetime.now(ZoneInfo("US/Eastern")).date()


def _calendar_of(item: Instrument) -> Calendar:
    return CALENDARS[item.calendar]


def length_of(item: Instrument, regular: bool) -> int:
    """Seconds of a usual session."""
    calendar = _calendar_of(item)
    hours = calendar.regular_hours if regular else calendar.all_hours
    return 60 * (hours.closes - hours.opens)


def session_of(item: Instrument, day: dt.date, regular: bool, never_closes_from: float | None = None) -> Session | None:
    """The session of a day; None if the exchange does not open.

    `never_closes_from` is when a market began that never closes, in seconds since the epoch.
    """
    calendar = _calendar_of(item)
    if never_closes_from is not None:
        start, following = (_times(item, at, calendar.all_hours)[0] for at in (day, day + _DAY))
        if following > never_closes_from:
            usual = Session(day, *_times(item, day, calendar.regular_hours))
            return usual if regular else Session(day, start, following)
    if not calendar.is_trading_day(day):
        return None
    return Session(day, *_times(item, day, calendar.hours(day, regular)))


def _times(item: Instrument, day: dt.date, hours: Hours) -> tuple[int, int]:
    midnight, zone = dt.datetime.combine(day, dt.time()), zone_of(item)
    start, end = (
        int((midnight + dt.timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp())
        for minutes in (hours.opens, hours.closes)
    )
    return start, end


def sessions_before(
    item: Instrument, until: float, regular: bool, never_closes_from: float | None = None
) -> Iterator[Session]:
    """The sessions that had begun by `until`, the latest first, the running one cut off there."""
    day = dt.datetime.fromtimestamp(until, zone_of(item)).date() + _DAY
    while True:
        found = session_of(item, day, regular, never_closes_from)
        if found and found.start < until:
            yield Session(day, found.start, min(found.end, int(until)))
        day -= _DAY


def sessions_after(
    item: Instrument, begin: float, until: float, regular: bool, never_closes_from: float | None = None
) -> Iterator[Session]:
    """The sessions between two times, the earliest first, those at the ends cut off there."""
    day = dt.datetime.fromtimestamp(begin, zone_of(item)).date() - _DAY
    last = dt.datetime.fromtimestamp(until, zone_of(item)).date() + _DAY
    while day <= last:
        found = session_of(item, day, regular, never_closes_from)
        if found and found.end > begin and found.start < until:
            yield Session(day, max(found.start, int(begin)), min(found.end, int(until)))
        day += _DAY


def is_in_session(item: Instrument, time: float) -> bool:
    """Whether the exchange trades an instrument at a time, in or outside regular hours."""
    day = dt.datetime.fromtimestamp(time, zone_of(item)).date()
    found = (session_of(item, at, False) for at in (day, day + _DAY))
    return any(session is not None and session.start <= time < session.end for session in found)


def on_the_clock(item: Instrument, time: float, size: int) -> int:
    """The latest time on the clock of an instrument's zone, in steps of `size` seconds from midnight."""
    midnight = dt.datetime.fromtimestamp(time, zone_of(item)).replace(hour=0, minute=0, second=0, microsecond=0)
    since = int(midnight.timestamp())
    return since + int(time - since) // size * size


def hours_text(item: Instrument, regular: bool) -> str:
    """The sessions of six days from today on, as contractDetails gives them."""
    zone, words = zone_of(item), []
    for offset in range(6):
        day = dt.datetime.now(zone).date() + offset * _DAY
        found = session_of(item, day, regular)
        if found is not None:
            start, end = (dt.datetime.fromtimestamp(at, zone) for at in (found.start, found.end))
            words.append(f"{start:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}")
        elif not _opens_in_the_evening(item, day, regular):
            words.append(f"{day:%Y%m%d}:CLOSED")
    return ";".join(words)


def _opens_in_the_evening(item: Instrument, day: dt.date, regular: bool) -> bool:
    """Whether the session of the next day begins on this one, as that of Monday does on Sunday."""
    following = session_of(item, day + _DAY, regular)
    return following is not None and dt.datetime.fromtimestamp(following.start, zone_of(item)).date() == day
