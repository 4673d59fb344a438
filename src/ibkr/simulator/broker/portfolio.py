"""Positions, cash, margin, and profit by account; commissions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ibkr.simulator.broker.order import Execution
from ibkr.simulator.market.instrument import Instrument

CASH = 1_000_000.0
_HELD = (("AAPL", 100.0, 201.88), ("ES", -1.0, 279_500.0))
"""Symbol, position, and average cost at the start: per share, or price times multiplier for a contract."""
_MARGIN_RATE = {"STK": 0.25, "CASH": 0.03, "OPT": 1.0, "FUT": 0.08, "FOP": 1.0}
MAINTENANCE = 0.9
"""The part of the initial margin that is needed while the position is held."""


@dataclass(frozen=True, slots=True)
class Position:
    """An account's position in one contract. The quantity is 0 after the position was closed.

    `average_cost` is per share, or price times multiplier for a contract. `traded` is the money paid since the start.
    Both include commissions. `start_value` is the value at the start.
    """

    account: str
    instrument: Instrument
    quantity: float = 0.0
    average_cost: float = 0.0
    realized_pnl: float = 0.0
    traded: float = 0.0
    start_value: float = 0.0

    @property
    def symbol(self) -> str:
        """The symbol of the contract."""
        return self.instrument.symbol

    def value(self, price: float) -> float:
        """Return the market value at this price."""
        return self.quantity * price * multiplier_of(self.instrument)

    def unrealized_pnl(self, price: float) -> float:
        """Return the profit against the average cost."""
        return self.value(price) - self.quantity * self.average_cost

    def daily_pnl(self, price: float) -> float:
        """Return the profit since the start, when prices were at the last close."""
        return self.value(price) - self.traded - self.start_value


@dataclass
class Portfolio:
    """The positions and cash of all accounts. All accounts start with the same cash and (by default) positions.

    `prices` has the latest price by contract id. `known` has the gateway's instruments by symbol: by default, no
    account starts with a position in any other instrument. `begun_with` replaces the positions at the start.
    """

    accounts: Sequence[str]
    prices: dict[int, float]
    known: Mapping[str, Instrument] = field(repr=False)
    begun_with: Sequence[Position] | None = None
    _held: dict[tuple[str, int], Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for held in self._default_positions() if self.begun_with is None else self.begun_with:
            self._store(replace(held, start_value=held.value(held.instrument.price)))

    def _default_positions(self) -> Iterator[Position]:
        for account in self.accounts:
            for symbol, quantity, cost in _HELD:
                if instrument := self.known.get(symbol):
                    yield Position(account, instrument, quantity, cost)

    def price(self, instrument: Instrument) -> float:
        """Return the latest price, or the last close as long as no price has come."""
        return self.prices.get(instrument.con_id, instrument.price)

    def positions(self, account: str) -> list[Position]:
        """Return all positions of an account, including closed ones with a quantity of 0."""
        return [held for held in self._held.values() if held.account == account]

    def position(self, account: str, con_id: int) -> Position | None:
        """Return the position in this contract, or `None` if there never was one."""
        return self._held.get((account, con_id))

    def apply(self, execution: Execution) -> Execution:
        """Apply an execution, and return it with its realized profit. Each leg of a combination has its own profit."""
        if execution.is_combo:
            return execution
        account, instrument = execution.order.account, execution.instrument
        before = self._held.get((account, instrument.con_id)) or Position(account, instrument)
        after, realized = _new_position(before, execution.signed_shares, execution)
        self._store(after)
        return replace(execution, realized_pnl=realized)

    def _store(self, held: Position) -> None:
        self._held[held.account, held.instrument.con_id] = held

    # --- values of an account ---------------------------------------------------------------------

    def cash(self, account: str) -> float:
        """Return the cash. Gains and losses of futures are added at every price change."""
        total = CASH
        for held in self.positions(account):
            is_future = held.instrument.sec_type == "FUT"
            total += held.daily_pnl(self.price(held.instrument)) if is_future else -held.traded
        return total

    def stock_value(self, account: str) -> float:
        """Return the market value of all positions except futures."""
        return sum(
            held.value(self.price(held.instrument))
            for held in self.positions(account)
            if held.instrument.sec_type != "FUT"
        )

    def gross_value(self, account: str) -> float:
        """Return the market value of all positions except futures, where also short positions are positive."""
        return sum(
            abs(held.value(self.price(held.instrument)))
            for held in self.positions(account)
            if held.instrument.sec_type != "FUT"
        )

    def margin(self, account: str, changes: Iterable[tuple[Instrument, float]] = ()) -> float:
        """Return the initial margin after these changes of quantities."""
        rows = {held.instrument.con_id: (held.instrument, held.quantity) for held in self.positions(account)}
        for instrument, change in changes:
            _, quantity = rows.get(instrument.con_id, (instrument, 0.0))
            rows[instrument.con_id] = instrument, quantity + change
        return sum(initial_margin(item, quantity, self.price(item)) for item, quantity in rows.values())

    def net_liquidation(self, account: str) -> float:
        """Return the cash and the value of all positions except futures."""
        return self.cash(account) + self.stock_value(account)

    def unrealized_pnl(self, account: str) -> float:
        """Return the unrealized profit of all positions."""
        return sum(held.unrealized_pnl(self.price(held.instrument)) for held in self.positions(account))

    def realized_pnl(self, account: str) -> float:
        """Return the realized profit of all positions since the start."""
        return sum(held.realized_pnl for held in self.positions(account))

    def daily_pnl(self, account: str) -> float:
        """Return the profit of all positions since the start."""
        return sum(held.daily_pnl(self.price(held.instrument)) for held in self.positions(account))


def _new_position(before: Position, change: float, execution: Execution) -> tuple[Position, float | None]:
    """Return the position after a signed change, and the realized profit, which is `None` if nothing was closed."""
    unit = execution.price * multiplier_of(before.instrument)
    paid = change * unit + execution.commission
    closing = min(abs(before.quantity), abs(change)) if before.quantity * change < 0 else 0.0
    share = closing / abs(change)
    quantity = before.quantity + change
    sign = 1 if before.quantity > 0 else -1
    realized = closing * sign * (unit - before.average_cost) - share * execution.commission if closing else None
    cost = before.average_cost
    if not closing:
        cost = (before.quantity * before.average_cost + paid) / quantity
    elif closing < abs(change):  # the sign changes: the rest is a new position
        cost = unit + (1 if change > 0 else -1) * execution.commission / abs(change)
    elif not quantity:
        cost = 0.0
    after = replace(
        before,
        quantity=quantity,
        average_cost=cost,
        realized_pnl=before.realized_pnl + (realized or 0.0),
        traded=before.traded + paid,
    )
    return after, realized


def multiplier_of(instrument: Instrument) -> float:
    """Return the units of the underlying per contract, or 1."""
    return float(instrument.multiplier or 1)


def commission(instrument: Instrument, quantity: float, price: float) -> float:
    """Return the commission of one execution, in the instrument's currency.

    The rules are simple approximations of IB's fixed prices.
    """
    match instrument.sec_type:
        case "FUT":
            return round(2.25 * quantity, 4)
        case "OPT" | "FOP":
            return round(max(1.0, 0.65 * quantity), 4)
        case "CASH":
            return round(max(2.0, 0.00002 * quantity * price), 4)
        case _:
            return round(min(max(1.0, 0.005 * quantity), max(0.01, 0.01 * quantity * price)), 4)


def initial_margin(instrument: Instrument, quantity: float, price: float) -> float:
    """Return the initial margin of a position of this size, by simple rules."""
    rate = _MARGIN_RATE.get(instrument.sec_type, 0.25)
    return round(abs(quantity) * price * multiplier_of(instrument) * rate, 2)
