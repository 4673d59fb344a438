"""Maintenance windows: IB's resets, the weekend, the weekly login, the gateway's own restart.

Outages are expected during these windows.

Windows recur weekly at local times of a time zone, including daylight saving time. The defaults are from IB's page on
system status. IB has changed them over the years, so all of them can be configured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.status import MaintenanceWindow

Zone = Callable[[str], tzinfo]
"""Returns the zone of an IANA name, like ``zoneinfo.ZoneInfo``. Raises ``KeyError``, ``ValueError`` or ``OSError``."""

_WEEKEND = "weekend maintenance: Fri 23:00-03:00 America/New_York"
# Security tokens expire each Sunday 01:00 New York time; the first login after that needs a person.
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
"""The windows of IB's data centres. IB decides which one serves an account."""

_RESTART_TAKES = timedelta(minutes=10)
"""The longest time until the gateway's port is open again. We have seen one to five minutes; Lean waits five."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = re.compile(r"(?P<name>[^:]+): (?P<days>\w+(?:-\w+)?) (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d) (?P<zone>\S+)")
_CURE = "must read like 'nightly reset: Sun-Fri 00:15-01:45 America/New_York'"
_RESTART_FORM = r"(?P<start>\d\d:\d\d) (?P<zone>\S+)"
_RESTART_CURE = "must read like '23:45 America/New_York', the time and zone of the gateway's own restart"


class Recurrence(FrozenRecord):
    """A weekly window: the days on which it starts (Monday is 0), and its local times.

    If the end is not after the start, it is on the next day.
    """

    name: str
    days: frozenset[int]
    start: time
    end: time
    zone: tzinfo

    def around(self, moment: datetime) -> Iterator[MaintenanceWindow]:
        """The windows that start from one day before to eight days after the moment."""
        first = moment.astimezone(self.zone).date() - timedelta(days=1)
        for number in range(10):
            day = first + timedelta(days=number)
            if day.weekday() in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                start = self._utc(day, self.start)
                # When summer time begins, the local end may be before the start, or may not exist.
                length = datetime.combine(last, self.end) - datetime.combine(day, self.start)
                yield MaintenanceWindow(self.name, start, max(self._utc(last, self.end), start + length))

    def _utc(self, day: date, local: time) -> datetime:
        return datetime.combine(day, local, self.zone).astimezone(UTC)


class Calendar:
    """The maintenance windows of one gateway. Takes aware datetimes."""

    def __init__(self, recurrences: Iterable[Recurrence] = ()) -> None:
        self._recurrences = tuple(recurrences)

    def window_at(self, moment: datetime) -> tuple[MaintenanceWindow | None, datetime | None]:
        """The current window, and the moment until which this answer is valid.

        If several windows overlap, the one that ends last is returned. A calendar without windows returns ``(None,
        None)``.
        """
        around = [window for recurrence in self._recurrences for window in recurrence.around(moment)]
        current = [window for window in around if window.start <= moment < window.end]
        changes = [edge for window in around for edge in (window.start, window.end) if edge > moment]
        return max(current, key=lambda window: window.end, default=None), min(changes, default=None)


def build_calendar(region: str, windows: Iterable[str], daily_restart: str, zone: Zone) -> Calendar:
    """The calendar of a region of ``REGIONS``, with your own windows and the gateway's daily restart.

    Raises:
        ConfigError: A window or time cannot be parsed, or a time zone is unknown.
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
        cure = "write a name such as Europe/London"
        raise ConfigError(key, text, f"{name} is not the name of a time zone; {cure}") from error


def _days(text: str) -> frozenset[int]:
    first, _, last = text.partition("-")
    for day in (first, last or first):
        if day not in _DAYS:
            raise ValueError(f"{day!r} is not one of {', '.join(_DAYS)}")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((start + number) % 7 for number in range((end - start) % 7 + 1))
