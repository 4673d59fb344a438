"""What faults have in common: the gateway that they are done to, and what several of them do."""

import logging

from ibkr.simulator.connection.listener import Listener
from ibkr.simulator.connection.timers import Timers
from ibkr.simulator.faults.conditions import FARMS, farm_notice
from ibkr.simulator.hub import Hub

log = logging.getLogger("ibkr.simulator")

_LOST = "Connectivity between IB and Trader Workstation has been lost."
_RESTORED = "Connectivity between IB and Trader Workstation has been restored - "


class FaultControl:
    """What a fault is given. `timers` are of what goes on by itself."""

    def __init__(self, hub: Hub, listener: Listener) -> None:
        self.hub = hub
        self.listener = listener
        self.timers = Timers()

    def recorded(self, name: str) -> None:
        """Called after each fault that was carried out."""
        log.info("fault: %s", name)
        self.hub.seen.faults.append(name)
        self.hub.changed()

    def stop(self) -> None:
        """Nothing more is done by itself: no repeats, no rest of a sequence."""
        self.timers.stop()

    # --- nothing that goes on by itself is stopped by these, but by upstream_back ----------------

    def upstream_lost(self, times: int = 1, interval: float = 0.0) -> None:
        """The link to IB is down, and sessions are told so many times."""
        self.hub.conditions.upstream_up = False
        self.hub.notify_all(1100, _LOST)
        self.hub.streams.upstream_lost()
        if times > 1:
            self.timers.later(interval, self.upstream_lost, times - 1, interval)

    def upstream_back(self, *, is_data_lost: bool) -> None:
        """The link to IB and all farms are back, and sessions are told; 1100 is repeated no more."""
        self.stop()
        self.hub.conditions.upstream_up = True
        self.hub.conditions.broken_farms.clear()
        if is_data_lost:
            self.hub.streams.forget_all()
            self.hub.notify_all(1101, _RESTORED + "data lost.")
        else:
            farms = "; ".join(FARMS)
            self.hub.notify_all(1102, f"{_RESTORED}data maintained. All data farms are connected: {farms}.")

    def tell_farm(self, farm: str, *, is_up: bool) -> None:
        """A farm is broken or mended, and sessions are told."""
        farms = self.hub.conditions.broken_farms
        if is_up:
            farms.discard(farm)
        else:
            farms.add(farm)
        self.hub.notify_all(*farm_notice(farm, is_up))
