"""`Conditions`: the state that faults set. It applies to all connections until `clear`."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ibkr.simulator.broker.injected_errors import InjectedErrors
from ibkr.simulator.connection.connection_time import TimeZone
from ibkr.simulator.connection.send_queue import IMMEDIATE, SendProfile
from ibkr.simulator.market.instrument import Instrument

ANY = "any"
"""Used instead of a name: any message."""

WEB_SERVER_ENDS = ("400", "close")

FARMS: dict[str, str] = {
    "usfarm": "market",
    "usfuture": "market",
    "ushmds": "hmds",
    "secdefnj": "secdef",
}
"""The farms to which the gateway is connected, and their kinds, in the order in which TWS reports them."""

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
"""Farms that real gateways report, but to which this gateway is not connected. Faults can send notices about them."""

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
    """What happens above the rate limit: the message waits, or gets error 100, or there is no limit."""

    PACE = "pace"
    REJECT = "reject"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `rate` messages in any second. Raises `ValueError` for invalid values.

    This is the setting "Reject messages above maximum allowed message rate vs. applying pacing" of TWS, whose default
    is pacing.
    """

    rate: int
    on_rate: str

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"rate: at least 1 message a second is needed, not {self.rate}")
        if self.on_rate not in tuple(OnRate):
            raise ValueError(f"on_rate: unknown value {self.on_rate!r}, choose {', '.join(OnRate)}")


class MessageFaultKind(enum.Enum):
    """What happens to a message."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    TRUNCATE = "truncate"
    PAD = "pad"


@dataclass
class MessageFault:
    """A fault that changes the next `times` messages with this name, counted over all connections.

    `seconds` is for a delay. `count` is the number of separators that a padded message gets.
    """

    kind: MessageFaultKind
    times: float
    seconds: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class WebServer:
    """The behavior "web_server": after `seconds` without a complete request, it answers 400 or closes."""

    seconds: float = 5.0
    end: str = WEB_SERVER_ENDS[0]


@dataclass(frozen=True)
class Refusal:
    """The error that all requests of one name get until a time of the event loop."""

    code: int
    text: str
    until: float


@dataclass
class Conditions:
    """The current conditions. With the defaults, the gateway is healthy.

    `behavior` says how new connections are treated (see `connection_behavior`), with `web_server` as its details.
    `muted` has the requests that get no answer, `refused` has the requests that get an error, and `message_faults` has
    the faults of messages, all by name. `order_errors` has the errors for the next requests about orders. `denied_by`
    is the code that refuses market data. `clock_off` and `late_executions` are in seconds. `None` means that the
    gateway's settings apply.
    """

    behavior: str = "session"
    frozen: bool = False
    upstream_up: bool = True
    read_only: bool = False
    competing: bool = False
    denied_by: int | None = None
    send_profile: SendProfile = IMMEDIATE
    message_faults: dict[str, MessageFault] = field(default_factory=dict)
    clock_off: float = 0.0
    late_executions: float = 0.0
    next_order_id: int | None = None
    rate_limit: RateLimit | None = None
    order_errors: InjectedErrors = field(default_factory=InjectedErrors)
    muted: set[str] = field(default_factory=set)
    refused: dict[str, Refusal] = field(default_factory=dict)
    broken_farms: set[str] = field(default_factory=set)
    time_zone: TimeZone | None = None
    web_server: WebServer = field(default_factory=WebServer)

    def refusal(self, request: str, now: float) -> Refusal | None:
        """Return the error that a request of this name gets, or `None`."""
        refusal = self.refused.get(request)
        return refusal if refusal is not None and now < refusal.until else None

    def change_send_profile(self, **changes: Any) -> None:
        """Change how later bytes are sent. Bytes that are queued already keep their profile."""
        changed = replace(self.send_profile, **changes)
        self.send_profile = IMMEDIATE if changed == IMMEDIATE else changed

    def has_data(self, farm: str) -> bool:
        """Return whether clients get market data of this farm."""
        return self.upstream_up and not self.frozen and not self.competing and farm not in self.broken_farms

    def farm_notices(self) -> list[tuple[int, str]]:
        """Return code and text of the notices about farms, or about the upstream, for a new session."""
        if not self.upstream_up:
            return [
                (
                    2110,
                    "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
                )
            ]
        return [farm_notice(farm, farm not in self.broken_farms) for farm in FARMS]


def known_farms(instruments: Iterable[Instrument]) -> list[str]:
    """Return all known farms, including the farms of the instruments."""
    return sorted({*FARMS, *_ELSEWHERE, *(item.farm for item in instruments)})


def farm_kind(farm: str) -> str:
    """Return the kind of a farm by its name: market, hmds, or secdef."""
    if farm in FARMS:
        return FARMS[farm]
    if farm.startswith("secdef"):
        return "secdef"
    return "hmds" if "hmds" in farm else "market"


def farm_notice(farm: str, is_up: bool) -> tuple[int, str]:
    """Return code and text of the notice about the state of a farm."""
    code, text = (_OK if is_up else _BROKEN)[farm_kind(farm)]
    return code, text + farm
