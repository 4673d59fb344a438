"""`Order` and its `Terms`, `Execution`. All are immutable: a change makes a new object."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ibkr.simulator.broker import order_types
from ibkr.simulator.market.combos import Leg
from ibkr.simulator.market.instrument import Instrument

PENDING_SUBMIT, PENDING_CANCEL, PRE_SUBMITTED = "PendingSubmit", "PendingCancel", "PreSubmitted"
SUBMITTED, FILLED, CANCELLED, INACTIVE = "Submitted", "Filled", "Cancelled", "Inactive"

_ENDED = (FILLED, CANCELLED, INACTIVE)
EXERCISE, LAPSE = 1, 2
"""The actions of `exerciseOptions`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the owner of an order asks for and can change.

    A price that is not given is `None`. `sent` has all fields of placeOrder by name.
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
        """1 for a buy order, -1 for a sell order."""
        return 1 if self.action == "BUY" else -1

    @property
    def has_trigger(self) -> bool:
        """Whether the order waits for a price before it can trade."""
        return self.is_stop or self.is_if_touched

    @property
    def is_stop(self) -> bool:
        """Whether the trigger price is worse than the market price."""
        return self.order_type in order_types.STOPS

    @property
    def is_if_touched(self) -> bool:
        """Whether the trigger price is better than the market price."""
        return self.order_type in order_types.TOUCHED

    @property
    def is_trailing(self) -> bool:
        """Whether the stop price follows the market."""
        return self.order_type in order_types.TRAILING

    @property
    def is_pegged(self) -> bool:
        """Whether the price follows the market and never crosses it."""
        return self.order_type in order_types.PEGGED

    @property
    def needs_manual_fill(self) -> bool:
        """Whether the order waits for something that is not simulated: an auction, a condition, a time.

        Only `Gateway.fill` can fill such an order.
        """
        is_auction = self.order_type in order_types.ON_CLOSE or self.tif == order_types.AT_OPENING
        return is_auction or bool(self.sent.get("conditions") or self.sent.get("good_after_time"))


@dataclass(frozen=True, slots=True)
class Order:
    """An order. If `order_id` and `client_id` are 0, the order was entered in TWS and has no order id yet.

    `stop_price` is the current stop. `is_held` means that the order waits for the fill of its parent. A combination has
    `legs`. `exercise` is `EXERCISE` or `LAPSE` if the order is an instruction about an option position.
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
        """The symbol of the contract."""
        return self.instrument.symbol

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments that the order trades: its legs, or its own instrument."""
        return tuple(leg.instrument for leg in self.legs) or (self.instrument,)

    def changes(self, quantity: float) -> list[tuple[Instrument, float]]:
        """Return how a fill of this quantity changes positions: instruments and signed quantities."""
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
        """The total quantity, in shares or contracts."""
        return self.terms.quantity

    @property
    def order_type(self) -> str:
        """MKT, LMT, STP, or any other of `order_types.ORDER_TYPES`."""
        return self.terms.order_type

    @property
    def remaining(self) -> float:
        """The quantity that is not filled. It keeps its value when the order ends."""
        return self.terms.quantity - self.filled

    @property
    def is_live(self) -> bool:
        """Whether the order has not ended."""
        return self.status not in _ENDED

    @property
    def is_working(self) -> bool:
        """Whether the market can fill or trigger the order."""
        return self.status in (PRE_SUBMITTED, SUBMITTED)

    @property
    def why_held(self) -> str:
        """What the order waits for, as in the field `whyHeld` of orderStatus."""
        is_waiting = self.status == PRE_SUBMITTED and self.terms.is_stop and not self.is_triggered
        return ",".join(["child"] * self.is_held + ["trigger"] * is_waiting)

    @property
    def is_from_tws(self) -> bool:
        """Whether the order was entered in TWS, bound or not."""
        return self.client_id == 0 and self.order_id <= 0


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill of an order, or of one leg of a combination.

    `instrument`, `action`, and `shares` describe this fill. `cumulative` and `average_price` describe the order or leg
    after this fill. `time` is in seconds since the epoch. `realized_pnl` is `None` if the fill closes nothing.
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
        """The symbol of the contract."""
        return self.instrument.symbol

    @property
    def side(self) -> str:
        """BOT or SLD."""
        return "BOT" if self.action == "BUY" else "SLD"

    @property
    def signed_shares(self) -> float:
        """The shares, negative for a sale."""
        return self.shares if self.action == "BUY" else -self.shares

    @property
    def is_combo(self) -> bool:
        """Whether this is the execution of a combination itself. Its legs have their own executions."""
        return self.instrument.sec_type == "BAG"
