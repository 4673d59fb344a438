"""What is evidence of an unacknowledged order, and what an error code with its id means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ibkr.core.codes import OrderMeaning, order_meaning, parse_order_codes
from ibkr.core.errors import ConfigError
from ibkr.core.order_records import Execution, Order, SentOrder
from ibkr.core.policy import Policy
from ibkr.core.startup_requests import ACCOUNT_UPDATES, POSITIONS, account_values, is_about_account
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders

SENT = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", "mine", has_left=True)
ROW = Order(
    9, 7, 5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", 1.0, None, "mine", "Submitted", 0.0, 0.0, is_live=True
)
FILL = Execution(
    "0001.01", 9, 7, 5, "DU1234567", 265598, "AAPL", "BOT", 40.0, 1.0, datetime(2026, 3, 2, tzinfo=UTC), "mine"
)


@pytest.fixture
def orders() -> UnacknowledgedOrders:
    """One order was sent, after orders up to permanent id 8 and an execution of it were known."""
    found = UnacknowledgedOrders()
    found.record_row(8)
    found.record_row("0000.01")
    found.knows_ended = True
    found.sent(SENT)
    return found


def test_ids_are_reported_once(orders):
    assert [
        orders.record_row(9),
        orders.record_row(9),
        orders.record_row(8),
        orders.record_row(0),
        orders.record_row(""),
    ] == [True, *[False] * 4]


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (ROW, True),
        (replace(ROW, order_type="MKT"), True),
        (replace(ROW, con_id=0), True),
        (replace(ROW, perm_id=8), False),
        (replace(ROW, con_id=1), False),
        (replace(ROW, action="SELL"), False),
        (replace(ROW, quantity=99.0, order_ref=""), False),
        (replace(ROW, order_id=6, con_id=1), True),
    ],
)
def test_an_open_order_fits_if_it_is_newer_and_the_same(orders, row, fits):
    orders.session_ended()
    assert orders.fits_order(row) is fits


def test_any_of_the_terms_that_were_sent_may_be_at_the_broker(orders):
    orders.changed(replace(SENT, quantity=70.0))
    orders.changed(replace(SENT, order_id=6))
    orders.session_ended()
    assert orders.fits_order(ROW)
    assert orders.fits_order(replace(ROW, quantity=70.0))
    assert not orders.fits_order(replace(ROW, quantity=80.0, order_ref=""))


def test_in_the_same_session_its_size_may_be_another_but_not_its_contract_or_side(orders):
    assert orders.fits_order(replace(ROW, quantity=99.0))
    assert not orders.fits_order(replace(ROW, quantity=99.0, perm_id=8))
    assert not orders.fits_order(replace(ROW, con_id=1))
    assert not orders.fits_order(replace(ROW, action="SELL"))


def test_a_quantity_that_is_left_to_the_broker_is_any():
    orders = UnacknowledgedOrders()
    orders.sent(replace(SENT, quantity=0.0))
    assert orders.fits_order(replace(ROW, quantity=12.0))
    assert orders.fits_execution(FILL, 12.0)
    assert orders.fits_status(5, 9, 12.0, is_over=False)


@pytest.mark.parametrize(
    ("perm_id", "total", "is_over", "fits"),
    [
        (9, 100.0, False, True),
        (0, 100.0, False, True),
        (9, 50.0, False, False),
        (9, 50.0, True, True),
        (8, 100.0, True, False),
    ],
)
def test_a_status_fits_by_its_size(orders, perm_id, total, is_over, fits):
    assert orders.fits_status(5, perm_id, total, is_over=is_over) is fits
    assert orders.fits_status(6, perm_id, total, is_over=is_over)


def test_a_status_alone_is_no_evidence_of_an_order_of_another_session(orders):
    orders.session_ended()
    assert not orders.fits_status(5, 9, 100.0, is_over=False)


@pytest.mark.parametrize(
    ("fill", "so_far", "fits"),
    [
        (FILL, 40.0, True),
        (FILL, 140.0, False),
        (replace(FILL, side="SLD"), 40.0, False),
        (replace(FILL, con_id=1), 40.0, False),
        (replace(FILL, perm_id=8), 40.0, False),
        (replace(FILL, exec_id="0000.01"), 40.0, False),
        (replace(FILL, order_id=6, con_id=1), 40.0, True),
    ],
)
def test_an_execution_fits_by_contract_side_and_size(orders, fill, so_far, fits):
    assert orders.fits_execution(fill, so_far) is fits


def test_a_completed_order_may_be_one_that_was_sent_when_those_before_were_known(orders):
    assert not orders.may_be_ended(SENT, ROW), "its session still lives"
    orders.session_ended()
    assert orders.may_be_ended(SENT, ROW)
    assert not orders.may_be_ended(SENT, replace(ROW, perm_id=8))
    assert not orders.may_be_ended(SENT, replace(ROW, order_ref="other"))
    unknown = UnacknowledgedOrders()
    unknown.sent(SENT)
    unknown.session_ended()
    assert not unknown.may_be_ended(SENT, ROW)


def test_what_is_unconfirmed_is_known_as_such(orders):
    assert not orders.is_unconfirmed(5)
    orders.session_ended()
    assert orders.is_unconfirmed(5)


def test_an_order_that_the_gateway_tells_of_no_more_is_known_by_its_permanent_id():
    orders = UnacknowledgedOrders()
    orders.record_row(9)
    orders.mark_lost(SENT, 9)
    assert orders.unconfirmed == (SENT,)
    assert orders.may_be_ended(SENT, replace(ROW, order_ref=""))
    assert not orders.may_be_ended(SENT, replace(ROW, perm_id=10))
    assert orders.fits_order(ROW)
    assert not orders.fits_order(replace(ROW, perm_id=10))
    assert orders.fits_status(5, 9, 1.0, is_over=False)
    assert not orders.fits_status(5, 0, 1.0, is_over=False)


def test_what_never_left_is_told_until_it_is_sent_again_or_cleared(orders):
    orders.sent(replace(SENT, order_id=6, has_left=False))
    orders.dropped(6)
    orders.dropped(7)
    orders.change_dropped(SENT)
    assert [(each.order_id, each.has_left, each.is_change) for each in orders.unconfirmed] == [
        (6, False, False),
        (5, False, True),
    ]
    assert orders.left(5), "the change was sent again"
    assert orders.clear([6])
    assert orders.unconfirmed == ()
    assert not orders.left(99)


@pytest.mark.parametrize(
    ("word", "codes"),
    [
        (OrderMeaning.NOTE, (399, 404, 2100, 2109, 10349, 1100, 2104)),
        (OrderMeaning.ASK, (0, 100, 504, 10052)),
        (OrderMeaning.REFUSES_CANCEL, (135, 136, 161, 10147, 10148)),
        (OrderMeaning.REFUSES_CHANGE, (104, 105)),
        (OrderMeaning.REFUSES_NEW, (103, 110, 201, 321, 99999)),
        (OrderMeaning.ENDS, (202,)),
    ],
)
def test_what_a_code_says_of_the_order_that_it_names(word, codes):
    assert {order_meaning(code) for code in codes} == {word}
    assert word.ends_new == (word in ("refuses_new", "ends"))


def test_which_requests_are_about_an_account():
    assert is_about_account(ACCOUNT_UPDATES)
    assert is_about_account(account_values("DU1"))
    assert not is_about_account(POSITIONS)


def test_users_may_say_what_a_code_means():
    own = parse_order_codes(("10999=note", "201 = ask"))
    assert (order_meaning(10999, own), order_meaning(201, own), order_meaning(202, own)) == (
        OrderMeaning.NOTE,
        OrderMeaning.ASK,
        OrderMeaning.ENDS,
    )
    for bad in ("10999", "note=10999", "10999=fine"):
        with pytest.raises(ConfigError, match=r"order_codes.*with one of note, refuses_new"):
            Policy(order_codes=(bad,))


# --- while upstream is down, in chains ---------------------------------------------------------------


def test_what_is_pending_when_upstream_is_lost_is_unconfirmed(orders):
    orders.sent(replace(SENT, order_id=6, has_left=False))
    assert orders.mark_pending_unconfirmed()
    assert not orders.mark_pending_unconfirmed(), "no news"
    assert orders.unconfirmed == (SENT,)
    assert orders.is_unconfirmed(5)
    assert orders.fits_status(5, 9, 100.0, is_over=False), "it may be told in this session"
    assert orders.acknowledged(5)
    assert orders.unconfirmed == ()


def test_an_order_with_an_overdue_acknowledgement_is_unconfirmed_until_it_comes(orders):
    assert not orders.mark_overdue([4])
    assert orders.mark_overdue([4, 5])
    assert orders.unconfirmed == (SENT,)
    assert orders.acknowledged(5)
    assert not orders.mark_overdue([5])
    assert orders.unconfirmed == ()


def test_it_stays_so_when_the_session_ends_and_may_be_cleared(orders):
    orders.mark_pending_unconfirmed()
    orders.session_ended()
    assert orders.unconfirmed == (SENT,)
    assert orders.clear([5, 6])
    assert not orders.clear([5])
    assert orders.unconfirmed == ()


def test_an_order_that_the_gateway_keeps_is_not_unconfirmed_before_its_chain_is_transmitted():
    orders = UnacknowledgedOrders()
    parent, child, last = (replace(SENT, order_id=order_id) for order_id in (1, 2, 3))
    orders.sent(parent, transmits=False)
    orders.sent(child, parent_id=1, transmits=False)
    assert not orders.mark_pending_unconfirmed()
    assert not orders.session_ended()
    assert orders.unconfirmed == ()
    orders.sent(last, parent_id=1)
    assert orders.session_ended()
    assert orders.unconfirmed == (parent, child, last)


def test_it_may_be_transmitted_by_a_change():
    orders = UnacknowledgedOrders()
    orders.sent(SENT, transmits=False)
    orders.changed(SENT, transmits=False)
    assert not orders.mark_pending_unconfirmed()
    orders.changed(SENT, transmits=True)
    assert orders.mark_pending_unconfirmed()


def test_an_order_that_was_dropped_has_never_left(orders):
    assert not orders.never_left(5)
    orders.sent(replace(SENT, order_id=6, has_left=False))
    orders.dropped(6)
    assert orders.never_left(6)


def test_a_combinations_legs_are_evidence_and_an_exercise_has_no_side(orders):
    combo = replace(SENT, order_id=6, con_id=28812380, leg_ids=(1, 2))
    orders.sent(combo)
    leg = replace(FILL, order_id=6, perm_id=10, exec_id="0002.01", con_id=2, side="SLD", shares=700.0)
    assert orders.fits_execution(leg, 700.0)
    assert not orders.fits_execution(replace(leg, con_id=3), 700.0)
    exercise = replace(SENT, order_id=7, action="EXERCISE", order_type="")
    assert exercise.matches_contract(replace(FILL, side="BOT"))
    assert exercise.matches_contract(replace(FILL, side="SLD"))
    assert str(exercise) == "7 (EXERCISE 100 AAPL)"


@pytest.mark.parametrize(("changes", "fits"), [({}, True), ({"order_ref": "other"}, False), ({"con_id": 1}, False)])
def test_an_order_whose_size_was_reduced_is_found_by_its_reference(orders, changes, fits):
    orders.session_ended()
    assert orders.fits_order(replace(ROW, quantity=30.0, **changes)) is fits
