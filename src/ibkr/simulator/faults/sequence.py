"""Faults that go on by themselves for a while, as they were seen at real gateways."""

from typing import Annotated

from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.farms import Farm
from ibkr.simulator.faults.registry import Seconds, fault, one_of

_LOST, _KEPT = "lost", "kept"
_REPEATS = 5


@fault()
def flap_farm(faults: FaultControl, farm: Farm = "usfarm", seconds: Seconds = 0.7) -> None:
    """A data farm breaks and works again after this many seconds: 2103, then 2104."""
    faults.tell_farm(farm, is_up=False)
    faults.timers.later(seconds, lambda: faults.tell_farm(farm, is_up=True))


@fault()
def nightly_reset(
    faults: FaultControl, seconds: Seconds = 15.0, data: Annotated[str, one_of([_KEPT, _LOST], "end")] = _KEPT
) -> None:
    """IB's nightly reset in this many seconds: a farm flaps, 1100 repeats, farms break, 1102 (or 1101)."""
    # The order of events is that of IBC issues 143 (New York) and 251 (London), which differ in their lengths.
    faults.stop()
    lost_at, back_at = 0.1 * seconds, seconds
    interval = (back_at - lost_at) / (_REPEATS + 1)
    faults.tell_farm("usfarm", is_up=False)
    faults.timers.later(0.05 * seconds, lambda: faults.tell_farm("usfarm", is_up=True))
    for number in range(_REPEATS):  # each from now on: on a machine that is late, the order is the same
        faults.timers.later(lost_at + number * interval, faults.upstream_lost)
    for farm in ("usfarm", "usfuture"):
        faults.timers.later(back_at - interval / 2, lambda farm=farm: faults.tell_farm(farm, is_up=False))
    faults.timers.later(back_at, lambda: _end_of_night(faults, is_data_lost=data == _LOST))


def _end_of_night(faults: FaultControl, *, is_data_lost: bool) -> None:
    broken = sorted(faults.hub.conditions.broken_farms)
    faults.upstream_back(is_data_lost=is_data_lost)
    for farm in broken:
        faults.tell_farm(farm, is_up=True)
