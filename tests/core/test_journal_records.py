"""The records that the journal returns."""

from __future__ import annotations

from ibkr.core.gap_report import BrokerSnapshot
from ibkr.core.journal_records import IntentState, LastKnownState
from ibkr.core.order_records import Order

ORDER = Order(9, 0, 0, "DU1234567", 1, "AAPL", "BUY", 1.0, "LMT", 1.0, None, "", "Submitted", 0.0, 0.0, True)


def test_an_empty_one_knows_nothing():
    known = LastKnownState(BrokerSnapshot({}, {}, {}))
    assert (known.until, known.accounts, dict(known.lost), known.highest_id) == (None, (), {}, 0)
    assert list(known.told) == []


def test_every_id_that_was_heard_of_was_told():
    assert list(LastKnownState(BrokerSnapshot({9: ORDER}, {}, {}, frozenset({7}))).told) == [9, 7]


def test_states_are_words():
    assert IntentState.NOT_SENT == "not sent"
