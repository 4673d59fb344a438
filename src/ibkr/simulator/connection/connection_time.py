"""The connection time in the gateway's answer to the hello, with the name of its time zone.

Real gateways send the name that Java has for the time zone of their host. The name can contain blanks ("British Summer
Time"). Its encoding is that of the host, which is not always UTF-8 (ib_async issue 143, ibsync issue 11).
"""

import datetime as dt
import time
import zoneinfo
from dataclasses import dataclass

_HOURS = {
    "British Summer Time": 1.0,
    "Greenwich Mean Time": 0.0,
    "Coordinated Universal Time": 0.0,
    "Central European Standard Time": 1.0,
    "Central European Summer Time": 2.0,
    "Eastern Standard Time": -5.0,
    "Eastern Daylight Time": -4.0,
    "Central Standard Time": -6.0,
    "Central Daylight Time": -5.0,
    "Pacific Standard Time": -8.0,
    "Pacific Daylight Time": -7.0,
    "EST": -5.0,
    "EDT": -4.0,
    "CST": -6.0,
    "CET": 1.0,
    "China Standard Time": 8.0,
    "\u4e2d\u56fd\u6807\u51c6\u65f6\u95f4": 8.0,
    "Japan Standard Time": 9.0,
    "India Standard Time": 5.5,
}
"""Hours ahead of UTC, by the names that Java uses."""


@dataclass(frozen=True, slots=True)
class TimeZone:
    """The name of a time zone, and the encoding in which it is sent. Without a name, the zone of this computer is used.

    A name that is neither in `_HOURS` nor in the IANA database ("America/New_York") is sent with the local time of this
    computer.

    Raises:
        ValueError: The encoding does not exist or has no code for the name.
    """

    name: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if "\0" in (self.name or ""):
            raise ValueError(f"time_zone: a name without NUL is needed, not {self.name!r}")
        try:
            (self.name or "").encode(self.encoding)
        except LookupError:
            raise ValueError(f"time_zone_encoding: unknown encoding {self.encoding!r}; write utf-8 or gb2312") from None
        except UnicodeEncodeError:
            raise ValueError(
                f"time_zone_encoding: {self.encoding} has no code for {self.name!r}; write utf-8"
            ) from None

    def text(self, now: float) -> str:
        """Return `yyyymmdd HH:MM:SS ZONE` for a time in seconds since the epoch."""
        if self.name is None:
            return time.strftime("%Y%m%d %H:%M:%S %Z", time.localtime(now))
        there = dt.datetime.fromtimestamp(now, _zone(self.name))
        return f"{there:%Y%m%d %H:%M:%S} {self.name}"


def _zone(name: str) -> dt.tzinfo | None:
    if name in _HOURS:
        return dt.timezone(dt.timedelta(hours=_HOURS[name]))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
