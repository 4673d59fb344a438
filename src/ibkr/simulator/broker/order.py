"""An order, in the state that it has reached; each change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ibkr.simulator.broker import order_types
from ibkr.simulator.market.combos import Leg
from ibkr.simulator.market.instrument import Instrument

PENDING_SUBMIT, PENDING_CANCEL, PRE_SUBMITTED = "PendingSubmit", "PendingCancel", "PreSubmitted"
SUBMITTED, FILLED, CANCELLED, INACTIVE = "Submitted", "Filled", "Cancelled", "Inactive"

_ENDED = (FILLED, CANCELLED, INACTIVE)
EXERCISE, LAPSE = 1, 2
"""What `exerciseOptions` asks for."""


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
    def has_trigger(self) -> bool:
        """Whether it waits for a price before it works."""
        return self.is_stop or self.is_touched

    @property
    def is_stop(self) -> bool:
        """Whether the price that it waits for is worse than the market's."""
        return self.order_type in order_types.STOPS

    @property
    def is_touched(self) -> bool:
        """Whether the price that it waits for is better than the market's."""
        return self.order_type in order_types.TOUCHED

    @property
    def is_trailing(self) -> bool:
        """Whether its stop follows the market."""
        return self.order_type in order_types.TRAILING

    @property
    def is_pegged(self) -> bool:
        """Whether its price follows the market and never crosses it."""
        return self.order_type in order_types.PEGGED

    @property
    def is_held_back(self) -> bool:
        """Whether it waits for what is not simulated: an auction, a condition, a time. It is filled by hand."""
        is_auction = self.order_type in order_types.ON_CLOSE or self.tif == order_types.AT_OPENING
        return is_auction or bool(self.sent.get("conditions") or self.sent.get("good_after_time"))


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `order_id` 0 and `client_id` 0: entered in TWS itself, and not bound yet.

    `stop_price` is where its stop stands now; `is_held` is one whose parent has to be filled first. Combinations have
    `legs`. `exercise` is `EXERCISE` or `LAPSE` for an instruction about an option that is held.
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
    legs: tuple[Leg, ...] = ()
    exercise: int = 0

    @property
    def symbol(self) -> str:
        """The symbol of its contract."""
        return self.instrument.symbol

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What it trades: its legs, or else its own instrument."""
        return tuple(leg.instrument for leg in self.legs) or (self.instrument,)

    def changes(self, quantity: float) -> list[tuple[Instrument, float]]:
        """What a fill of this quantity does to positions: instruments and signed quantities."""
        signed = self.terms.sign * quantity
        if not self.legs:
            return [(self.instrument, signed)]
        return [(leg.instrument, signed * leg.sign * leg.ratio) for leg in self.legs]

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
        """MKT, LMT, STP or any other of `order_types.ORDER_TYPES`."""
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
    """A fill of an order, or of one leg of a combination: `instrument` and `action` are its own.

    `shares` is its own quantity, `cumulative` and `average_price` are those of the order (or leg) after it. `time` is
    in seconds since the epoch; `realized_pnl` is None for one that closes nothing.
    """

    exec_id: str
    time: float
    order: Order
    instrument: Instrument
    action: str
    shares: float
    price: float
    commission: float
    exchange: str
    cumulative: float
    average_price: float
    realized_pnl: float | None = None

    @property
    def symbol(self) -> str:
        """The symbol of its contract."""
        return self.instrument.symbol

    @property
    def side(self) -> str:
        """BOT or SLD."""
        return "BOT" if self.action == "BUY" else "SLD"

    @property
    def signed_shares(self) -> float:
        """The shares, negative if they are sold."""
        return self.shares if self.action == "BUY" else -self.shares

    @property
    def is_combo(self) -> bool:
        """Whether it is of a combination as a whole, whose legs have executions of their own."""
        return self.instrument.sec_type == "BAG"
