"""Bars, as they grow from quotes that come and as history makes them."""

from dataclasses import dataclass
from typing import Final

from ibkr.simulator.market.walk import Quote

SECONDS: Final = 5
"""Of a real-time bar, and between two updates of a historical one, by the market's clock."""


@dataclass
class Bar:
    """A bar that grows; `start` in seconds since the epoch. `wap` is the average price, by size where there is one."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int = 0
    wap: float = 0.0
    count: int = 0

    def add(self, price: float, size: int) -> None:
        """One more price, with the size that was traded at it."""
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        before = self.wap * (self.volume if size else self.count)
        self.volume += size
        self.count += 1
        self.wap = round((before + price * (size or 1)) / (self.volume if size else self.count), 6)


def price_of(quote: Quote, what: str) -> float:
    """What a bar of this `whatToShow` is made of."""
    return {"BID": quote.bid, "ASK": quote.ask, "MIDPOINT": round(quote.mid, 6)}.get(what, quote.last)
