"""Faults of what the gateway counts: messages a second, order ids, the time."""

from typing import Annotated

from ibkr.simulator.faults.conditions import OnRate, RateLimit
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import MOST, fault, number_from, one_of


@fault()
def limit_rate(
    faults: FaultControl,
    rate: Annotated[int, number_from(1, "messages a second", MOST)] = 50,
    on_rate: Annotated[str, one_of([str(way) for way in OnRate], "way")] = "reject",
) -> None:
    """Take this many messages a second. More of them wait (pace), or get 100 and then a cut (reject)."""
    faults.hub.conditions.rate_limit = RateLimit(rate, on_rate)


@fault()
def warn_of_pace(faults: FaultControl) -> None:
    """Tell every session once that its messages come too fast: 100."""
    faults.hub.notify_all(100, "Max rate of messages per second has been exceeded")


@fault()
def roll_back_order_id(faults: FaultControl, order_id: Annotated[int, number_from(0, "order ids", MOST)] = 1) -> None:
    """Tell new sessions this next order id, which is lower than before."""
    faults.hub.conditions.next_order_id = order_id


@fault()
def clock_off(faults: FaultControl, seconds: Annotated[float, number_from(-1e9, "seconds", 1e9)]) -> None:
    """Set the gateway's clock wrong by this many seconds. 0 ends it."""
    faults.hub.conditions.clock_off = seconds
