"""The timeline: short problems stay visible, shares are exact."""

from datetime import UTC, datetime, timedelta

from ibkr.observe.history import StateChange
from ibkr.web.timeline import build_timeline

UNTIL = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_worst_of_a_slot_shows_and_shares_are_exact():
    def change(hours: float, state: str, seconds: float = 0) -> StateChange:
        return StateChange(UNTIL - timedelta(hours=hours) + timedelta(seconds=seconds), state, "")

    changes = [
        change(30, "READY"),
        change(20, "RECONNECTING", 30),
        change(20, "READY", 31.5),
        change(10, "NOT_WATCHED"),
        change(9, "CONNECTING"),
        change(9, "READY", 0.5),
    ]
    found = build_timeline(changes, UNTIL)
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
    found = build_timeline([], UNTIL)
    assert [segment["state"] for segment in found["segments"]] == ["NOT_WATCHED"]
    assert found["watched_seconds"] == 0
    found = build_timeline([StateChange(UNTIL, "READY", "")], UNTIL)
    assert len(found["segments"]) == 1


def test_what_was_watched_for_a_short_time_is_shown_as_finely_as_it_can_be():
    begun = UNTIL - timedelta(seconds=72)
    changes = [StateChange(begun, "CONNECTING", ""), StateChange(begun + timedelta(seconds=1), "READY", "")]
    for span in (timedelta(hours=1), timedelta(hours=24), timedelta(days=30)):
        found = build_timeline(changes, UNTIL, span)
        assert found["segments"] == [
            {"at": (UNTIL - span).isoformat(timespec="milliseconds"), "state": "NOT_WATCHED"},
            {"at": "2026-03-02T11:58:48.000+00:00", "state": "CONNECTING"},
            {"at": "2026-03-02T11:58:49.000+00:00", "state": "READY"},
        ]
    assert (
        build_timeline([StateChange(UNTIL - timedelta(microseconds=1), "READY", "")], UNTIL)["segments"][1]["state"]
        == "READY"
    )


def test_a_clock_that_was_set_back_leaves_a_timeline():
    """Changes that were stored before this moment are first in the future, and later between the newer changes."""

    def change(hours: float, state: str) -> StateChange:
        return StateChange(UNTIL - timedelta(hours=hours), state, "")

    changes = [change(1, "READY"), change(0.9, "NOT_WATCHED"), change(11, "READY")]
    found = build_timeline(changes, UNTIL)
    states = [(segment["state"], segment["at"][11:16]) for segment in found["segments"]]
    assert states == [("NOT_WATCHED", "12:00"), ("READY", "01:00")]
    changes = [change(-1, "NOT_WATCHED"), change(20, "NOT_WATCHED"), change(5, "READY"), change(10, "READY")]
    assert [segment["state"] for segment in build_timeline(changes, UNTIL)["segments"]][-1] == "READY"
