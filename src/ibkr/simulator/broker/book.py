"""Positions and cash by account, and what executions do to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ibkr.simulator.broker.charges import initial_margin, multiplier_of
from ibkr.simulator.broker.order import Execution
from ibkr.simulator.market.instrument import Instrument

CASH = 1_000_000.0
_HELD = (("AAPL", 100.0, 201.88), ("ES", -1.0, 279_500.0))
"""Symbol, position and average cost at the beginning, per share or per contract with its multiplier."""


@dataclass(frozen=True, slots=True)
class Position:
    """What an account holds of one contract; 0 once it was closed.

    `average_cost` is per share, or per contract with its multiplier, commissions included. `traded` is
    what was paid for it since the beginning, commissions included, `start_value` its value then.
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
        """The symbol of its contract."""
        return self.instrument.symbol

    def value(self, price: float) -> float:
        """Its market value at this price."""
        return self.quantity * price * multiplier_of(self.instrument)

    def unrealized_pnl(self, price: float) -> float:
        """Against its average cost."""
        return self.value(price) - self.quantity * self.average_cost

    def daily_pnl(self, price: float) -> float:
        """Against the beginning, when prices stood at the last close."""
        return self.value(price) - self.traded - self.start_value


@dataclass
class Book:
    """Every account begins with the same positions and cash. `prices` are the latest by contract id.

    `known` are the gateway's instruments by symbol: what is not among them is not held.
    """

    accounts: Sequence[str]
    prices: dict[int, float]
    known: Mapping[str, Instrument] = field(repr=False)
    _held: dict[tuple[str, int], Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for account in self.accounts:
            for symbol, quantity, cost in _HELD:
                if instrument := self.known.get(symbol):
                    held = Position(account, instrument, quantity, cost)
                    self._keep(replace(held, start_value=held.value(instrument.price)))

    def price(self, instrument: Instrument) -> float:
        """Its latest price, or its last close as long as it has not moved."""
        return self.prices.get(instrument.con_id, instrument.price)

    def positions(self, account: str) -> list[Position]:
        """All that it holds or has held, closed ones with a quantity of 0."""
        return [held for held in self._held.values() if held.account == account]

    def position(self, account: str, con_id: int) -> Position | None:
        """What it holds of this contract, None if it never held any."""
        return self._held.get((account, con_id))

    def apply(self, execution: Execution) -> Execution:
        """Enter an execution; it is returned with the profit that it realized. Of a combination, the legs are held."""
        if execution.is_combo:
            return execution
        account, instrument = execution.order.account, execution.instrument
        before = self._held.get((account, instrument.con_id)) or Position(account, instrument)
        after, realized = _after(before, execution.signed_shares, execution)
        self._keep(after)
        return replace(execution, realized_pnl=realized)

    def _keep(self, held: Position) -> None:
        self._held[held.account, held.instrument.con_id] = held

    # --- what an account is worth ----------------------------------------------------------------

    def cash(self, account: str) -> float:
        """Cash; futures settle into it from price to price."""
        total = CASH
        for held in self.positions(account):
            is_future = held.instrument.sec_type == "FUT"
            total += held.daily_pnl(self.price(held.instrument)) if is_future else -held.traded
        return total

    def stock_value(self, account: str) -> float:
        """Market value of all but futures."""
        return sum(
            held.value(self.price(held.instrument))
            for held in self.positions(account)
            if held.instrument.sec_type != "FUT"
        )

    def gross_value(self, account: str) -> float:
        """Market value of all but futures, short ones counted as long."""
        return sum(
            abs(held.value(self.price(held.instrument)))
            for held in self.positions(account)
            if held.instrument.sec_type != "FUT"
        )

    def margin(self, account: str, changes: Iterable[tuple[Instrument, float]] = ()) -> float:
        """Initial margin of what it holds, after these changes in the quantities of instruments."""
        rows = {held.instrument.con_id: (held.instrument, held.quantity) for held in self.positions(account)}
        for instrument, change in changes:
            _, quantity = rows.get(instrument.con_id, (instrument, 0.0))
            rows[instrument.con_id] = instrument, quantity + change
        return sum(initial_margin(item, quantity, self.price(item)) for item, quantity in rows.values())

    def net_liquidation(self, account: str) -> float:
        """Cash and the value of all but futures."""
        return self.cash(account) + self.stock_value(account)

    def unrealized_pnl(self, account: str) -> float:
        """Of all positions."""
        return sum(held.unrealized_pnl(self.price(held.instrument)) for held in self.positions(account))

    def realized_pnl(self, account: str) -> float:
        """Of all positions, since the beginning."""
        return sum(held.realized_pnl for held in self.positions(account))

    def daily_pnl(self, account: str) -> float:
        """Of all positions, since the beginning."""
        return sum(held.daily_pnl(self.price(held.instrument)) for held in self.positions(account))


def _after(before: Position, change: float, execution: Execution) -> tuple[Position, float | None]:
    """The position after a signed change of quantity, and what it realized: None if it closed nothing."""
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
    elif closing < abs(change):  # through zero: the rest is a new position
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
