"""Orders, messages and answer times, as the page shows them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from ibkr.core.activity import KEPT, AnswerTime, Message, OrderStage, RecentRecords, order_views
from ibkr.core.extras import install_hint
from ibkr.core.order_records import Order, SentOrder
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders

AT = datetime(2026, 3, 2, 14, 31, 7, tzinfo=UTC)


def order(order_id: int, client_id: int = 1, **terms) -> Order:
    usual = {
        "perm_id": 1000 + order_id,
        "account": "DU1234567",
        "con_id": 265598,
        "symbol": "AAPL",
        "action": "BUY",
        "quantity": 100.0,
        "order_type": "LMT",
        "limit_price": 180.5,
        "stop_price": None,
        "order_ref": "",
        "status": "Submitted",
        "filled": 0.0,
        "average_price": 0.0,
        "is_live": True,
    }
    return Order(order_id=order_id, client_id=client_id, **{**usual, **terms})


def sent(order_id: int, *, has_left: bool) -> SentOrder:
    return SentOrder(order_id, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", "", has_left=has_left)


def test_each_order_is_shown_once_and_what_needs_a_look_comes_first() -> None:
    orders = [order(1), order(2), order(3, status="PendingSubmit"), order(1, client_id=0)]
    orders += [order(0, client_id=0, perm_id=77), order(0, client_id=0, perm_id=78)]
    pending = [sent(3, has_left=True), sent(4, has_left=False)]
    views = list(order_views(1, orders, pending, [sent(2, has_left=True)]))
    assert [(each.client_id, each.order_id, str(each.stage)) for each in views] == [
        (1, 2, "unconfirmed"),
        (1, 3, "sent"),
        (1, 4, "waiting"),
        (1, 1, "open"),
        (0, 1, "open"),
        (0, 0, "open"),
        (0, 0, "open"),
    ]
    assert (views[1].limit_price, views[1].status, views[2].limit_price) == (180.5, "PendingSubmit", None)


def test_two_orders_with_one_id_are_both_shown() -> None:
    orders = [order(1, perm_id=77), order(1, perm_id=78)]
    assert [(each.perm_id, str(each.stage)) for each in order_views(1, orders, [], [])] == [(77, "open"), (78, "open")]
    views = order_views(1, orders, [sent(1, has_left=True)], [])
    assert [(each.perm_id, str(each.stage)) for each in views] == [(77, "sent"), (78, "open")]


def test_rows_are_valid_json_with_their_account_masked() -> None:
    [view] = order_views(1, [order(1, average_price=math.nan, order_ref="for DU1234567")], [], [])
    told = json.loads(json.dumps(view.to_dict(("DU1234567",))))
    assert (told["account"], told["order_ref"], told["average_price"]) == ("DU***67", "for DU***67", None)
    assert view.to_dict(show_accounts=True)["account"] == "DU1234567"
    assert view.stage is OrderStage.OPEN


def test_a_log_keeps_the_last_rows_and_counts_all() -> None:
    log = RecentRecords(Message)
    for code in range(KEPT + 3):
        log.note(AT, code, "text", -1)
    rows = log.rows()
    assert (len(rows), rows[0].number, rows[-1].number, rows[-1].code) == (KEPT, 4, KEPT + 3, KEPT + 2)


def test_an_answer_time_is_a_row() -> None:
    log = RecentRecords(AnswerTime)
    log.note(AT, "reqContractDetails", 0.25)
    [row] = log.rows()
    assert row.to_dict() == {
        "number": 1,
        "at": "2026-03-02T14:31:07.000+00:00",
        "name": "reqContractDetails",
        "seconds": 0.25,
    }


def test_rows_are_made_again_only_when_there_are_new_ones() -> None:
    log = RecentRecords(Message)
    assert log.rows() == ()
    log.note(AT, 2104, "text", -1)
    first = log.rows()
    assert log.rows() is first
    log.note(AT, 2106, "text", -1)
    assert [row.code for row in log.rows()] == [2104, 2106]


def test_pending_orders_are_those_that_nobody_has_acknowledged_and_nobody_doubts() -> None:
    orders = UnacknowledgedOrders()
    orders.sent(sent(5, has_left=False))
    orders.sent(sent(6, has_left=False))
    orders.left(6)
    assert [(each.order_id, each.has_left) for each in orders.pending] == [(5, False), (6, True)]
    orders.acknowledged(5)
    orders.mark_pending_unconfirmed()
    assert orders.pending == ()
    assert [each.order_id for each in orders.unconfirmed] == [6]


def test_what_is_missing_is_installed_from_a_checkout() -> None:
    words = install_hint("ibkr serve", "serve", "starlette")
    assert "pip install '/path/to/the/checkout[serve]'" in words
    assert "ibkr-connector" not in words
