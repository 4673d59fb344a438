"""Orders and changes that were dropped or refused, and what the journal and the next program know of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ibkr import IBConnector, NotReady
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf
from tests.recovery.order_helpers import SLOW, all_left, limit, make_wait

Look = Callable[..., list[tuple[object, ...]]]


async def started(make: Make, **options: object) -> IBConnector:
    connector = make(**options)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the journal as a backup does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def left(connector: IBConnector) -> dict[int, bool]:
    return {order.order_id: order.has_left for order in connector.status.unconfirmed}


async def test_a_refused_change_does_not_let_a_waiting_order_pass_the_halt(
    gateway: Gateway, make: Make, path: Path
) -> None:
    connector = await started(make, **SLOW)
    make_wait(connector)
    trade, beside = connector.ib.placeOrder(AAPL, limit()), connector.ib.placeOrder(AAPL, limit())
    with locked(path), pytest.raises(NotReady, match="locked"):
        connector.ib.placeOrder(AAPL, trade.order)
    connector.halt("risk")
    await all_left(connector)
    assert not gateway.seen.received("placeOrder")
    assert left(connector) == {trade.order.orderId: False, beside.order.orderId: False}


async def test_an_order_that_the_journal_refused_is_checked_again(
    gateway: Gateway, make: Make, path: Path, state_of: StateOf
) -> None:
    connector, order = await started(make), limit()
    with locked(path), pytest.raises(NotReady, match="locked"):
        connector.ib.placeOrder(AAPL, order)
    connector.halt("risk")
    with pytest.raises(NotReady):
        connector.ib.client.placeOrder(connector.ib.client.getReqId(), AAPL, order)
    await all_left(connector)
    assert not gateway.seen.received("placeOrder")
