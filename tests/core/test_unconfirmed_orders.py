"""Unacknowledged orders: pending, unconfirmed, found by evidence, or cleared by the caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ibkr.core.events import UnconfirmedOrdersChanged
from ibkr.core.order_records import LostOrder, Order, SentOrder
from ibkr.core.states import ConnectionState as S
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders

SENT = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", "mine")
AT_BROKER = Order(
    9, 0, 0, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", 1.0, None, "mine", "Cancelled", 0.0, 0.0, False
)


@pytest.fixture
def orders() -> UnacknowledgedOrders:
    found = UnacknowledgedOrders()
    found.sent(SENT)
    return found


def test_what_the_gateway_has_said_something_of_is_never_unconfirmed(orders):
    orders.left(5)
    assert orders.is_pending(5)
    assert not orders.acknowledged(5), "it had not been unconfirmed"
    assert not orders.is_pending(5)
    assert not orders.session_ended()
    assert orders.unconfirmed == ()


def test_the_end_of_the_session_leaves_the_rest_unconfirmed(orders):
    orders.left(5)
    orders.left(6)
    assert orders.session_ended()
    assert orders.unconfirmed == (replace(SENT, has_left=True),)
    assert orders.is_pending(5)
    assert orders.acknowledged(5), "evidence"
    assert orders.unconfirmed == ()


def test_the_caller_may_know_better(orders):
    orders.session_ended()
    assert not orders.clear([6])
    assert orders.clear([6, 5])
    assert orders.unconfirmed == ()


def test_an_order_that_was_never_written_says_so():
    assert str(SENT) == "5 (BUY 100 AAPL LMT, which was never sent)"
    assert str(replace(SENT, has_left=True)) == "5 (BUY 100 AAPL LMT)"


@pytest.mark.parametrize(
    ("sent", "is_it"),
    [
        (SENT, True),
        (replace(SENT, con_id=0), True),
        (replace(SENT, con_id=1), False),
        (replace(SENT, order_ref=""), False),
        (replace(SENT, order_ref="other"), False),
        (replace(SENT, action="SELL"), False),
    ],
)
def test_a_reference_tells_which_it_is(sent, is_it):
    assert sent.matches_reference(AT_BROKER) is is_it


def test_an_order_without_a_reference_is_like_no_other():
    assert not replace(SENT, order_ref="").matches_reference(replace(AT_BROKER, order_ref=""))


def test_the_status_names_them_and_ready_says_so(ready):
    ready.event(UnconfirmedOrdersChanged((SENT,)))
    assert (ready.state, ready.status.may_trade, ready.status.unconfirmed) == (S.READY, True, (SENT,))
    assert ready.status.reason.endswith(f"orders not sent: {SENT}")
    sent = replace(SENT, has_left=True)
    ready.event(UnconfirmedOrdersChanged((sent,)))
    assert ready.status.reason.endswith(f"orders unconfirmed, they may be at the broker: {sent}")
    assert ready.status.to_dict()["unconfirmed"][0]["account"] == "DU***67"
    assert ready.status.to_dict(show_accounts=True)["unconfirmed"][0]["account"] == "DU1234567"
    ready.end()
    assert ready.status.unconfirmed == (sent,)
    ready.event(UnconfirmedOrdersChanged(()))
    assert ready.status.unconfirmed == ()


def test_an_unconfirmed_order_that_the_caller_sends_again_has_left_then():
    orders = UnacknowledgedOrders()
    orders.sent(replace(SENT, has_left=False))
    assert orders.session_ended()
    assert "never sent" in str(orders.unconfirmed[0])
    assert orders.left(SENT.order_id)
    assert "never sent" not in str(orders.unconfirmed[0])
    assert orders.acknowledged(SENT.order_id)
    assert not orders.left(SENT.order_id)


def test_what_a_program_that_has_ended_had_sent_is_taken_over():
    """Rows that the program already knew are not evidence; newer rows are."""
    orders, changed = UnacknowledgedOrders(), replace(SENT, quantity=50.0)
    never = replace(SENT, order_id=6, is_change=True)
    orders.load_lost_orders([LostOrder((SENT, changed), knew_ended=True), LostOrder((never,))], [9, "exec.01"])
    assert orders.unconfirmed == (changed, never)
    assert orders.is_unconfirmed(5)
    assert not orders.is_unconfirmed(6)
    row = replace(AT_BROKER, order_id=5)
    assert not orders.fits_order(row)
    assert not orders.may_be_ended(changed, AT_BROKER)
    for quantity in (100.0, 50.0):
        assert orders.fits_order(replace(row, perm_id=10, quantity=quantity))
    assert orders.may_be_ended(changed, replace(AT_BROKER, perm_id=11))
    assert orders.acknowledged(5)
    assert orders.clear([6])
    assert orders.unconfirmed == ()


def test_where_the_permanent_id_was_known_it_decides():
    orders = UnacknowledgedOrders()
    orders.load_lost_orders([LostOrder((SENT,), perm_id=9)], [9])
    assert orders.may_be_ended(SENT, AT_BROKER)
    assert not orders.may_be_ended(SENT, replace(AT_BROKER, perm_id=10))
    changed_in_tws = replace(AT_BROKER, order_id=5, quantity=30.0, order_ref="")
    assert orders.fits_order(changed_in_tws)
    assert not orders.fits_order(replace(changed_in_tws, perm_id=10))


def test_an_order_that_was_dropped_is_a_new_one_when_it_is_placed_again(orders):
    orders.left(5)
    again = replace(SENT, order_id=6)
    assert not orders.sent(again)
    orders.dropped(6)
    orders.change_dropped(again)
    assert orders.sent(again)
    assert not orders.never_left(6)
    assert orders.unconfirmed == ()
    assert not orders.clear([6])
    assert orders.left(6) is False
    assert orders.session_ended()
    assert orders.unconfirmed == (replace(SENT, has_left=True), replace(again, has_left=True))


def test_an_order_has_the_terms_that_left_after_a_change_was_dropped(orders):
    """An order that never left keeps the newest terms: those are what the program wants to place."""
    orders.left(5)
    new = replace(SENT, order_id=6)
    orders.sent(new)
    for order in (SENT, new):
        first, second = replace(order, quantity=120.0), replace(order, quantity=150.0)
        for change in (first, second):
            orders.changed(change)
        for change in (first, second):
            orders.change_dropped(change)
    orders.dropped(6)
    orders.session_ended()
    shown = {(order.order_id, order.quantity, order.is_change) for order in orders.unconfirmed}
    assert shown == {(5, 100.0, False), (5, 150.0, True), (6, 150.0, False), (6, 150.0, True)}


def test_to_clear_a_dropped_change_leaves_the_order_pending(orders):
    orders.change_dropped(SENT)
    assert orders.clear([5])
    assert orders.pending == (SENT,)
    orders.left(5)
    assert orders.mark_overdue([5])
    assert orders.clear([5])
    assert not orders.is_pending(5)


def test_acknowledgements_are_expected_of_a_whole_chain_once_it_is_transmitted():
    orders = UnacknowledgedOrders()
    parent, child, last, alone = (replace(SENT, order_id=order_id) for order_id in (1, 2, 3, 4))
    orders.sent(parent, transmits=False)
    orders.sent(child, parent_id=1, transmits=False)
    orders.sent(alone)
    assert orders.on_the_way_with(1) == orders.on_the_way_with(2) == orders.on_the_way_with(9) == ()
    orders.sent(last, parent_id=1)
    assert orders.on_the_way_with(3) == (1, 2, 3)
    assert orders.on_the_way_with(4) == (4,)


def test_an_order_of_an_ended_session_is_known_as_one(orders):
    orders.mark_pending_unconfirmed()
    assert not orders.is_of_ended_session(5)
    orders.session_ended()
    assert orders.is_of_ended_session(5)
