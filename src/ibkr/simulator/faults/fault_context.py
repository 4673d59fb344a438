"""`FaultContext`: what every fault gets, with actions that several faults share. `Farm`: the type of farm arguments."""

import logging
from typing import Annotated, TypeAlias

from ibkr.simulator.connection.listener import Listener
from ibkr.simulator.faults.conditions import FARMS, farm_notice, known_farms
from ibkr.simulator.faults.fault_registry import GatewayCheck
from ibkr.simulator.gateway_state import GatewayState
from ibkr.simulator.scheduling import Timers

log = logging.getLogger("ibkr.simulator")

_LOST = "Connectivity between IB and Trader Workstation has been lost."
_RESTORED = "Connectivity between IB and Trader Workstation has been restored - "


class FaultContext:
    """The gateway that a fault acts on. `timers` are for faults that continue by themselves."""

    def __init__(self, state: GatewayState, listener: Listener) -> None:
        self.state = state
        self.listener = listener
        self.timers = Timers()

    def recorded(self, name: str) -> None:
        """Record a fault, after it was carried out."""
        log.info("fault: %s", name)
        self.state.seen.faults.append(name)
        self.state.changed()

    def stop(self) -> None:
        """Stop the faults that continue by themselves: repeats, and the rest of a sequence."""
        self.timers.stop()

    # Of the methods below, only `set_upstream_up` stops the faults that continue by themselves.

    def set_upstream_down(self, times: int = 1, interval: float = 0.0) -> None:
        """Lose the upstream, and send the notice to every session, `times` times."""
        self.state.conditions.upstream_up = False
        self.state.notify_all(1100, _LOST)
        self.state.streams.end_at_upstream_loss()
        if times > 1:
            self.timers.later(interval, self.set_upstream_down, times - 1, interval)

    def set_upstream_up(self, *, is_data_lost: bool) -> None:
        """Restore the upstream and all farms, and send the notice to every session. Stop repeating 1100."""
        self.stop()
        self.state.conditions.upstream_up = True
        self.state.conditions.broken_farms.clear()
        if is_data_lost:
            self.state.streams.end_all()
            self.state.notify_all(1101, _RESTORED + "data lost.")
        else:
            farms = "; ".join(FARMS)
            self.state.notify_all(1102, f"{_RESTORED}data maintained. All data farms are connected: {farms}.")

    def set_farm(self, farm: str, *, is_up: bool) -> None:
        """Break or repair a farm, and send the notice to every session."""
        farms = self.state.conditions.broken_farms
        if is_up:
            farms.discard(farm)
        else:
            farms.add(farm)
        self.state.notify_all(*farm_notice(farm, is_up))


def _check_farm(faults: FaultContext, farm: str) -> str:
    known = known_farms(faults.state.instruments.listed)
    return "" if farm in known else f"no farm {farm!r}; known: {', '.join(known)}"


Farm: TypeAlias = Annotated[str, GatewayCheck(_check_farm)]
