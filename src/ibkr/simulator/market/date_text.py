"""Dates and times as texts of requests, and TWS's text about those that it cannot read."""

import datetime as dt
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DATE = re.compile(r"(\d{8})(?:( +|-)(\d\d:\d\d:\d\d)(?:Z| (\S+))?)?")
_FORMATS = (
    "The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xx/xxxx where yyyymmdd "
    "and xx/xxxx are optional. E.g.: 20031126 15:59:00 US/Eastern  Note that there is a space between the date and "
    "time, and between the time and time-zone.  If no date is specified, current date is assumed. If no time-zone is "
    "specified, local time-zone is assumed(deprecated).  You can also provide yyyymmddd-hh:mm:ss time is in UTC. Note "
    "that there is a dash between the date and time in UTC notation."
)
NO_ZONE = (
    2174,
    "Warning: You submitted request with date-time attributes without explicit time zone. Please switch to use "
    "yyyymmdd-hh:mm:ss in UTC or use instrument time zone, like US/Eastern. Implied time zone functionality will be "
    "removed in the next API release",
)
"""The warning about a time without a time zone. After the warning, TWS sends the answer."""


def parse_date(text: str, zone: ZoneInfo) -> float:
    """Parse `yyyymmdd HH:MM:SS [zone]`, or `yyyymmdd-HH:MM:SS[Z]` in UTC, to seconds since the epoch.

    Raises `ValueError` if the text has another form or is not a valid time.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    try:
        if match[4] or match[2] == "-":
            zone = ZoneInfo(match[4] or "UTC")
        found = dt.datetime.strptime(match[1] + (match[3] or "00:00:00"), "%Y%m%d%H:%M:%S")
        return found.replace(tzinfo=zone).timestamp()
    except (ZoneInfoNotFoundError, OverflowError) as error:
        raise ValueError(text) from error


def has_no_zone(text: str) -> bool:
    """Return whether this valid text has a time without a time zone."""
    match = _DATE.fullmatch(text)
    return match is not None and bool(match[3]) and match[2] != "-" and not match[4] and not text.endswith("Z")


def invalid_date(field: str) -> str:
    """Return TWS's text about a date that it cannot read, in a field with this label."""
    return f"{field}: {_FORMATS}"
