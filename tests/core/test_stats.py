"""The stats: counts and measurements in one record."""

import json
from datetime import UTC, datetime

from ibkr.core.stats import Stats, SubscriptionCounts

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_to_dict_is_json():
    stats = Stats(
        NOON, attempts=3, subscriptions=SubscriptionCounts(live=2), bytes_in=10, probes=2, round_trips=(0.01, 0.02)
    )
    told = json.loads(json.dumps(stats.to_dict()))
    assert told["as_of"] == "2026-03-02T12:00:00.000+00:00"
    assert (told["attempts"], told["bytes_in"], told["probes"]) == (3, 10, 2)
    assert told["subscriptions"] == {
        **{"wanted": 0, "sent": 0, "live": 2, "refused": 0},
        **{"silent": 0, "withheld": 0},
    }
    assert (told["round_trips"], told["round_trip"]) == ([0.01, 0.02], 0.02)


def test_before_the_first_probe_there_is_no_round_trip():
    assert Stats(NOON).round_trip is None
    assert Stats(NOON).to_dict()["round_trip"] is None


def test_round_trips_that_are_new_come_once_as_far_as_they_are_kept():
    stats = Stats(NOON, probes=5, round_trips=(0.3, 0.4, 0.5))
    assert stats.round_trips_after(5) == ()
    assert stats.round_trips_after(4) == (0.5,)
    assert stats.round_trips_after(0) == (0.3, 0.4, 0.5)
