"""Trading calendars: the hours of an exchange, its holidays, and its short days.

Holidays are rules and not lists, because history can start in 1990. The tests compare them with the calendars that the
exchanges have published.
"""

import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_DAY: Final = dt.timedelta(days=1)
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening and closing, in minutes from midnight. A negative opening is on the evening before."""

    opens: int
    closes: int


Days = frozenset[dt.date]
_NONE: Final[Days] = frozenset()


def _no_days(year: int) -> Days:
    return _NONE


@dataclass(frozen=True, slots=True)
class Calendar:
    """When an exchange trades. `holidays` and `short_days` return the days of a year.

    On a short day, trading ends at `short_close` in regular hours and at `short_end` in all hours, in minutes from
    midnight.
    """

    all_hours: Hours
    regular_hours: Hours
    holidays: Callable[[int], Days] = _no_days
    short_days: Callable[[int], Days] = _no_days
    short_close: int = 13 * 60
    short_end: int = 13 * 60
    weekend: frozenset[int] = field(default=frozenset({_SATURDAY, _SUNDAY}))

    def is_trading_day(self, day: dt.date) -> bool:
        """Return whether the exchange opens on this day."""
        return day.weekday() not in self.weekend and day not in self.holidays(day.year)

    def hours(self, day: dt.date, regular: bool) -> Hours:
        """Return the hours of a trading day."""
        usual = self.regular_hours if regular else self.all_hours
        if day not in self.short_days(day.year):
            return usual
        return Hours(usual.opens, self.short_close if regular else self.short_end)


def _easter(year: int) -> dt.date:
    """Return Easter Sunday, by the anonymous Gregorian algorithm."""
    century, of_century = divmod(year, 100)
    golden = year % 19
    leaps, rest = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    moon = (19 * golden + century - leaps - correction + 15) % 30
    to_sunday = (32 + 2 * rest + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (golden + 11 * moon + 22 * to_sunday) // 451
    month, day = divmod(moon + to_sunday - 7 * late + 114, 31)
    return dt.date(year, month, day + 1)


def _nth(year: int, month: int, weekday: int, number: int) -> dt.date:
    """Return the n-th Monday, Thursday, ... of a month. -1 is the last day of this kind."""
    if number < 0:
        last = (dt.date(year, month, 28) + 4 * _DAY).replace(day=1) - _DAY
        return last - (last.weekday() - weekday) % 7 * _DAY
    first = dt.date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (number - 1)) * _DAY


def _nearest(day: dt.date) -> dt.date:
    """Move a holiday from Saturday to Friday, and from Sunday to Monday."""
    return day + {_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0) * _DAY


_CLOSED_ONCE: Final = frozenset(
    {
        dt.date(1994, 4, 27),
        *(dt.date(2001, 9, day) for day in (11, 12, 13, 14)),
        dt.date(2004, 6, 11),
        dt.date(2007, 1, 2),
        dt.date(2012, 10, 29),
        dt.date(2012, 10, 30),
        dt.date(2018, 12, 5),
        dt.date(2025, 1, 9),
    }
)
"""Days on which New York was closed, but not by the rules: funerals, attacks, storms."""


@functools.lru_cache(maxsize=256)
def new_york_holidays(year: int) -> Days:
    """Return the days of a year on which NYSE and NASDAQ are closed."""
    found = {
        _nth(year, 2, _MONDAY, 3),
        _easter(year) - 2 * _DAY,
        _nth(year, 5, _MONDAY, -1),
        _nearest(dt.date(year, 7, 4)),
        _nth(year, 9, _MONDAY, 1),
        _nth(year, 11, _THURSDAY, 4),
        _nearest(dt.date(year, 12, 25)),
        *(day for day in _CLOSED_ONCE if day.year == year),
    }
    new_year = dt.date(year, 1, 1)
    if new_year.weekday() != _SATURDAY:  # New Year on a Saturday is not moved into the old year
        found.add(_nearest(new_year))
    if year >= 1998:
        found.add(_nth(year, 1, _MONDAY, 3))
    if year >= 2022:
        found.add(_nearest(dt.date(year, 6, 19)))
    return frozenset(found)


@functools.lru_cache(maxsize=256)
def new_york_short_days(year: int) -> Days:
    """Return the days of a year on which New York closes at 13:00."""
    days = {dt.date(year, 7, 3), _nth(year, 11, _THURSDAY, 4) + _DAY, dt.date(year, 12, 24)}
    return frozenset(days - new_york_holidays(year))


@functools.lru_cache(maxsize=256)
def chicago_holidays(year: int) -> Days:
    """Return the days of a year on which CME is closed."""
    return frozenset({_nearest(dt.date(year, 1, 1)), _easter(year) - 2 * _DAY, _nearest(dt.date(year, 12, 25))})


@functools.lru_cache(maxsize=256)
def chicago_short_days(year: int) -> Days:
    """Return the days of a year on which CME closes at noon: most holidays and all short days of New York."""
    return (new_york_holidays(year) | new_york_short_days(year)) - chicago_holidays(year) - _CLOSED_ONCE


@functools.lru_cache(maxsize=256)
def frankfurt_holidays(year: int) -> Days:
    """Return the days of a year on which Xetra and Eurex are closed."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))
    return frozenset({*(dt.date(year, *day) for day in fixed), easter - 2 * _DAY, easter + _DAY})


