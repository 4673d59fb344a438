"""When trouble is to be expected: IB's resets, the weekend, the weekly login, the gateway's own restart.

Windows recur weekly at local times of a zone, daylight saving included; the zones are handed in. The defaults are those
of IB's page on system status; IB has moved them over the years, so all of them are configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ibkr.core.errors import ConfigError
from ibkr.core.value import Value
from ibkr.core.window import Window

Zone = Callable[[str], tzinfo]
"""Gives the zone of an IANA name, as ``zoneinfo.ZoneInfo`` does; raises ``KeyError``, ``ValueError`` or ``OSError``."""

_WEEKEND = "weekend maintenance: Fri 23:00-03:00 America/New_York"
# Security tokens are void each Sunday 01:00 New York time; the first login after that needs a person.
_LOGIN = "weekly login: Sun 01:00-02:00 America/New_York"
REGIONS: dict[str, tuple[str, ...]] = {
    "america": ("nightly reset: Sun-Fri 00:15-01:45 America/New_York", _WEEKEND, _LOGIN),
    "europe": ("nightly reset: Sun-Fri 06:25-07:45 Europe/Zurich", _WEEKEND, _LOGIN),
    "asia": (
        "first reset: Sun-Fri 04:45-06:05 Asia/Hong_Kong",
        "second reset: Sun-Fri 20:15-21:15 Asia/Hong_Kong",
        _WEEKEND,
        _LOGIN,
    ),
    "none": (),
}
"""The windows of IB's data centres; IB sets which one an account is in."""

_RESTART_TAKES = timedelta(minutes=10)
"""From the time set in the gateway to its port open again: one to five minutes are seen; Lean waits five."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = re.compile(r"(?P<name>[^:]+): (?P<days>\w+(?:-\w+)?) (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d) (?P<zone>\S+)")
_CURE = "must read like 'nightly reset: Sun-Fri 00:15-01:45 America/New_York'"
_RESTART_FORM = r"(?P<start>\d\d:\d\d) (?P<zone>\S+)"
_RESTART_CURE = "must read like '23:45 America/New_York', the time and zone of the gateway's own restart"


class Recurrence(Value):
    """A window that comes back each week: on which days it starts (Monday is 0), and its local times.

    An end that is not after the start is on the next day.
    """

    name: str
    days: frozenset[int]
    start: time
    end: time
    zone: tzinfo

    def around(self, moment: datetime) -> Iterator[Window]:
        """The windows that start from the day before to eight days after the moment."""
        first = moment.astimezone(self.zone).date() - timedelta(days=1)
        for number in range(10):
            day = first + timedelta(days=number)
            if day.weekday() in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                start = self._utc(day, self.start)
                # In a night in which the clocks go forward the local end may come before the start, or not exist.
                length = datetime.combine(last, self.end) - datetime.combine(day, self.start)
                yield Window(self.name, start, max(self._utc(last, self.end), start + length))

    def _utc(self, day: date, local: time) -> datetime:
        return datetime.combine(day, local, self.zone).astimezone(UTC)


class Calendar:
    """The windows of one gateway. Asked with aware datetimes."""

    def __init__(self, recurrences: Iterable[Recurrence] = ()) -> None:
        self._recurrences = tuple(recurrences)

    def look(self, moment: datetime) -> tuple[Window | None, datetime | None]:
        """The window that the moment is in, of several the one that ends last; and until when this answer holds.

        A calendar without windows gives ``(None, None)``.
        """
        around = [window for recurrence in self._recurrences for window in recurrence.around(moment)]
        current = [window for window in around if window.start <= moment < window.end]
        changes = [edge for window in around for edge in (window.start, window.end) if edge > moment]
        return max(current, key=lambda window: window.end, default=None), min(changes, default=None)


def calendar_of(region: str, windows: Iterable[str], daily_restart: str, zone: Zone) -> Calendar:
    """The calendar of a region of ``REGIONS``, with windows of one's own and the gateway's daily restart.

    Raises ``ConfigError`` for a window or a time that cannot be read, and for a zone that is none.
    """
    recurrences = [_window(text, zone) for text in (*REGIONS[region], *windows)]
    if daily_restart:
        recurrences.append(_restart(daily_restart, zone))
    return Calendar(recurrences)


def _window(text: str, zone: Zone) -> Recurrence:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConfigError("ibkr.maintenance", text, _CURE)
    try:
        start, end = time.fromisoformat(match["start"]), time.fromisoformat(match["end"])
        days = _days(match["days"])
    except ValueError as error:
        raise ConfigError("ibkr.maintenance", text, f"{_CURE}: {error}") from error
    where = _zone("ibkr.maintenance", text, match["zone"], zone)
    return Recurrence(match["name"].strip(), days, start, end, where)


def _restart(text: str, zone: Zone) -> Recurrence:
    match = re.fullmatch(_RESTART_FORM, text.strip())
    if match is None:
        raise ConfigError("ibkr.daily_restart", text, _RESTART_CURE)
    try:
        start = time.fromisoformat(match["start"])
    except ValueError as error:
        raise ConfigError("ibkr.daily_restart", text, f"{_RESTART_CURE}: {error}") from error
    where = _zone("ibkr.daily_restart", text, match["zone"], zone)
    end = (datetime.combine(date.min, start) + _RESTART_TAKES).time()
    return Recurrence("daily restart of the gateway", frozenset(range(7)), start, end, where)


def _zone(key: str, text: str, name: str, zone: Zone) -> tzinfo:
    try:
        return zone(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(key, text, f"{name} is no time zone's name, such as Europe/London") from error


def _days(text: str) -> frozenset[int]:
    first, _, last = text.partition("-")
    for day in (first, last or first):
        if day not in _DAYS:
            raise ValueError(f"{day!r} is none of {', '.join(_DAYS)}")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((start + number) % 7 for number in range((end - start) % 7 + 1))
