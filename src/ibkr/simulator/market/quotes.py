"""`Quote`, and the sources of moving quotes: a seeded random walk per instrument, and options that follow it."""

import functools
import random
from typing import NamedTuple, Protocol

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation, compute, years_to


class Quote(NamedTuple):
    """The best bid and ask, the last trade, and the day's extremes. Sizes are in shares or contracts."""

    bid: float
    ask: float
    last: float
    bid_size: int
    ask_size: int
    last_size: int
    volume: int
    high: float
    low: float

    @property
    def mid(self) -> float:
        """The price between bid and ask, not rounded."""
        return (self.bid + self.ask) / 2


class QuoteSource(Protocol):
    """A source of quotes that move with each `step`."""

    quote: Quote

    def step(self) -> Quote:
        """Move, and return the new quote."""


@functools.lru_cache(maxsize=256)
def decimals_of(min_tick: float) -> int:
    """Return the decimal places that prices of this increment need."""
    return max(2, len(f"{min_tick:f}".rstrip("0").split(".")[1]))


class RandomWalk:
    """A random walk. The same seed and instrument give the same prices, independent of other subscriptions."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self._random = random.Random(f"{seed}/{instrument.con_id}")
        self._tick = instrument.min_tick
        self._decimals = decimals_of(instrument.min_tick)
        self._level = round(instrument.price / instrument.min_tick)
        self._floor = max(2, self._level // 2)
        self._lot = 100 if instrument.sec_type in ("STK", "CASH", "IND", "CFD") else 1
        self._volume = 10_000 * self._lot
        self._high = self._low = self._price(self._level)
        self.quote = self.step()

    def step(self) -> Quote:
        """Move the price by up to three ticks, and return the new quote."""
        roll = self._random.random
        # Make all small random numbers from one large one, because one call is much faster than several calls.
        dice = int(roll() * (6 * 5 * 2 * 9 * 9))
        dice, move = divmod(dice, 6)
        dice, last_lots = divmod(dice, 5)
        dice, side = divmod(dice, 2)
        ask_lots, bid_lots = divmod(dice, 9)
        self._level = max(self._floor, self._level + (-3, -2, -1, 1, 2, 3)[move])
        last = self._price(self._level + (-1, 1)[side])
        self._high, self._low = max(self._high, last), min(self._low, last)
        last_size = self._lot * (1 + last_lots)
        self._volume += last_size
        self.quote = Quote(
            self._price(self._level - 1),
            self._price(self._level + 1),
            last,
            self._lot * (1 + bid_lots),
            self._lot * (1 + ask_lots),
            last_size,
            self._volume,
            self._high,
            self._low,
        )
        return self.quote

    def _price(self, level: int) -> float:
        return round(level * self._tick, self._decimals)


class OptionQuotes:
    """The quotes of an option: one cent on each side of its value at the underlying's price."""

    def __init__(self, option: Instrument, under: QuoteSource, implied_vol: float) -> None:
        self._option = option
        self._under = under
        self._vol = implied_vol
        self._volume = 1_000
        self._high = self._low = option.price
        self.quote = self.step()

    def step(self) -> Quote:
        """Follow the underlying, and return the new quote."""
        worth = max(0.02, round(self.computation().option_price, 2))
        self._high, self._low = max(self._high, worth), min(self._low, worth)
        self._volume += 1
        self.quote = Quote(
            round(worth - 0.01, 2), round(worth + 0.01, 2), worth, 20, 30, 1, self._volume, self._high, self._low
        )
        return self.quote

    def computation(self) -> Computation:
        """Return value and Greeks at the underlying's current price."""
        option = self._option
        years = years_to(option.last_trade_date)
        return compute(self._under.quote.mid, option.strike, option.right, years, self._vol)
