"""The calendar: maintenance windows at local times of a zone, with daylight saving time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibkr import ConfigError
from ibkr.core.maintenance_calendar import REGIONS, Calendar, build_calendar

NEW_YORK = ZoneInfo("America/New_York")
AMERICA = build_calendar("america", (), "", ZoneInfo)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def name_at(calendar: Calendar, moment: datetime) -> str | None:
    window, _ = calendar.window_at(moment)
    return window.name if window else None


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-24T00:14:59", None),
        ("2026-11-24T00:15:00", "nightly reset"),  # Tuesday
        ("2026-11-24T01:44:59", "nightly reset"),
        ("2026-11-24T01:45:00", None),
        ("2026-11-20T22:59:59", None),  # Friday
        ("2026-11-20T23:00:00", "weekend maintenance"),
        ("2026-11-21T02:59:59", "weekend maintenance"),
        ("2026-11-21T03:00:00", None),
        ("2026-11-22T00:30:00", "nightly reset"),  # Sunday
        ("2026-11-22T01:30:00", "weekly login"),  # both windows are open; the window that ends last is named
        ("2026-07-07T00:30:00", "nightly reset"),  # New York has daylight saving time
    ],
)
def test_windows_of_north_america(moment: str, name: str | None) -> None:
    assert name_at(AMERICA, new_york(moment)) == name


def test_the_night_in_which_the_clocks_go_back() -> None:
    """The hour from 01:00 to 02:00 comes twice on 1 November 2026. The window ends at the first 01:45."""
    window, until = AMERICA.window_at(new_york("2026-11-01T00:30:00"))
    assert window is not None
    assert window.end == datetime(2026, 11, 1, 5, 45, tzinfo=UTC)
    assert until == datetime(2026, 11, 1, 5, 0, tzinfo=UTC)  # the weekly login begins


@pytest.mark.parametrize(
    ("text", "hour", "minute", "length"),
    [("w: Sun 02:30-03:15 America/New_York", 7, 30, 45), ("w: Sun 01:30-03:10 America/New_York", 6, 30, 100)],
)
def test_the_night_in_which_the_clocks_go_forward(text: str, hour: int, minute: int, length: int) -> None:
    """The hour from 02:00 to 03:00 does not exist on 8 March 2026. A window in that hour still opens."""
    calendar = build_calendar("none", [text], "", ZoneInfo)
    start = datetime(2026, 3, 8, hour, minute, tzinfo=UTC)
    window, _ = calendar.window_at(start)
    assert window is not None
    assert (window.start, window.end - window.start) == (start, timedelta(minutes=length))


def test_a_restart_in_the_hour_that_is_not_there() -> None:
    calendar = build_calendar("none", (), "02:55 America/New_York", ZoneInfo)
    window, _ = calendar.window_at(datetime(2026, 3, 8, 7, 56, tzinfo=UTC))
    assert window is not None
    assert window.end - window.start == timedelta(minutes=10)


def test_the_zones_shift_with_summer() -> None:
    europe = build_calendar("europe", (), "", ZoneInfo)
    assert europe.window_at(datetime(2026, 1, 6, 4, 0, tzinfo=UTC)) == (None, datetime(2026, 1, 6, 5, 25, tzinfo=UTC))
    assert europe.window_at(datetime(2026, 7, 7, 4, 0, tzinfo=UTC)) == (None, datetime(2026, 7, 7, 4, 25, tzinfo=UTC))


def test_no_windows() -> None:
    assert build_calendar("none", (), "", ZoneInfo).window_at(new_york("2026-11-20T12:00:00")) == (None, None)


def test_own_windows_stand_beside_the_regions() -> None:
    calendar = build_calendar("asia", ["backup: Mon-Sun 23:55-00:05 Europe/London"], "", ZoneInfo)
    assert name_at(calendar, datetime(2026, 1, 6, 23, 58, tzinfo=UTC)) == "backup"
    assert name_at(calendar, datetime(2026, 1, 7, 0, 2, tzinfo=UTC)) == "backup"
    assert name_at(calendar, datetime(2026, 1, 7, 12, 30, tzinfo=UTC)) == "second reset"


def test_the_daily_restart_of_the_gateway() -> None:
    calendar = build_calendar("none", (), "23:55 Europe/London", ZoneInfo)
    window, until = calendar.window_at(datetime(2026, 1, 6, 23, 58, tzinfo=UTC))
    assert window is not None
    assert until == window.end == datetime(2026, 1, 7, 0, 5, tzinfo=UTC)
    assert str(window) == "daily restart of the gateway until 00:05 UTC"


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("every night", "must read like"),
        ("reset: Sun-Fry 00:15-01:45 America/New_York", "'Fry' is not one of Mon"),
        ("reset: Sun 25:15-01:45 America/New_York", "must read like"),
        ("reset: Sun 00:15-01:45 America/Atlantis", "America/Atlantis is not the name of a time zone"),
        ("reset: Sun 00:15-01:45 America", "America is not the name of a time zone"),
        ("reset: Sun 00:15-01:45 ../etc", "../etc is not the name of a time zone"),
    ],
)
def test_bad_windows_name_the_cure(text: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=cure) as raised:
        build_calendar("none", [text], "", ZoneInfo)
    assert (raised.value.key, raised.value.value) == ("ibkr.maintenance", text)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("at midnight", "must read like '23:45 America/New_York'"),
        ("24:45 America/New_York", "must read like '23:45 America/New_York'"),
        ("23:45 Atlantis", "Atlantis is not the name of a time zone"),
    ],
)
def test_a_bad_restart_time_names_the_cure(text: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=cure) as raised:
        build_calendar("none", (), text, ZoneInfo)
    assert (raised.value.key, raised.value.value) == ("ibkr.daily_restart", text)


@settings(max_examples=25)
@given(st.sampled_from(sorted(REGIONS)), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_what_the_calendar_says_holds_until_it_says(region: str, moment: datetime) -> None:
    calendar, moment = build_calendar(region, (), "", ZoneInfo), moment.replace(tzinfo=UTC)
    window, until = calendar.window_at(moment)
    assert (until is None) == (region == "none")
    if window is not None:
        assert window.start <= moment < window.end
        assert window.end - window.start < timedelta(hours=6)
    if until is not None:
        assert until > moment
        assert calendar.window_at(until - timedelta(seconds=1))[0] == window or until - moment <= timedelta(seconds=1)
        assert calendar.window_at(until) != (window, until)
