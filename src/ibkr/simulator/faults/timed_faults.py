"""Faults that continue by themselves for a while, as observed at real gateways."""

from typing import Annotated

from ibkr.simulator.faults.fault_context import Farm, FaultContext
from ibkr.simulator.faults.fault_registry import Seconds, fault, one_of

_LOST, _KEPT = "lost", "kept"
_REPEATS = 5


@fault()
def flap_farm(faults: FaultContext, farm: Farm = "usfarm", seconds: Seconds = 0.7) -> None:
    """A data farm breaks and works again after this many seconds: 2103, then 2104."""
    faults.set_farm(farm, is_up=False)
    faults.timers.later(seconds, lambda: faults.set_farm(farm, is_up=True))


@fault()
def nightly_reset(
    faults: FaultContext, seconds: Seconds = 15.0, data: Annotated[str, one_of([_KEPT, _LOST], "end")] = _KEPT
) -> None:
    """IB's nightly reset in this many seconds: a farm flaps, 1100 repeats, farms break, 1102 (or 1101)."""
    # The events have the order of IBC issues 143 (New York) and 251 (London). These resets differ in length.
    faults.stop()
    lost_at, back_at = 0.1 * seconds, seconds
    interval = (back_at - lost_at) / (_REPEATS + 1)
    faults.set_farm("usfarm", is_up=False)
    faults.timers.later(0.05 * seconds, lambda: faults.set_farm("usfarm", is_up=True))
    for number in range(_REPEATS):  # measure all times from now, so that a slow computer does not change the order
        faults.timers.later(lost_at + number * interval, faults.set_upstream_down)
    for farm in ("usfarm", "usfuture"):
        faults.timers.later(back_at - interval / 2, lambda farm=farm: faults.set_farm(farm, is_up=False))
    faults.timers.later(back_at, lambda: _end_of_night(faults, is_data_lost=data == _LOST))


def _end_of_night(faults: FaultContext, *, is_data_lost: bool) -> None:
    broken = sorted(faults.state.conditions.broken_farms)
    faults.set_upstream_up(is_data_lost=is_data_lost)
    for farm in broken:
        faults.set_farm(farm, is_up=True)
