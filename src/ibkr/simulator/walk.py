"""Prices that move: a seeded random walk per instrument."""

import random
from dataclasses import dataclass

from ibkr.simulator.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of the book and last trade. Sizes in shares or contracts."""

    bid: float
    ask: float
    last: float
    bid_size: int
    ask_size: int
    last_size: int
    volume: int


class Walk:
    """The same seed and instrument give the same prices, whatever else is subscribed to."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self._random = random.Random(f"{seed}/{instrument.con_id}")
        self._tick = instrument.min_tick
        self._decimals = max(2, len(f"{instrument.min_tick:f}".rstrip("0").split(".")[1]))
        self._level = round(instrument.price / instrument.min_tick)
        self._floor = max(2, self._level // 2)
        self._volume = 1_000_000
        self.quote = self.step()

    def step(self) -> Quote:
        """Move by up to three ticks of price, and return the new quote."""
        roll = self._random
        move = roll.choice((-3, -2, -1, 1, 2, 3))
        self._level = max(self._floor, self._level + move)
        last_size = 100 * roll.randint(1, 5)
        self._volume += last_size
        self.quote = Quote(
            bid=self._price(self._level - 1),
            ask=self._price(self._level + 1),
            last=self._price(self._level + roll.choice((-1, 1))),
            bid_size=100 * roll.randint(1, 9),
            ask_size=100 * roll.randint(1, 9),
            last_size=last_size,
            volume=self._volume,
        )
        return self.quote

    def _price(self, level: int) -> float:
        return round(level * self._tick, self._decimals)
