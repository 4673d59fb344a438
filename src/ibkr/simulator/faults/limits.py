"""Faults of what the gateway counts: messages a second, order ids, the time."""

from typing import TYPE_CHECKING, Annotated

from ibkr.simulator.connection.pacer import OnRate, RateLimit
from ibkr.simulator.faults.registry import MOST, fault, number_from, one_of

if TYPE_CHECKING:
    from ibkr.simulator.faults.faults import Faults


@fault()
def limit_rate(
    faults: "Faults",
    rate: Annotated[int, number_from(1, "messages a second", MOST)] = 50,
    on_rate: Annotated[str, one_of([str(way) for way in OnRate], "way")] = "reject",
) -> None:
    """Take this many messages a second. More of them wait (pace), or get 100 and then a cut (reject)."""
    faults.hub.conditions.rate_limit = RateLimit(rate, on_rate)


@fault()
def warn_of_pace(faults: "Faults") -> None:
    """Tell every session once that its messages come too fast: 100."""
    faults.hub.notify_all(100, "Max rate of messages per second has been exceeded")


@fault()
def roll_back_order_id(faults: "Faults", order_id: Annotated[int, number_from(0, "order ids", MOST)] = 1) -> None:
    """Tell new sessions this next order id, which is lower than before."""
    faults.hub.conditions.next_order_id = order_id


@fault()
def clock_off(faults: "Faults", seconds: Annotated[float, number_from(-1e9, "seconds", 1e9)]) -> None:
    """Set the gateway's clock wrong by this many seconds. 0 ends it."""
    faults.hub.conditions.clock_off = seconds
