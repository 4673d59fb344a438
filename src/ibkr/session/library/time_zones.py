"""Converts times with a zone that this computer does not know. Otherwise, the library would discard their rows."""

from __future__ import annotations

import logging
import re
from functools import cache
from zoneinfo import ZoneInfo

logger = logging.getLogger("ibkr.session")

_TIME = re.compile(r"(\d{8} \d\d:\d\d:\d\d) (\S.*)")
_ZONE_NAMES = {
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "IST": "Asia/Kolkata",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
    "GMT": "Europe/London",
    "BST": "Europe/London",
    "CEST": "Europe/Zurich",
    "MEZ": "Europe/Zurich",
    "MESZ": "Europe/Zurich",
    "EEST": "Europe/Helsinki",
    "MSK": "Europe/Moscow",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "British Summer Time": "Europe/London",
    "Greenwich Mean Time": "Europe/London",
    "Coordinated Universal Time": "UTC",
    "Central European Standard Time": "Europe/Zurich",
    "Central European Summer Time": "Europe/Zurich",
    "Eastern Standard Time": "America/New_York",
    "Eastern Daylight Time": "America/New_York",
    "Central Standard Time": "America/Chicago",
    "Central Daylight Time": "America/Chicago",
    "Pacific Standard Time": "America/Los_Angeles",
    "Pacific Daylight Time": "America/Los_Angeles",
    "Singapore Standard Time": "Asia/Singapore",
    "Hong Kong Standard Time": "Asia/Hong_Kong",
    "China Standard Time": "Asia/Shanghai",
    "Japan Standard Time": "Asia/Tokyo",
    "India Standard Time": "Asia/Kolkata",
}
"""Names that Java, and so the gateway, uses for zones in which IB has customers."""


def normalize_time_zone(text: str) -> str:
    """Convert a time such as ``20260302 22:30:00 SGT`` to one that the library can parse. Other texts stay the same."""
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    moment, zone = found.groups()
    known = _database_name(zone)
    return f"{moment} {known}" if known else moment.replace(" ", "  ")  # a time without zone has two spaces


@cache
def _database_name(zone: str) -> str:
    """The zone's name in the time zone database, or an empty text if it is unknown."""
    for name in (zone, _ZONE_NAMES.get(zone, "")):
        try:
            if name:
                ZoneInfo(name)
                return name
        except (KeyError, ValueError, OSError):  # which of them is raised depends on the name
            continue
    logger.warning(
        "The gateway sends times in the zone %r, which this machine does not know. They are read in the zone of"
        " ib.TimezoneTWS, or else as local time. The times of executions may be wrong by hours",
        zone[:40],
    )
    return ""
