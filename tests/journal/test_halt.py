"""A halt: from the program, from outside through the file next to the journal, and across restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ibkr import IBConnector, NotReady
from ibkr.journal.halt_file import Halt, HaltFile, new_halt
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make, StateOf, Stopwatch
from tests.recovery.order_helpers import limit, resting

Look = Callable[..., list[tuple[object, ...]]]


def cancels(gateway: Gateway) -> int:
    return len(gateway.seen.received("reqGlobalCancel"))


async def test_no_new_order_leaves_until_somebody_resumes(gateway: Gateway, trading: IBConnector) -> None:
    (trade,) = await resting(trading, AAPL)
    next_id = trading.ib.client.next_req_id
    trading.halt("the risk limit")
    assert trading.status.halted == "the risk limit"
    trade.order.lmtPrice = 1.5
    for order in (limit(), trade.order):
        with pytest.raises(NotReady, match="halted: the risk limit"):
            trading.ib.placeOrder(AAPL, order)
    with pytest.raises(NotReady, match="halted: the risk limit"):
        trading.ib.bracketOrder("BUY", 1, 1.0, 2.0, 0.5)
    assert trading.ib.client.next_req_id == next_id, "no id is taken"
    assert trading.ib.whatIfOrderAsync(AAPL, limit()) is not None, "what an order would cost may be asked"
    trading.resume()
    assert trading.status.may_trade
    await resting(trading, AAPL)
    assert not cancels(gateway)


async def test_it_outlives_the_program(make: Make, trading: IBConnector) -> None:
    trading.halt("the risk limit")
    await trading.disconnect_async()
    second = make()
    await second.connect_async()
    status = await second.wait_ready_async(5)
    assert (status.may_trade, status.halted) == (False, "the risk limit")
    second.resume()
    await second.disconnect_async()
    third = make()
    await third.connect_async()
    assert (await third.wait_ready_async(5)).may_trade


async def test_without_a_journal_it_holds_in_the_process(make: Make) -> None:
    connector = make(journal="")
    connector.halt("before there is a connection")
    await connector.connect_async()
    assert not (await connector.wait_ready_async(5)).may_trade
    await connector.disconnect_async()
    await connector.connect_async()
    assert not (await connector.wait_ready_async(5)).may_trade
    connector.resume()
    assert connector.status.may_trade


async def test_a_running_program_notices_one_from_outside_within_a_second(
    trading: IBConnector, path: Path, state_of: StateOf, stopwatch: Stopwatch
) -> None:
    file = HaltFile(path)
    elapsed = stopwatch()
    file.write(new_halt("a person stopped it", "ibkr halt", cancel_all=False))
    await state_of(trading, lambda status: status.halted == "a person stopped it")
    assert elapsed() < 1.2
    file.remove()
    await state_of(trading, lambda status: status.may_trade)


async def test_an_order_after_a_halt_from_outside_is_refused_at_once(trading: IBConnector, path: Path) -> None:
    HaltFile(path).write(new_halt("a person stopped it", "ibkr halt", cancel_all=False))
    with pytest.raises(NotReady, match="halted: a person stopped it"):
        trading.ib.placeOrder(AAPL, limit())
    assert not trading.status.may_trade
    HaltFile(path).remove()
    trading.ib.placeOrder(AAPL, limit())


@pytest.mark.parametrize("from_outside", [False, True])
async def test_all_is_cancelled(
    gateway: Gateway, trading: IBConnector, path: Path, state_of: StateOf, from_outside: bool
) -> None:
    await resting(trading, AAPL, AAPL)
    if from_outside:
        HaltFile(path).write(new_halt("risk", "ibkr halt", cancel_all=True))
    else:
        trading.halt("risk", cancel_all=True)
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    async with asyncio.timeout(5):
        while not HaltFile(path).read().cancelled_at:
            await trading.ib.reqCurrentTimeAsync()
    await gateway.fault("reset")
    await state_of(trading, lambda status: not status.is_connected)
    await trading.wait_ready_async(5)
    assert cancels(gateway) == 1
    assert trading.status.halted == "risk"


async def test_all_is_cancelled_as_soon_as_there_is_a_session(
    gateway: Gateway, make: Make, path: Path, trading: IBConnector
) -> None:
    await resting(trading, AAPL)
    await trading.disconnect_async()
    HaltFile(path).write(new_halt("risk", "ibkr halt", cancel_all=True))
    second = make()
    await second.connect_async()
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))


async def test_a_cancel_that_was_lost_is_sent_again(gateway: Gateway, trading: IBConnector, path: Path) -> None:
    """The first cancel is written to a half-open socket."""
    await resting(trading, AAPL)
    await gateway.fault("freeze")
    trading.halt("risk", cancel_all=True)
    trading.reconnect()
    await gateway.fault("thaw")
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    async with asyncio.timeout(5):
        while not HaltFile(path).read().cancelled_at:
            await trading.ib.updateEvent


async def test_a_later_halt_keeps_the_cancel_that_must_still_be_sent(
    gateway: Gateway, trading: IBConnector, state_of: StateOf, path: Path
) -> None:
    await resting(trading, AAPL)
    await gateway.fault("1100")
    await state_of(trading, lambda status: status.upstream == "down")
    trading.halt("stop", cancel_all=True)
    trading.halt("the risk limit")
    assert trading.status.halted == "the risk limit"
    await gateway.fault("1102")
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    async with asyncio.timeout(5):
        while HaltFile(path).read().is_cancel_due:
            await trading.ib.reqCurrentTimeAsync()
    trading.halt("still the risk limit")
    await trading.ib.reqCurrentTimeAsync()
    assert cancels(gateway) == 1


async def test_a_later_halt_keeps_the_cancel_also_without_a_journal(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(journal="")
    await connector.connect_async()
    await connector.wait_ready_async(5)
    await resting(connector, AAPL)
    await gateway.fault("1100")
    await state_of(connector, lambda status: status.upstream == "down")
    connector.halt("stop", cancel_all=True)
    connector.halt("the risk limit")
    await gateway.fault("1102")
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))


async def test_a_resumed_halt_takes_its_cancel_with_it(
    gateway: Gateway, trading: IBConnector, state_of: StateOf
) -> None:
    await gateway.fault("1100")
    await state_of(trading, lambda status: status.upstream == "down")
    trading.halt("stop", cancel_all=True)
    trading.resume()
    trading.halt("the risk limit")
    await gateway.fault("1102")
    await trading.wait_ready_async(5)
    await trading.ib.reqCurrentTimeAsync()
    assert not cancels(gateway)


@pytest.mark.parametrize("text", ["", "{}", "not JSON", '{"reason": 1}', "[]", '{"reason": "\x00'])
async def test_a_file_that_cannot_be_read_is_a_halt(make: Make, path: Path, text: str) -> None:
    HaltFile(path).path.write_text(text)
    connector = make()
    await connector.connect_async()
    assert "cannot be read" in (await connector.wait_ready_async(5)).may_trade_reason
    connector.resume()
    assert connector.status.may_trade


async def test_a_halt_that_cannot_be_stored_is_in_force(trading: IBConnector, path: Path) -> None:
    HaltFile(path).path.mkdir()
    with pytest.raises(OSError, match="halt"):
        trading.halt("risk")
    assert not trading.status.may_trade
    with pytest.raises(NotReady):
        trading.ib.placeOrder(AAPL, limit())
    HaltFile(path).path.rmdir()
    assert not trading.status.may_trade
    with pytest.raises(NotReady, match="risk"):
        trading.ib.placeOrder(AAPL, limit())
    trading.resume()
    assert trading.status.may_trade


def test_words_from_outside_are_cleaned(tmp_path: Path) -> None:
    file = HaltFile(tmp_path / "journal.sqlite")
    file.write(new_halt("a\x1b[31m\nb" + "x" * 999, "me", cancel_all=False))
    halt = file.read()
    assert halt is not None
    assert halt.reason.startswith("a [31m b")
    assert len(halt.reason) == 300
    text = json.dumps({"reason": "\x07", "by": "\n", "at": "", "cancel_all": 0, "cancelled_at": ""})
    file.path.write_text(text)
    assert file.read() == Halt("no reason was given")


def test_only_resume_and_the_delivery_end_a_due_cancel(tmp_path: Path) -> None:
    file = HaltFile(tmp_path / "journal.sqlite")
    file.write(new_halt("stop", "me", cancel_all=True))
    assert file.write(new_halt("look at it", "you", cancel_all=False)).is_cancel_due
    halt = file.read()
    assert halt is not None
    assert (halt.reason, halt.by, halt.is_cancel_due) == ("look at it", "you", True)
    file.mark_cancelled({halt})
    assert not file.write(new_halt("look again", "you", cancel_all=False)).is_cancel_due
    assert file.write(new_halt("stop again", "you", cancel_all=True)).is_cancel_due, "it is another cancel"
    file.remove()
    assert not file.write(new_halt("look", "you", cancel_all=False)).is_cancel_due


async def test_what_was_refused_is_not_in_the_journal(trading: IBConnector, look: Look) -> None:
    await resting(trading, AAPL)
    trading.halt("risk")
    with pytest.raises(NotReady):
        trading.ib.placeOrder(AAPL, limit())
    assert look("SELECT count(*) FROM intents") == [(1,)]


@pytest.mark.parametrize("is_asked_before", [False, True])
async def test_a_read_only_gateway_has_not_cancelled(
    gateway: Gateway, trading: IBConnector, path: Path, state_of: StateOf, is_asked_before: bool
) -> None:
    """The gateway refuses the cancel with 321. The answer to a request from before the cancel proves nothing."""
    await resting(trading, AAPL)
    await gateway.fault("read_only")
    if is_asked_before:
        await gateway.fault("freeze")
        asked = trading.ib.reqCurrentTimeAsync()
        trading.halt("risk", cancel_all=True)
        await gateway.fault("thaw")
        await asked
    else:
        trading.halt("risk", cancel_all=True)
    await state_of(trading, lambda status: status.read_only)
    await trading.ib.reqCurrentTimeAsync()
    assert HaltFile(path).read().is_cancel_due
    await gateway.fault("end_read_only")
    assert any(order.is_live for order in gateway.orders)
    trading.retry_now()
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    async with asyncio.timeout(5):
        while not HaltFile(path).read().cancelled_at:
            await trading.ib.reqCurrentTimeAsync()
    assert cancels(gateway) == 2
