"""Whether a row has the contract of an order that was sent without a contract id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ibkr.core.order_records import Execution, Order, SentOrder
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders

SENT = SentOrder(5, "DU1234567", 0, "AAPL", "BUY", 100.0, "LMT", "mine", has_left=True)
ROW = Order(
    9, 7, 5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", 1.0, None, "mine", "Submitted", 0.0, 0.0, is_live=True
)
FILL = Execution(
    "0001.01", 9, 7, 5, "DU1234567", 265598, "AAPL", "BOT", 40.0, 1.0, datetime(2026, 3, 2, tzinfo=UTC), "mine"
)


@pytest.mark.parametrize(
    ("local", "symbol", "told_local", "told", "fits"),
    [
        ("", "AAPL", "AAPL", "AAPL", True),
        ("", "AAPL", "AAPL  260320C00200000", "AAPL", True),
        ("AAPL 260320C00200000", "AAPL", "AAPL  260320C00200000", "AAPL", True),
        ("ESM6", "ES", "", "ES", True),
        ("ESM6", "", "ESM6", "ES", True),
        ("ESM6", "ES", "ESU6", "ES", False),
        ("ESM6", "", "ESU6", "ES", False),
        ("", "EUR", "6EZ7", "EUR", True),
        ("", "EUR", "EUR.USD", "EUR", True),
        ("", "ES", "EW3Z7 C4000", "ES", True),
        ("", "BRK B", "BRKB  271217C00400000", "BRK B", True),
        ("", "brk b", "BRK B", "BRK B", True),
        ("", "", "IBCID15960357", "IBM", True),
        ("", "AAPL", "", "", True),
        ("", "IBKR,MCD", "28812380", "IBKR,MCD", True),
        ("", "IBKR,MCD", "28812380", "USD", True),
        ("", "AAPL", "MSFT", "MSFT", False),
        ("", "A", "AAPL", "AAPL", False),
        ("", "6E", "6EZ7", "EUR", False),
    ],
)
def test_without_a_contract_id_the_symbols_are_compared(local, symbol, told_local, told, fits):
    """``told_local`` and ``told`` are the gateway's."""
    sent = replace(SENT, symbol=local or symbol, underlying=symbol)
    row = replace(ROW, symbol=told_local or told, underlying=told)
    assert sent.matches(row) is fits
    assert sent.matches_reference(row) is fits
    assert sent.matches_contract(replace(FILL, symbol=row.symbol, underlying=told)) is fits
    assert not sent.matches_contract(replace(FILL, symbol=row.symbol, underlying=told, side="SLD"))


@pytest.mark.parametrize(("symbol", "fits"), [("EUR", True), ("6EZ7", True), ("6EH8", False), ("GBP", False)])
def test_a_record_of_an_older_journal_has_only_one_of_the_symbols(symbol, fits):
    assert replace(SENT, symbol=symbol).matches(replace(ROW, symbol="6EZ7", underlying="EUR")) is fits


def test_symbols_of_orders_that_this_session_has_sent_are_not_compared():
    """A bond was sent by its CUSIP. After the session, another program could have used its order id."""
    orders = UnacknowledgedOrders()
    orders.record_row(8)
    bond = replace(SENT, symbol="912828C57", underlying="912828C57")
    row = replace(ROW, symbol="IBCID15960357", underlying="US-T")
    fill = replace(FILL, symbol="IBCID15960357", underlying="US-T")
    orders.sent(bond)
    assert orders.fits_order(row)
    assert orders.fits_execution(fill, 40.0)
    assert not orders.fits_order(replace(row, action="SELL"))
    assert not orders.fits_order(replace(row, perm_id=8))
    assert not orders.fits_execution(replace(fill, side="SLD"), 40.0)
    orders.session_ended()
    assert not orders.fits_order(row)
    assert not orders.fits_execution(fill, 40.0)


def test_symbols_of_an_order_that_the_gateway_still_keeps_are_compared():
    """It stays pending when its session ends, so another program could have used its order id."""
    orders = UnacknowledgedOrders()
    orders.sent(SENT, transmits=False)
    orders.session_ended()
    assert orders.fits_order(ROW)
    assert not orders.fits_order(replace(ROW, symbol="MSFT"))
