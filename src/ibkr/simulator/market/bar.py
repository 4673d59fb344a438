"""`Bar`: a price bar, built from live quotes or from history."""

from dataclasses import dataclass
from typing import Final

from ibkr.simulator.market.quotes import Quote

SECONDS: Final = 5
"""Length of a real-time bar, and time between updates of a historical bar, in seconds of the market's clock."""


@dataclass
class Bar:
    """A bar. `start` is in seconds since the epoch. `wap` is the average price, weighted by size if sizes are known."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int = 0
    wap: float = 0.0
    count: int = 0

    def add(self, price: float, size: int) -> None:
        """Add a price, and the size that was traded at it."""
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        before = self.wap * (self.volume if size else self.count)
        self.volume += size
        self.count += 1
        self.wap = round((before + price * (size or 1)) / (self.volume if size else self.count), 6)


def price_of(quote: Quote, what: str) -> float:
    """Return the price of a quote for bars of this `whatToShow`."""
    return {"BID": quote.bid, "ASK": quote.ask, "MIDPOINT": round(quote.mid, 6)}.get(what, quote.last)
