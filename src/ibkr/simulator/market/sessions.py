"""When instruments trade: the sessions of each kind of instrument, by day. No holidays."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibkr.simulator.market.instrument import Instrument

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening and closing in minutes from midnight; a negative opening is on the evening before."""

    opens: int
    closes: int


_REGULAR = Hours(9 * 60 + 30, 16 * 60)
_EXTENDED: Final = {
    "STK": Hours(4 * 60, 20 * 60),
    "FUT": Hours(-6 * 60, 17 * 60),
    "CASH": Hours(17 * 60 + 15 - 24 * 60, 17 * 60),
}


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


def _hours_of(item: Instrument, regular: bool) -> Hours:
    extended = _EXTENDED.get(item.sec_type, _REGULAR)
    return _REGULAR if regular and item.sec_type != "CASH" else extended


def length_of(item: Instrument, regular: bool) -> int:
    """Seconds of a session."""
    hours = _hours_of(item, regular)
    return 60 * (hours.closes - hours.opens)


def session_of(item: Instrument, day: dt.date, regular: bool) -> Session | None:
    """The session of a day; None at the weekend. A currency pair has no regular hours but its own."""
    if day.weekday() >= 5:
        return None
    hours = _hours_of(item, regular)
    midnight = dt.datetime.combine(day, dt.time())
    zone = zone_of(item)
    start, end = (
        int((midnight + dt.timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp())
        for minutes in (hours.opens, hours.closes)
    )
    return Session(day, start, end)


def sessions_before(item: Instrument, until: float, regular: bool) -> Iterator[Session]:
    """The sessions that had begun by `until`, the latest first, the running one cut off there."""
    day = dt.datetime.fromtimestamp(until, zone_of(item)).date() + _DAY
    while True:
        found = session_of(item, day, regular)
        if found and found.start < until:
            yield Session(day, found.start, min(found.end, int(until)))
        day -= _DAY


def hours_text(item: Instrument, regular: bool) -> str:
    """The sessions of six days from today on, as contractDetails gives them."""
    zone, words = zone_of(item), []
    for offset in range(6):
        day = dt.datetime.now(zone).date() + offset * _DAY
        found = session_of(item, day, regular)
        if found is None:
            words.append(f"{day:%Y%m%d}:CLOSED")
        else:
            start, end = (dt.datetime.fromtimestamp(at, zone) for at in (found.start, found.end))
            words.append(f"{start:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}")
    return ";".join(words)
