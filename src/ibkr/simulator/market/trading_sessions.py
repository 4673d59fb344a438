"""The trading sessions of instruments by day, from the calendar of their exchange.

A simulated market can be set to never close. Then every day from the market's start on is a trading day, and each
session lasts until the next session.
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
class TradingSession:
    """One trading day, from `start` to `end` in seconds since the epoch."""

    day: dt.date
    start: int
    end: int


def zone_of(item: Instrument) -> ZoneInfo:
    """Return the time zone of an instrument."""
    return ZoneInfo(item.time_zone_id)


def is_zone(name: str) -> bool:
    """Return whether a time zone of this name exists."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def today() -> dt.date:
    """Return the date in New York."""
    return dt.datetime.now(ZoneInfo("US/Eastern")).date()


def _calendar_of(item: Instrument) -> Calendar:
    return CALENDARS[item.calendar]


def length_of(item: Instrument, regular: bool) -> int:
    """Return the seconds of a normal session."""
    calendar = _calendar_of(item)
    hours = calendar.regular_hours if regular else calendar.all_hours
    return 60 * (hours.closes - hours.opens)


def session_of(
    item: Instrument, day: dt.date, regular: bool, never_closes_from: float | None = None
) -> TradingSession | None:
    """Return the session of a day, or `None` if the exchange does not open.

    `never_closes_from` is the start of a market that never closes, in seconds since the epoch.
    """
    calendar = _calendar_of(item)
    if never_closes_from is not None:
        start, following = (_times(item, at, calendar.all_hours)[0] for at in (day, day + _DAY))
        if following > never_closes_from:
            usual = TradingSession(day, *_times(item, day, calendar.regular_hours))
            return usual if regular else TradingSession(day, start, following)
    if not calendar.is_trading_day(day):
        return None
    return TradingSession(day, *_times(item, day, calendar.hours(day, regular)))


def _times(item: Instrument, day: dt.date, hours: Hours) -> tuple[int, int]:
    midnight, zone = dt.datetime.combine(day, dt.time()), zone_of(item)
    start, end = (
        int((midnight + dt.timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp())
        for minutes in (hours.opens, hours.closes)
    )
    return start, end


def sessions_before(
    item: Instrument, until: float, regular: bool, never_closes_from: float | None = None
) -> Iterator[TradingSession]:
    """Return the sessions that started before `until`, latest first. Sessions that end later are cut at `until`."""
    day = dt.datetime.fromtimestamp(until, zone_of(item)).date() + _DAY
    while True:
        session = session_of(item, day, regular, never_closes_from)
        if session and session.start < until:
            yield TradingSession(day, session.start, min(session.end, int(until)))
        day -= _DAY


def sessions_after(
    item: Instrument, begin: float, until: float, regular: bool, never_closes_from: float | None = None
) -> Iterator[TradingSession]:
    """Return the sessions between two times, earliest first. Those that begin earlier or end later are cut."""
    day = dt.datetime.fromtimestamp(begin, zone_of(item)).date() - _DAY
    last = dt.datetime.fromtimestamp(until, zone_of(item)).date() + _DAY
    while day <= last:
        session = session_of(item, day, regular, never_closes_from)
        if session and session.end > begin and session.start < until:
            yield TradingSession(day, max(session.start, int(begin)), min(session.end, int(until)))
        day += _DAY


def is_in_session(item: Instrument, time: float) -> bool:
    """Return whether the exchange trades an instrument at a time, in or outside regular hours."""
    day = dt.datetime.fromtimestamp(time, zone_of(item)).date()
    sessions = (session_of(item, at, False) for at in (day, day + _DAY))
    return any(session is not None and session.start <= time < session.end for session in sessions)


def round_to_clock(item: Instrument, time: float, size: int) -> int:
    """Round a time down to a multiple of `size` seconds from midnight, in the instrument's time zone."""
    midnight = dt.datetime.fromtimestamp(time, zone_of(item)).replace(hour=0, minute=0, second=0, microsecond=0)
    since = int(midnight.timestamp())
    return since + int(time - since) // size * size


def hours_text(item: Instrument, regular: bool) -> str:
    """Return the sessions of six days from today, as in contractDetails."""
    zone, words = zone_of(item), []
    for offset in range(6):
        day = dt.datetime.now(zone).date() + offset * _DAY
        session = session_of(item, day, regular)
        if session is not None:
            start, end = (dt.datetime.fromtimestamp(at, zone) for at in (session.start, session.end))
            words.append(f"{start:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}")
        elif not _opens_in_the_evening(item, day, regular):
            words.append(f"{day:%Y%m%d}:CLOSED")
    return ";".join(words)


def _opens_in_the_evening(item: Instrument, day: dt.date, regular: bool) -> bool:
    """Return whether the session of the next day starts on this day: Monday's session can start on Sunday."""
    following = session_of(item, day + _DAY, regular)
    return following is not None and dt.datetime.fromtimestamp(following.start, zone_of(item)).date() == day
