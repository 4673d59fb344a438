"""Corrections of executions: each takes the place of the execution that it corrects."""

from __future__ import annotations

from dataclasses import replace

from ib_async import Trade

from ibkr import IBConnector
from ibkr.simulator import Gateway
from ibkr.simulator.broker.order_events import Executed

from .order_helpers import Reports, wait_until


async def test_a_correction_takes_the_place_of_its_fill(gateway: Gateway, connector: IBConnector, trade: Trade) -> None:
    told = Reports(connector)
    filled = gateway.fill(trade.order.orderId, 40, 1.0)
    await wait_until(connector, lambda: trade.fills)
    assert filled.exec_id.endswith(".01")
    executions = gateway._state.order_handler.executions
    executions.append(replace(executions[-1], exec_id=filled.exec_id[:-1] + "2", shares=30.0))
    await gateway.fault("reset")
    report = await told.next()
    assert [each.exec_id for each in report.executions] == [executions[-1].exec_id]
    assert [(fill.execution.execId, fill.execution.shares) for fill in trade.fills] == [(executions[-1].exec_id, 30)]
    await gateway.fault("reset")
    assert (await told.next()).executions == ()
    assert len(trade.fills) == 1


async def test_a_correction_has_replaced_its_fill_when_the_listeners_hear_of_it(
    gateway: Gateway, connector: IBConnector, trade: Trade
) -> None:
    filled = gateway.fill(trade.order.orderId, 40, 1.0)
    await wait_until(connector, lambda: trade.fills)
    amounts: list[float] = []
    trade.fillEvent.connect(lambda trade, _: amounts.append(trade.filled()), keep_ref=True)
    last = gateway._state.order_handler.executions[-1]
    for number, shares in (("3", 30.0), ("2", 35.0)):
        corrected = replace(last, exec_id=filled.exec_id[:-1] + number, shares=shares)
        gateway._state.order_handler.handle_events([Executed(corrected)])
    await wait_until(connector, lambda: len(amounts) == 2)
    assert (amounts[0], trade.filled()) == (30, 30)
