"""Faults of orders: rejections, refused changes and cancels, notes, late executions, order ids."""

import math
from typing import Annotated, TypeAlias

from ibkr.simulator.broker.injected_errors import CANCEL, CHANGE, NEW, NOTE
from ibkr.simulator.faults.fault_context import FaultContext
from ibkr.simulator.faults.fault_registry import MAX_INT, Seconds, Times, fault, number_from


def _check_text(text: str) -> str:
    return "a text without NUL is needed" if "\0" in text else ""


Code: TypeAlias = Annotated[int, number_from(1, "codes", MAX_INT)]
Text: TypeAlias = Annotated[str, _check_text]
"""If the text is empty, the text of TWS is sent."""


@fault()
def reject_orders(faults: FaultContext, code: Code = 201, times: Times = 1, text: Text = "") -> None:
    """Reject the next new orders with this code, after an openOrder with PendingSubmit."""
    faults.state.conditions.order_errors.add(NEW, code, text, times)


@fault()
def refuse_changes(faults: FaultContext, code: Code = 201, times: Times = 1, text: Text = "") -> None:
    """Refuse the next changes of orders with this code. The orders keep their old terms."""
    faults.state.conditions.order_errors.add(CHANGE, code, text, times)


@fault()
def refuse_cancels(faults: FaultContext, code: Code = 161, times: Times = 1, text: Text = "") -> None:
    """Refuse the next cancels with this code (161, 10147, 10148, 135). The orders stay open."""
    faults.state.conditions.order_errors.add(CANCEL, code, text, times)


@fault()
def note_orders(faults: FaultContext, code: Code = 10349, text: Text = "") -> None:
    """Send a note with this code (10349, 399, 2109) about every open order. The orders stay open."""
    for order in faults.state.order_handler.engine.live():
        faults.state.order_handler.note(order, code, text)


@fault()
def note_new_orders(faults: FaultContext, code: Code = 10349, times: Times = math.inf, text: Text = "") -> None:
    """Send a note with this code (10349, 399, 2109) about the next new orders. They stay open."""
    faults.state.conditions.order_errors.add(NOTE, code, text, times)


@fault()
def late_executions(faults: FaultContext, seconds: Seconds = 2.0) -> None:
    """Report the executions of an outage this many seconds after its end, after the status. 0 ends it."""
    faults.state.conditions.late_executions = seconds


@fault()
def roll_back_order_id(
    faults: FaultContext, order_id: Annotated[int, number_from(0, "order ids", MAX_INT)] = 1
) -> None:
    """Send this next order id to new sessions, lower than before."""
    faults.state.conditions.next_order_id = order_id
