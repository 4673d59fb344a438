"""The comparison after an outage: each execution once; orders that changed, appeared or vanished; positions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ibkr.core.gap_report import (
    Backfill,
    BrokerSnapshot,
    GapReport,
    OrderChange,
    add_late_endings,
    amend_report,
    compare,
    orders_sharing_id,
    revision,
    spans_a_day,
)
from ibkr.core.order_records import Execution, Order, Position, SentOrder

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
END = START + timedelta(minutes=10)
ACCOUNT = "DU1234567"
ORDER = Order(9, 7, 5, ACCOUNT, 1, "AAPL", "BUY", 100.0, "LMT", 1.0, None, "", "Submitted", 0.0, 0.0, True)
FILL = Execution("0a.1.01", 9, 7, 5, ACCOUNT, 1, "AAPL", "BOT", 100.0, 1.0, START, "")
HELD = Position(ACCOUNT, 1, "AAPL", 100.0, 2.0)


def picture(*known: Order | Execution | Position) -> BrokerSnapshot:
    return BrokerSnapshot(
        {each.perm_id: each for each in known if isinstance(each, Order)},
        {each.exec_id: each for each in known if isinstance(each, Execution)},
        {(each.account, each.con_id): each for each in known if isinstance(each, Position)},
    )


def report(**found: Any) -> GapReport:
    return GapReport(START, START + timedelta(seconds=90), "EOF", accounts=(ACCOUNT,), **found)


def test_nothing_happened():
    same = picture(ORDER, FILL, HELD)
    assert not any(compare(same, same, START, END).values())


def test_executions_are_missed_once_in_the_order_of_their_times():
    later = replace(FILL, exec_id="0a.2.01", time=START + timedelta(seconds=1))
    found = compare(picture(), picture(later, FILL), START, END)
    assert found["executions"] == (FILL, later)
    assert compare(picture(FILL), picture(later, FILL), START, END)["executions"] == (later,)


def test_a_correction_takes_the_place_of_what_it_corrects():
    corrected = replace(FILL, exec_id="0a.1.02", shares=60.0)
    assert compare(picture(), picture(corrected, FILL), START, END)["executions"] == (corrected,)
    found = compare(picture(FILL, HELD), picture(FILL, corrected, replace(HELD, quantity=60.0)), START, END)
    assert found["executions"] == (corrected,)
    (change,) = found["positions"]
    assert (change.executed, change.is_explained) == (-40.0, True)


def test_what_was_corrected_before_is_not_missed_now():
    corrected = replace(FILL, exec_id="0a.1.02")
    assert compare(picture(corrected), picture(corrected, FILL), START, END)["executions"] == ()


@pytest.mark.parametrize(
    ("exec_id", "found"), [("0a.1.02", ("0a.1", 2)), ("0a.1.x", ("0a.1.x", 0)), ("12", ("12", 0)), (".5", (".5", 0))]
)
def test_the_last_part_of_an_id_counts_corrections(exec_id, found):
    assert revision(exec_id) == found


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Filled", "is_live": False},
        {"filled": 10.0},
        {"quantity": 50.0},
        {"limit_price": 2.0},
        {"stop_price": 2.0},
    ],
    ids=str,
)
def test_orders_that_changed(change):
    now = replace(ORDER, **change)
    assert compare(picture(ORDER), picture(now), START, END)["orders_changed"] == (OrderChange(ORDER, now),)


def test_what_had_ended_before_does_not_change():
    ended = replace(ORDER, status="Filled", is_live=False)
    found = compare(picture(ended), picture(replace(ended, quantity=0.0)), START, END)
    assert not any(found.values())
    assert not any(compare(picture(ended), picture(), START, END).values()), "nor does it vanish"


def test_an_inactive_order_may_still_be_executed():
    inactive = replace(ORDER, status="Inactive", is_live=False)
    filled = replace(inactive, status="Filled", filled=100.0)
    assert compare(picture(inactive), picture(filled), START, END)["orders_changed"] == (OrderChange(inactive, filled),)
    assert not any(compare(picture(inactive), picture(inactive), START, END).values())
    assert not any(compare(picture(inactive), picture(), START, END).values()), "it does not vanish"
    report = GapReport(START, END, "lost")
    found = add_late_endings(report, picture(inactive), picture(filled))
    assert (found["orders_changed"], found["orders_vanished"]) == ((OrderChange(inactive, filled),), ())
    assert not any(add_late_endings(report, picture(inactive), picture(inactive)).values())


def test_orders_that_vanished():
    assert compare(picture(ORDER), picture(), START, END)["orders_vanished"] == (ORDER,)


def test_what_was_known_to_have_ended_neither_appears_nor_vanishes():
    before = replace(picture(), ended=frozenset({ORDER.perm_id}))
    assert not any(compare(before, picture(replace(ORDER, is_live=False)), START, END).values())
    assert not any(compare(before, picture(), START, END).values())


@pytest.mark.parametrize(
    ("ended_at", "is_told"),
    [
        (None, True),
        (START + timedelta(seconds=1), True),
        (START - timedelta(seconds=1), True),
        (START - timedelta(minutes=2), False),
    ],
)
def test_orders_that_appeared_but_not_what_had_ended_long_before(ended_at, is_told):
    new = replace(ORDER, ended_at=ended_at)
    assert compare(picture(), picture(new), START, END)["orders_appeared"] == ((new,) if is_told else ())


@pytest.mark.parametrize(
    ("then", "now", "fills", "is_explained"),
    [
        ((HELD,), (replace(HELD, quantity=200.0),), (FILL,), True),
        ((HELD,), (replace(HELD, quantity=200.0),), (), False),
        ((HELD,), (), (), False),
        ((HELD,), (), (replace(FILL, side="SLD"),), True),
        ((), (HELD,), (FILL,), True),
        ((HELD,), (HELD,), (FILL,), False),
        ((), (), (FILL,), False),
    ],
)
def test_positions(then, now, fills, is_explained):
    (change,) = compare(picture(*then), picture(*now, *fills), START, END)["positions"]
    assert change.is_explained is is_explained


@pytest.mark.parametrize(("age", "is_explained"), [(5, True), (300, False)])
def test_a_position_may_come_a_moment_after_its_execution(age, is_explained):
    known = replace(FILL, time=START - timedelta(seconds=age))
    later = replace(HELD, quantity=200.0)
    (change,) = compare(picture(known, HELD), picture(known, later), START, END)["positions"]
    assert (change.executed, change.is_explained) == (0.0, is_explained), "it was not counted yet before the outage"
    missed = replace(FILL, time=END - timedelta(seconds=age))
    (change,) = compare(picture(HELD), picture(missed, HELD), START, END)["positions"] or [None]
    assert (change is None) is is_explained, "nor is this one yet, after it"


def test_a_round_trip_leaves_a_position_as_it_was():
    back = replace(FILL, exec_id="0a.2.01", side="SLD")
    assert compare(picture(HELD), picture(HELD, FILL, back), START, END)["positions"] == ()


def test_a_day_ends_in_some_zone():
    new_york = ZoneInfo("America/New_York")
    late = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
    assert not spans_a_day(late, late + timedelta(seconds=50), (UTC, new_york))
    assert spans_a_day(late, late + timedelta(minutes=5), (UTC, new_york))
    assert not spans_a_day(late, late + timedelta(minutes=5), (new_york,))


def test_the_report_as_plain_data_and_in_a_line():
    sent = SentOrder(6, ACCOUNT, 1, "AAPL", "BUY", 1.0, "MKT", "")
    full = report(
        **compare(picture(ORDER, HELD), picture(FILL), START, END),
        orders_confirmed=(ORDER,),
        orders_unconfirmed=(sent, sent),
        subscriptions_restored=("AAPL", f"PnL of {ACCOUNT}"),
        subscriptions_refused=("MSFT (354: not subscribed)",),
        bars=(Backfill("AAPL bars", 3),),
        incomplete=("executions of an earlier day",),
    )
    told = json.loads(json.dumps(full.to_dict()))
    assert (told["start"], told["seconds"], told["complete"]) == ("2026-03-02T14:30:00.000+00:00", 90.0, False)
    assert told["executions"][0]["time"] == "2026-03-02T14:30:00.000+00:00"
    assert told["subscriptions_restored"] == ["AAPL", "PnL of DU***67"]
    assert told["bars"] == [{"subscription": "AAPL bars", "bars": 3}]
    assert ACCOUNT not in json.dumps(told)
    assert full.to_dict(show_accounts=True)["executions"][0]["account"] == ACCOUNT
    assert {"accounts", "outage"}.isdisjoint(told)
    assert str(full) == (
        "90.0 s (EOF): 1 missed execution, 1 vanished order, 1 found order, 2 unconfirmed orders, 1 changed position,"
        " 1 unexplained position, 1 refused subscription; could not check: executions of an earlier day"
    )
    assert str(report()) == "90.0 s (EOF): no changes found"


def test_what_needs_a_look():
    assert not report(executions=(FILL,), orders_appeared=(ORDER,)).needs_a_look
    assert report(incomplete=("x",)).needs_a_look
    assert report(orders_vanished=(ORDER,)).needs_a_look
    assert report(positions=compare(picture(), picture(HELD), START, END)["positions"]).needs_a_look


# --- executions that come late; two orders with one id -----------------------------------------------

FILLED = replace(ORDER, status="Filled", filled=100.0, average_price=1.0, is_live=False)


def test_a_late_execution_amends_the_report_and_explains_what_was_not():
    before = picture(ORDER)
    found = compare(before, picture(FILLED, HELD), START, END)
    first = report(**found)
    assert [change.is_explained for change in first.positions] == [False]
    found = amend_report(first, before, picture(FILLED, FILL, HELD), [FILL])
    assert (found.executions, found.is_amended) == ((FILL,), True)
    assert found.orders_changed == (OrderChange(ORDER, FILLED),)
    assert [(change.executed, change.is_explained) for change in found.positions] == [(100.0, True)]
    assert amend_report(found, before, picture(FILLED, FILL, HELD), [FILL]) is found, "it is known"


def test_a_late_execution_whose_order_and_position_are_unknown():
    before, other = picture(ORDER), replace(FILL, exec_id="0b.1.01", con_id=2, symbol="MSFT", perm_id=77)
    first = report(**compare(before, picture(ORDER), START, END))
    found = amend_report(first, before, picture(FILLED, FILL, HELD), [FILL, other])
    assert found.executions == (FILL, other)
    assert found.orders_changed == (OrderChange(ORDER, FILLED),)
    assert [(each.con_id, each.after, each.executed) for each in found.positions] == [(1, 100.0, 100.0)]


def test_a_late_correction_takes_the_place_of_what_it_corrects():
    corrected = replace(FILL, exec_id="0a.1.02", shares=60.0)
    before = picture(ORDER)
    first = report(**compare(before, picture(FILLED, FILL, HELD), START, END))
    found = amend_report(first, before, picture(FILLED, corrected, replace(HELD, quantity=60.0)), [corrected])
    assert found.executions == (corrected,)


def test_orders_that_had_ended_as_is_told_only_after_the_report():
    cancelled = replace(ORDER, status="Cancelled", is_live=False, ended_at=START)
    later = replace(ORDER, perm_id=10, status="Cancelled", is_live=False, ended_at=END + timedelta(minutes=1))
    lost = replace(ORDER, perm_id=11)
    before = picture(ORDER, replace(ORDER, perm_id=10), lost, replace(ORDER, perm_id=12))
    found = add_late_endings(report(), before, picture(cancelled, later, replace(ORDER, perm_id=12)))
    assert found == {"orders_changed": (OrderChange(ORDER, cancelled),), "orders_vanished": (lost,)}
    undated = replace(cancelled, ended_at=None)
    assert add_late_endings(report(), before, picture(undated))["orders_changed"] == (OrderChange(ORDER, undated),)


def test_a_combinations_own_execution_changes_no_position():
    combo = replace(FILL, exec_id="0c.01.01", con_id=28812380, symbol="AAPL,MSFT", is_combo=True)
    found = compare(picture(), picture(combo, FILL, HELD), START, END)
    assert [(change.con_id, change.is_explained) for change in found["positions"]] == [(1, True)]
    assert len(found["executions"]) == 2


def test_two_live_orders_of_ours_under_one_id():
    other = replace(ORDER, perm_id=10, quantity=30.0)
    alone, ended = replace(ORDER, perm_id=11, order_id=6), replace(ORDER, perm_id=12, is_live=False)
    by_hand = [replace(ORDER, perm_id=number, client_id=0, order_id=0) for number in (20, 21)]
    found = orders_sharing_id([other, ORDER, alone, ended, *by_hand], 7)
    assert set(found) == {ORDER, other}
    told = report(orders_under_one_id=found)
    assert told.needs_a_look
    assert told.summary == "2 live orders that share an order id"