@functools.lru_cache(maxsize=256)
def london_holidays(year: int) -> Days:
    """Return the days of a year on which the London exchange is closed."""
    easter = _easter(year)
    found = {easter - 2 * _DAY, easter + _DAY, *(_nth(year, *day) for day in ((5, 0, 1), (5, 0, -1), (8, 0, -1)))}
    for month, number in ((1, 1), (12, 25), (12, 26)):
        day = dt.date(year, month, number)
        while day.weekday() in (_SATURDAY, _SUNDAY) or day in found:
            day += _DAY
        found.add(day)
    return frozenset(found)


@functools.lru_cache(maxsize=256)
def forex_holidays(year: int) -> Days:
    """Return the days of a year on which currencies are not traded."""
    return frozenset({dt.date(year, 1, 1), dt.date(year, 12, 25)})


_REGULAR: Final = Hours(9 * 60 + 30, 16 * 60)
_FOREX: Final = Hours(-(6 * 60 + 45), 17 * 60)

CALENDARS: Final[dict[str, Calendar]] = {
    "NYSE": Calendar(
        Hours(4 * 60, 20 * 60), _REGULAR, new_york_holidays, new_york_short_days, short_close=13 * 60, short_end=17 * 60
    ),
    "CBOE": Calendar(_REGULAR, _REGULAR, new_york_holidays, new_york_short_days),
    "CME": Calendar(
        Hours(-7 * 60, 16 * 60),
        Hours(8 * 60 + 30, 16 * 60),
        chicago_holidays,
        chicago_short_days,
        short_close=12 * 60,
        short_end=12 * 60,
    ),
    "NYMEX": Calendar(
        Hours(-6 * 60, 17 * 60),
        Hours(9 * 60 + 30, 17 * 60),
        chicago_holidays,
        chicago_short_days,
        short_close=13 * 60 + 30,
        short_end=13 * 60 + 30,
    ),
    "FOREX": Calendar(_FOREX, _FOREX, forex_holidays),
    "BOND": Calendar(Hours(8 * 60, 17 * 60), Hours(8 * 60, 17 * 60), new_york_holidays),
    "CRYPTO": Calendar(Hours(0, 24 * 60), Hours(0, 24 * 60), weekend=frozenset()),
    "XETRA": Calendar(Hours(9 * 60, 17 * 60 + 30), Hours(9 * 60, 17 * 60 + 30), frankfurt_holidays),
    "EUREX": Calendar(Hours(60 + 10, 22 * 60), Hours(8 * 60, 22 * 60), frankfurt_holidays),
    "LSE": Calendar(Hours(8 * 60, 16 * 60 + 30), Hours(8 * 60, 16 * 60 + 30), london_holidays),
}
"""The calendars by the name that instruments use. Hours are in the instrument's time zone."""
