"""Orders that wait together are not sent if the journal cannot note that one of them is sent."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from ib_async import LimitOrder, Order

from ibkr import IBConnector
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make
from tests.recovery.order_helpers import SLOW, all_left, make_wait


@contextmanager
def one_commit_fails(connector: IBConnector) -> Iterator[None]:
    """The disk does not answer until the next commit has failed."""
    program, is_locked = threading.get_ident(), threading.Event()

    def commit() -> FrameType | None:
        frames = (frame for frame, _ in traceback.walk_stack(sys._current_frames()[program]))
        return next((frame for frame in frames if frame.f_code.co_name == "commit_now"), None)

    def disk() -> None:
        with internals.journal_lock(connector):
            is_locked.set()
            while (first := commit()) is None:
                pass
            while commit() is first:
                pass

    thread = threading.Thread(target=disk, daemon=True)
    thread.start()
    is_locked.wait()
    yield
    thread.join()


@pytest.mark.parametrize("group", ["bracket", "oca"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_if_one_order_is_refused_none_is_sent(group: str, at_once: bool, gateway: Gateway, make: Make) -> None:
    connector = make(**SLOW)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    if group == "bracket":
        orders: list[Order] = list(connector.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5))
    else:
        orders = [LimitOrder("BUY", 1, 1.0, ocaGroup="one") for _ in range(3)]
    make_wait(connector)
    for order in orders:
        connector.ib.placeOrder(AAPL, order)
    with one_commit_fails(connector):
        if at_once:
            internals.rate_limiter(connector).send_orders_now()
        await all_left(connector)
    assert not gateway.seen.received("placeOrder")
    unsent = {order.order_id for order in connector.status.unconfirmed if not order.has_left}
    assert unsent == {order.orderId for order in orders}
    await connector.disconnect_async()
    second = make()
    await second.connect_async()
    await second.wait_ready_async(5)
    assert {order.order_id for order in second.status.unconfirmed if not order.has_left} == unsent
