"""Faults of orders: rejections, refused changes and cancels, notes, late executions."""

import math
from typing import Annotated, TypeAlias

from ibkr.simulator.broker.order_errors import CANCEL, CHANGE, NEW, NOTE
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import Seconds, Times, fault, number_from


def _a_text(text: str) -> str:
    return "a text without NUL is needed" if "\0" in text else ""


Code: TypeAlias = Annotated[int, number_from(1, "codes", 2**31 - 1)]
Text: TypeAlias = Annotated[str, _a_text]
"""Empty: in the words of TWS."""


@fault()
def reject_orders(faults: FaultControl, code: Code = 201, times: Times = 1, text: Text = "") -> None:
    """Reject the next new orders with this code, after an openOrder with PendingSubmit."""
    faults.hub.conditions.order_errors.add(NEW, code, text, times)


@fault()
def refuse_changes(faults: FaultControl, code: Code = 201, times: Times = 1, text: Text = "") -> None:
    """Refuse the next changes of orders with this code. The orders keep their old terms."""
    faults.hub.conditions.order_errors.add(CHANGE, code, text, times)


@fault()
def refuse_cancels(faults: FaultControl, code: Code = 161, times: Times = 1, text: Text = "") -> None:
    """Refuse the next cancels with this code (161, 10147, 10148, 135). The orders stay open."""
    faults.hub.conditions.order_errors.add(CANCEL, code, text, times)


@fault()
def note_orders(faults: FaultControl, code: Code = 10349, text: Text = "") -> None:
    """Send a note with this code (10349, 399, 2109) about every open order. The orders stay open."""
    for order in faults.hub.desk.engine.live():
        faults.hub.desk.note(order, code, text)


@fault()
def note_new_orders(faults: FaultControl, code: Code = 10349, times: Times = math.inf, text: Text = "") -> None:
    """Send a note with this code (10349, 399, 2109) about the next new orders. They stay open."""
    faults.hub.conditions.order_errors.add(NOTE, code, text, times)


@fault()
def late_executions(faults: FaultControl, seconds: Seconds = 2.0) -> None:
    """Report executions of an outage so many seconds after its end, after the status. 0 ends it."""
    faults.hub.conditions.late_executions = seconds
