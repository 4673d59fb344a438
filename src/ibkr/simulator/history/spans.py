"""The words of requests for history: end, duration and bar size; what they are refused with; how dates are written."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY: Final = 86_400
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY

BAR_SIZES: Final = {
    **{f"{count} secs": count for count in (1, 5, 10, 15, 30)},
    "1 min": 60,
    **{f"{count} mins": 60 * count for count in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": 3600,
    **{f"{count} hours": 3600 * count for count in (2, 3, 4, 8)},
    "1 day": DAY,
    "1 week": WEEK,
    "1 month": MONTH,
}
"""Bar sizes as TWS names them, in seconds."""

_OTHER_NAMES: Final = {"1 sec": 1, "1W": WEEK, "1M": MONTH, "1D": DAY, "1 mins": 60, "1 hours": 3600}
_DURATION = re.compile(r"([1-9][0-9]{0,8}) ?([SDWMY])")
_DATE = re.compile(r"(\d{8})(?:( +|-)(\d\d:\d\d:\d\d)(?:Z| (\S+))?)?")


class BadSpan(ValueError):
    """A word cannot be read; TWS answers 321 with this text."""


@dataclass(frozen=True, slots=True)
class Duration:
    """How far back: so many of a unit, which is S, D, W, M or Y."""

    count: int
    unit: str

    @property
    def seconds(self) -> int:
        """Its length by the calendar."""
        return self.count * {"S": 1, "D": DAY, "W": WEEK, "M": MONTH, "Y": 365 * DAY}[self.unit]


def parse_duration(text: str) -> Duration:
    """A duration such as `1 D`. Raises `BadSpan`."""
    match = _DURATION.fullmatch(text.strip().upper())
    if not match:
        raise BadSpan(
            f"Historical data query duration string [{text[:40]}] is not parsable. "
            "Format is 'integer{SPACE}unit (S|D|W|M|Y)'."
        )
    found = Duration(int(match[1]), match[2])
    if found.seconds > 365 * DAY and found.unit != "Y":
        raise BadSpan("Historical data requests for durations longer than 365 days must be made in years.")
    return found


def parse_bar_size(text: str) -> int:
    """Seconds of a bar size such as `1 min`. Raises `BadSpan`."""
    size = BAR_SIZES.get(text) or _OTHER_NAMES.get(text)
    if size is None:
        legal = ", ".join(BAR_SIZES)
        raise BadSpan(f"Historical data bar size setting is invalid. Legal ones are: {legal}")
    return size


def parse_time(text: str, zone: ZoneInfo) -> float | None:
    """Seconds since the epoch of `yyyymmdd HH:MM:SS [zone]` or, in UTC, `yyyymmdd-HH:MM:SS[Z]`; None for an empty text.

    Raises `BadSpan`.
    """
    if not text:
        return None
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        if match[4] or match[2] == "-":
            zone = ZoneInfo(match[4] or "UTC")
        found = dt.datetime.strptime(match[1] + (match[3] or "00:00:00"), "%Y%m%d%H:%M:%S")
        return found.replace(tzinfo=zone).timestamp()
    except (ValueError, ZoneInfoNotFoundError, OverflowError):
        raise BadSpan(
            f"Historical data query end date/time string [{text[:40]}] is invalid. "
            "Format is 'YYYYMMDD{SPACE}hh:mm:ss[{SPACE}TMZ]'."
        ) from None


@dataclass(frozen=True, slots=True)
class DateStyle:
    """How dates are written: as asked for (`format_date` 1 text, 2 seconds), at a server version, in a zone."""

    format_date: int
    server_version: int
    zone: ZoneInfo

    def day(self, time: float) -> str:
        """The date of a bar of a day or more: no seconds even where they are asked for."""
        return f"{dt.datetime.fromtimestamp(time, self.zone):%Y%m%d}"

    def moment(self, time: float) -> str:
        """The date and time of a shorter bar."""
        return str(int(time)) if self.format_date == 2 else self.text(time)

    def text(self, time: float) -> str:
        """Date and time; with the zone from version 174 on (INSTRUMENT_TIMEZONE)."""
        found = dt.datetime.fromtimestamp(time, self.zone)
        if self.server_version >= 174:
            return f"{found:%Y%m%d %H:%M:%S} {self.zone.key}"
        return f"{found:%Y%m%d  %H:%M:%S}"
