"""The names of data farms, as arguments of faults."""

from typing import Annotated, TypeAlias

from ibkr.simulator.faults.conditions import known_farms
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import ByGateway


def _a_farm(faults: FaultControl, farm: str) -> str:
    known = known_farms(faults.hub.instruments.listed)
    return "" if farm in known else f"no farm {farm!r}; known: {', '.join(known)}"


Farm: TypeAlias = Annotated[str, ByGateway(_a_farm)]
