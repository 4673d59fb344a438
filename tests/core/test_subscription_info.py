"""A subscription as a program sees it, and the limits of how often IB allows to request it."""

import pytest

from ibkr.core.states import Feed
from ibkr.core.subscription_info import SubscriptionState, SubscriptionStatus
from ibkr.core.subscription_tracker import SubscriptionTracker


@pytest.fixture
def ledger():
    return SubscriptionTracker()


def test_pacing_is_kept(ledger):
    ledger.want(21, "ES tick-by-tick", "tick-by-tick", Feed.MARKET)
    ledger.want(22, "ES bars", "historical bars", Feed.HISTORY)
    for key, cause in ((21, "no"), (22, "no data")):
        ledger.queued(key, 100.0)
        ledger.refuse(key, cause, for_now=True)
    assert [stream.earliest for stream in ledger.refused] == [115.0, 100.0]
    ledger.queued(22, 101.0)
    ledger.refuse(22, "pacing violation")
    assert ledger.refused[1].earliest == 116.0
    for _ in range(60):
        ledger.queued(22, 200.0)
    assert ledger.refused[1].earliest == 800.0, "no more are allowed in ten minutes"


def test_a_subscription_in_jsons_types_and_in_words():
    told = SubscriptionStatus("PnL", "PnL of DU1234567", SubscriptionState.REFUSED, float("nan"), "321: no", 321)
    assert told.to_dict() == {
        "kind": "PnL",
        "label": "PnL of DU***67",
        "state": "refused",
        "age": None,
        "last_error": "321: no",
        "code": 321,
    }
    assert str(told) == "PnL PnL of DU1234567: refused (321: no)"
    assert str(SubscriptionStatus("depth", "ES depth", SubscriptionState.LIVE)) == "depth ES depth: live"
    assert told.to_dict(show_accounts=True)["label"] == "PnL of DU1234567"
