"""The journal in a fleet: the leader's journal, and one that programs on one machine share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ib_async import LimitOrder, Stock

from ibkr.journal.journal_lock import JournalLock
from tests.fixture_types import StateOf

from .conftest import NewMember
from .test_leadership import hand_over_with_order, leads

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


async def test_a_shared_journal_makes_the_gap_report_complete(
    new_member: NewMember, state_of: StateOf, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    first, second = new_member(journal=path), new_member(journal=path)
    trade, report = await hand_over_with_order(first, second, state_of)
    assert report.complete, report
    assert [each.order.orderRef for each in second.ib.trades()] == ["of the first"]
    order = second.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0)).order
    assert order.orderId > trade.order.orderId


async def test_a_journal_that_another_process_still_has_is_waited_for(
    new_member: NewMember, state_of: StateOf, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    claim = JournalLock(path)
    connector = new_member(journal=path)
    connecting = asyncio.create_task(connector.connect_async())
    await state_of(connector, lambda status: "is in use" in status.reason)
    assert not connector.may_trade
    claim.release()
    await connecting
    await state_of(connector, leads)
