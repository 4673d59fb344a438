"""The global cancel of a halt, if something happens between its request and its delivery."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ibkr import IBConnector, NotReady
from ibkr.journal.halt_file import HaltFile, new_halt
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, StateOf
from tests.recovery.order_helpers import limit, resting

from .test_halt import cancels


async def test_a_cancel_that_cannot_be_recorded_is_sent_once(
    gateway: Gateway, trading: IBConnector, path: Path
) -> None:
    """The disk is full. The cancel is not sent again and again because of that."""
    await resting(trading, AAPL)
    HaltFile(path).write(new_halt("risk", "ibkr halt", cancel_all=True))
    HaltFile(path).path.with_name(f"{HaltFile(path).path.name}.{os.getpid()}").mkdir()  # nothing can be written there
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    for _ in range(3):
        await trading.ib.reqCurrentTimeAsync()
        with pytest.raises(NotReady, match="risk"):
            trading.ib.placeOrder(AAPL, limit())
    assert cancels(gateway) == 1
    assert HaltFile(path).read().is_cancel_due, "after a restart, it is sent again"


async def test_a_halt_that_comes_before_the_delivery_of_another_cancel_keeps_its_own(
    gateway: Gateway, trading: IBConnector, path: Path
) -> None:
    """The program has not yet read the second halt when the gateway has received the cancel of the first."""
    await gateway.fault("freeze")
    trading.halt("risk", cancel_all=True)
    HaltFile(path).write(new_halt("again", "ibkr halt", cancel_all=True))
    await gateway.fault("thaw")
    await gateway.wait_for(lambda gateway: cancels(gateway) == 2)
    async with asyncio.timeout(5):
        while HaltFile(path).read().is_cancel_due:
            await trading.ib.reqCurrentTimeAsync()
    assert trading.status.halted == "again"


async def test_a_due_cancel_outlives_a_file_that_becomes_unreadable(
    gateway: Gateway, trading: IBConnector, state_of: StateOf, path: Path
) -> None:
    await resting(trading, AAPL)
    await gateway.fault("1100")
    await state_of(trading, lambda status: status.upstream == "down")
    trading.halt("risk", cancel_all=True)
    HaltFile(path).path.write_text("damaged")
    await state_of(trading, lambda status: "cannot be read" in status.halted)
    await gateway.fault("1102")
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
