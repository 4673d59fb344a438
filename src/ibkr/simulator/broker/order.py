"""An order, in the state that it has reached; each change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ibkr.simulator.market.instrument import Instrument

PENDING_SUBMIT, PENDING_CANCEL, PRE_SUBMITTED = "PendingSubmit", "PendingCancel", "PreSubmitted"
SUBMITTED, FILLED, CANCELLED, INACTIVE = "Submitted", "Filled", "Cancelled", "Inactive"

_ENDED = (FILLED, CANCELLED, INACTIVE)
_TRAILING = ("TRAIL", "TRAIL LIMIT")
_STOPS = ("STP", "STP LMT", *_TRAILING)
ORDER_TYPES = ("MKT", "LMT", *_STOPS)
"""Those that are simulated."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever placed an order asks for, and may change.

    Prices are None as long as they are not given; `sent` holds all fields of placeOrder by name.
    """

    action: str
    quantity: float
    order_type: str
    limit_price: float | None = None
    aux_price: float | None = None
    trail_stop_price: float | None = None
    trailing_percent: float | None = None
    limit_offset: float | None = None
    tif: str = "DAY"
    oca_group: str = ""
    oca_type: int = 0
    parent_id: int = 0
    transmit: bool = True
    order_ref: str = ""
    sent: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def sign(self) -> int:
        """1 if it buys, -1 if it sells."""
        return 1 if self.action == "BUY" else -1

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a price before it works."""
        return self.order_type in _STOPS

    @property
    def is_conditional(self) -> bool:
        """Whether it waits for conditions or a time, which are not simulated: it rests until it is filled by hand."""
        return bool(self.sent.get("conditions") or self.sent.get("good_after_time"))

    @property
    def is_trailing(self) -> bool:
        """Whether its stop follows the market."""
        return self.order_type in _TRAILING


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `order_id` 0 and `client_id` 0: entered in TWS itself, and not bound yet.

    `stop_price` is where its stop stands now; `is_held` is one whose parent has to be filled first.
    """

    perm_id: int
    client_id: int
    order_id: int
    account: str
    instrument: Instrument
    exchange: str
    terms: Terms
    status: str = PENDING_SUBMIT
    filled: float = 0.0
    average_price: float = 0.0
    last_price: float = 0.0
    stop_price: float | None = None
    limit_price: float | None = None
    is_triggered: bool = False
    is_held: bool = False
    parent_perm_id: int = 0
    reason: str = ""
    ended_at: float = 0.0

    @property
    def symbol(self) -> str:
        """The symbol of its contract."""
        return self.instrument.symbol

    @property
    def action(self) -> str:
        """BUY or SELL."""
        return self.terms.action

    @property
    def quantity(self) -> float:
        """Ordered in all, in shares or contracts."""
        return self.terms.quantity

    @property
    def order_type(self) -> str:
        """MKT, LMT, STP, STP LMT, TRAIL or TRAIL LIMIT."""
        return self.terms.order_type

    @property
    def remaining(self) -> float:
        """Not filled yet; of an order that has ended nothing remains to be filled, but this stays."""
        return self.terms.quantity - self.filled

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.status not in _ENDED

    @property
    def is_working(self) -> bool:
        """Whether the market can fill or trigger it."""
        return self.status in (PRE_SUBMITTED, SUBMITTED)

    @property
    def why_held(self) -> str:
        """What it waits for, in the words of orderStatus."""
        is_waiting = self.status == PRE_SUBMITTED and self.terms.is_stop and not self.is_triggered
        return ",".join(["child"] * self.is_held + ["trigger"] * is_waiting)

    @property
    def is_from_tws(self) -> bool:
        """Whether it was entered in TWS itself, bound or not."""
        return self.client_id == 0 and self.order_id <= 0


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill. `shares` is its own quantity, `cumulative` and `average_price` those of the order after it.

    `time` is in seconds since the epoch; `realized_pnl` is None for one that closes nothing.
    """

    exec_id: str
    time: float
    order: Order
    shares: float
    price: float
    commission: float
    exchange: str
    realized_pnl: float | None = None

    @property
    def symbol(self) -> str:
        """The symbol of its contract."""
        return self.order.symbol

    @property
    def side(self) -> str:
        """BOT or SLD."""
        return "BOT" if self.order.action == "BUY" else "SLD"
