"""A halt that begins while an order is written to the journal: the order is not sent."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ib_async import Contract

from ibkr import IBConnector, NotReady
from ibkr.journal.halt_file import HaltFile, new_halt
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make
from tests.recovery.order_helpers import SLOW, all_left, dropped, limit, make_wait, resting

Look = Callable[..., list[tuple[object, ...]]]


@contextmanager
def halted_during_commit(connector: IBConnector, path: Path) -> Iterator[None]:
    """Let the next commit wait. As soon as it waits, write a halt, then let it continue."""
    program, is_locked = threading.get_ident(), threading.Event()

    def other_process() -> None:
        with internals.journal_lock(connector):
            is_locked.set()
            while "commit_now" not in {
                frame.f_code.co_name for frame, _ in traceback.walk_stack(sys._current_frames()[program])
            }:
                pass
            HaltFile(path).write(new_halt("a person stopped it", "ibkr halt", cancel_all=False))

    thread = threading.Thread(target=other_process, daemon=True)
    thread.start()
    is_locked.wait()
    yield
    thread.join()


def unsent(connector: IBConnector) -> list[tuple[int, bool, bool]]:
    return [(order.order_id, order.has_left, order.is_change) for order in connector.status.unconfirmed]


async def continued(make: Make, trading: IBConnector) -> IBConnector:
    """The next program."""
    await trading.disconnect_async()
    second = make()
    await second.connect_async()
    await second.wait_ready_async(5)
    return second


async def test_a_halt_during_the_commit_refuses_the_order(
    gateway: Gateway, make: Make, trading: IBConnector, path: Path, look: Look
) -> None:
    parent, child, _ = trading.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    with halted_during_commit(trading, path), pytest.raises(NotReady, match=r"not sent.*a person stopped it"):
        trading.ib.placeOrder(AAPL, parent)
    trading.resume()
    assert trading.status.unconfirmed == ()
    assert not [trade for trade in trading.ib.trades() if trade.order.clientId == 7]
    with pytest.raises(NotReady, match=f"its parent, order {parent.orderId}, was never sent"):
        trading.ib.placeOrder(AAPL, child)
    assert not gateway.seen.received("placeOrder")
    second = await continued(make, trading)
    assert look("SELECT kind, state FROM intents") == [("order", "cleared")]
    assert second.status.unconfirmed == ()
    second.ib.placeOrder(AAPL, parent)
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))


async def test_a_halt_during_the_commit_refuses_an_exercise(gateway: Gateway, trading: IBConnector, path: Path) -> None:
    with halted_during_commit(trading, path), pytest.raises(NotReady, match=r"not sent.*a person stopped it"):
        trading.ib.exerciseOptions(Contract(conId=1), 1, 1, "DU1234567", 0)
    assert trading.status.unconfirmed == ()
    await trading.ib.reqCurrentTimeAsync()
    assert not gateway.seen.received("exerciseOptions")


async def test_a_halt_during_the_commit_refuses_a_change(
    gateway: Gateway, make: Make, trading: IBConnector, path: Path, look: Look
) -> None:
    (trade,) = await resting(trading, AAPL)
    trade.order.lmtPrice = 2.0
    with halted_during_commit(trading, path), pytest.raises(NotReady, match=r"not sent.*a person stopped it"):
        trading.ib.placeOrder(AAPL, trade.order)
    await trading.ib.reqOpenOrdersAsync()
    assert trading.status.unconfirmed == ()
    assert len(gateway.seen.received("placeOrder")) == 1
    second = await continued(make, trading)
    assert look("SELECT kind, state FROM intents") == [("order", "acknowledged"), ("change", "cleared")]
    assert second.status.unconfirmed == ()


@pytest.mark.parametrize("is_change", [False, True])
async def test_what_was_dropped_before_stays_on_the_list(
    gateway: Gateway, make: Make, path: Path, is_change: bool
) -> None:
    first = make(**SLOW)
    await first.connect_async()
    await first.wait_ready_async(5)
    if is_change:
        (trade,) = await resting(first, AAPL)
        make_wait(first)
        first.ib.placeOrder(AAPL, trade.order)
        first.halt("meanwhile")
        await all_left(first)
        first.resume()
    else:
        trade = await dropped(first)
    expected = [(trade.order.orderId, False, is_change)]
    with halted_during_commit(first, path), pytest.raises(NotReady, match="a person stopped it"):
        first.ib.placeOrder(AAPL, trade.order)
    assert unsent(first) == expected
    second = await continued(make, first)
    assert unsent(second) == expected
    second.clear_unconfirmed()
    assert unsent(await continued(make, second)) == []


async def test_a_halt_during_the_commit_drops_a_waiting_order(gateway: Gateway, make: Make, path: Path) -> None:
    connector = make(**SLOW)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    make_wait(connector)
    trade = connector.ib.placeOrder(AAPL, limit())
    with halted_during_commit(connector, path):
        await all_left(connector)
    assert not gateway.seen.received("placeOrder")
    expected = [(trade.order.orderId, False, False)]
    assert unsent(connector) == expected
    assert unsent(await continued(make, connector)) == expected
