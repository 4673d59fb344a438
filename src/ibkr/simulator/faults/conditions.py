"""The conditions that the faults set: what holds for all connections, now."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ibkr.simulator.broker.order_errors import OrderErrors
from ibkr.simulator.connection.outbox import AT_ONCE, Flow
from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.market.instrument import Instrument

ANY = "any"
"""In place of the name of a message: any message."""

WEB_SERVER_ENDS = ("400", "close")

FARMS: dict[str, str] = {
    "usfarm": "market",
    "usfuture": "market",
    "ushmds": "hmds",
    "secdefnj": "secdef",
}
"""The farms that the gateway is connected to, and their kinds, in the order that TWS tells them."""

_ELSEWHERE = (
    "usfarm.nj",
    "usfarm.us",
    "usopt",
    "cashfarm",
    "eufarm",
    "eufarmnj",
    "hfarm",
    "jfarm",
    "euhmds",
    "hkhmds",
    "cashhmds",
    "fundfarm",
    "secdefil",
    "secdefeu",
    "secdefhk",
)
"""Farms that users' gateways tell of and this one is not connected to; notices about them can be had all the same."""

_BROKEN = {
    "market": (2103, "Market data farm connection is broken:"),
    "hmds": (2105, "HMDS data farm connection is broken:"),
    "secdef": (2157, "Sec-def data farm connection is broken:"),
}
_OK = {
    "market": (2104, "Market data farm connection is OK:"),
    "hmds": (2106, "HMDS data farm connection is OK:"),
    "secdef": (2158, "Sec-def data farm connection is OK:"),
}


class OnRate(enum.StrEnum):
    """What happens above the limit: the message waits, or is rejected with 100; or there is no limit."""

    PACE = "pace"
    REJECT = "reject"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `rate` messages in any second. Raises `ValueError` for what cannot be one.

    The setting "Reject messages above maximum allowed message rate vs. applying pacing" of TWS; pacing is its default.
    """

    rate: int
    on_rate: str

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"rate: 1 message a second at least is needed, not {self.rate}")
        if self.on_rate not in tuple(OnRate):
            raise ValueError(f"on_rate: no such way {self.on_rate!r}, choose {', '.join(OnRate)}")


class Kind(enum.Enum):
    """What is done to a message."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    TRUNCATE = "truncate"
    PAD = "pad"


@dataclass
class Twist:
    """Done to so many messages of a name, over all connections.

    `seconds` belongs to a delay; `count` is the number of separators that a padded message gets.
    """

    kind: Kind
    times: float
    seconds: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class WebServer:
    """How it treats what is not HTTP: it waits `seconds` for the end of the request, then answers 400 or closes."""

    seconds: float = 5.0
    end: str = WEB_SERVER_ENDS[0]


@dataclass
class Conditions:
    """Fresh ones are those of a healthy gateway.

    `greeting` names what a new connection meets, `muted` holds names of requests that get no answer, `twists` what
    happens to messages by their names, `order_errors` what the next requests about orders get. `denied_by` is the code
    that refuses market data, `clock_off` and `late_executions` are in seconds. `web_server` says how the greeting of
    that name behaves. None: as the gateway's settings have it, or not at all.
    """

    greeting: str = "session"
    frozen: bool = False
    upstream_up: bool = True
    read_only: bool = False
    competing: bool = False
    denied_by: int | None = None
    flow: Flow = AT_ONCE
    twists: dict[str, Twist] = field(default_factory=dict)
    clock_off: float = 0.0
    late_executions: float = 0.0
    next_order_id: int | None = None
    rate_limit: RateLimit | None = None
    order_errors: OrderErrors = field(default_factory=OrderErrors)
    muted: set[str] = field(default_factory=set)
    broken_farms: set[str] = field(default_factory=set)
    time_zone: TimeZone | None = None
    web_server: WebServer = field(default_factory=WebServer)

    def change_flow(self, **changes: Any) -> None:
        """Change how bytes leave, of what is put from now on."""
        changed = replace(self.flow, **changes)
        self.flow = AT_ONCE if changed == AT_ONCE else changed

    def data_flows(self, farm: str) -> bool:
        """Whether market data of this farm reaches the gateway's clients."""
        return self.upstream_up and not self.frozen and not self.competing and farm not in self.broken_farms

    def farm_notices(self) -> list[tuple[int, str]]:
        """Code and text of what a new session is told of the farms, or of the lack of them."""
        if not self.upstream_up:
            return [
                (
                    2110,
                    "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
                )
            ]
        return [farm_notice(farm, farm not in self.broken_farms) for farm in FARMS]


def known_farms(instruments: Iterable[Instrument]) -> list[str]:
    """The farms that there are, those of these instruments among them."""
    return sorted({*FARMS, *_ELSEWHERE, *(item.farm for item in instruments)})


def farm_kind(farm: str) -> str:
    """market, hmds or secdef, by the farm's name."""
    if farm in FARMS:
        return FARMS[farm]
    if farm.startswith("secdef"):
        return "secdef"
    return "hmds" if "hmds" in farm else "market"


def farm_notice(farm: str, is_up: bool) -> tuple[int, str]:
    """Code and text by which TWS tells the state of a farm."""
    code, text = (_OK if is_up else _BROKEN)[farm_kind(farm)]
    return code, text + farm
