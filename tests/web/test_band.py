"""The band: short troubles stay visible, shares are exact."""

from datetime import UTC, datetime, timedelta

from ibkr.observe.history import Change
from ibkr.web.band import band

UNTIL = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_worst_of_a_slot_shows_and_shares_are_exact():
    def change(hours: float, state: str, seconds: float = 0) -> Change:
        return Change(UNTIL - timedelta(hours=hours) + timedelta(seconds=seconds), state, "")

    changes = [
        change(30, "READY"),
        change(20, "RECONNECTING", 30),
        change(20, "READY", 31.5),
        change(10, "NOT_WATCHED"),
        change(9, "CONNECTING"),
        change(9, "READY", 0.5),
    ]
    found = band(changes, UNTIL)
    states = [(segment["state"], segment["at"][11:16]) for segment in found["segments"]]
    assert states == [
        ("READY", "12:00"),
        ("RECONNECTING", "16:00"),
        ("READY", "16:02"),
        ("NOT_WATCHED", "02:00"),
        ("CONNECTING", "03:00"),
        ("READY", "03:02"),
    ]
    assert found["watched_seconds"] == 23 * 3600
    assert found["ready_seconds"] == 23 * 3600 - 2


def test_nothing_known_is_not_watched():
    found = band([], UNTIL)
    assert [segment["state"] for segment in found["segments"]] == ["NOT_WATCHED"]
    assert found["watched_seconds"] == 0
    found = band([Change(UNTIL, "READY", "")], UNTIL)
    assert len(found["segments"]) == 1
