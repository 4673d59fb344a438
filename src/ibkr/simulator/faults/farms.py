"""The names of data farms, as arguments of faults."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from ibkr.simulator.faults.conditions import known_farms
from ibkr.simulator.faults.registry import ByGateway

if TYPE_CHECKING:
    from ibkr.simulator.faults.faults import Faults


def _a_farm(faults: "Faults", farm: str) -> str:
    known = known_farms(faults.hub.instruments.listed)
    return "" if farm in known else f"no farm {farm!r}; known: {', '.join(known)}"


Farm: TypeAlias = Annotated[str, ByGateway(_a_farm)]
