"""The parameters of historical requests: end, duration, bar size, and date format; `HistoryQuery` has them all."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from ibkr.simulator.market.bar import Bar
from ibkr.simulator.market.date_text import invalid_date, parse_date
from ibkr.simulator.market.instrument import Instrument

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


class InvalidQuery(ValueError):
    """A parameter is invalid. TWS answers with this code and text."""

    def __init__(self, text: str, code: int = 321) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Duration:
    """The duration of a request: a number of units. The unit is S, D, W, M, or Y."""

    count: int
    unit: str

    @property
    def seconds(self) -> int:
        """The length in calendar time."""
        return self.count * {"S": 1, "D": DAY, "W": WEEK, "M": MONTH, "Y": 365 * DAY}[self.unit]


def parse_duration(text: str) -> Duration:
    """Parse a duration such as `1 D`. Raises `InvalidQuery` for a text that TWS refuses."""
    match = _DURATION.fullmatch(text.strip().upper())
    if not match:
        raise InvalidQuery(
            f"Historical data query duration string [{text[:40]}] is not parsable. "
            "Format is 'integer{SPACE}unit (S|D|W|M|Y)'."
        )
    found = Duration(int(match[1]), match[2])
    if found.seconds > 365 * DAY and found.unit != "Y":
        raise InvalidQuery("Historical data requests for durations longer than 365 days must be made in years.")
    return found


def parse_bar_size(text: str) -> int:
    """Parse a bar size such as `1 min`, in seconds. Raises `InvalidQuery` for an unknown size."""
    size = BAR_SIZES.get(text) or _OTHER_NAMES.get(text)
    if size is None:
        legal = ", ".join(BAR_SIZES)
        raise InvalidQuery(f"Historical data bar size setting is invalid. Legal ones are: {legal}")
    return size


def parse_time(text: str, zone: ZoneInfo, field: str) -> float | None:
    """Parse a date and time to seconds since the epoch; see `parse_date`.

    Returns `None` for an empty text. Raises `InvalidQuery`, whose text has the field's label.
    """
    try:
        return parse_date(text, zone) if text else None
    except ValueError:
        raise InvalidQuery(invalid_date(field), code=10314) from None


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How dates are written: by `format_date` (1 text, 2 seconds), server version, and time zone."""

    format_date: int
    server_version: int
    zone: ZoneInfo

    def day(self, time: float) -> str:
        """Return the date of a bar of a day or more. It is never in seconds."""
        return f"{dt.datetime.fromtimestamp(time, self.zone):%Y%m%d}"

    def moment(self, time: float) -> str:
        """Return the date and time of a shorter bar."""
        return str(int(time)) if self.format_date == 2 else self.text(time)

    def text(self, time: float) -> str:
        """Return date and time, from version 174 with the time zone (INSTRUMENT_TIMEZONE)."""
        found = dt.datetime.fromtimestamp(time, self.zone)
        if self.server_version >= 174:
            return f"{found:%Y%m%d %H:%M:%S} {self.zone.key}"
        return f"{found:%Y%m%d  %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A valid request for historical bars. `end` is `None` for now."""

    req_id: int
    item: Instrument
    end: float | None
    size: int
    duration: Duration
    regular: bool
    what: str
    style: DateFormat
    keep_up_to_date: bool

    def date(self, bar: Bar) -> str:
        """Return the date of a bar as text."""
        return self.style.day(bar.start + DAY // 3) if self.size >= DAY else self.style.moment(bar.start)
