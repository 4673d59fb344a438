"""A request for historical bars."""

from dataclasses import dataclass

from ibkr.simulator.history.spans import DAY, DateStyle, Duration
from ibkr.simulator.market.bar import Bar
from ibkr.simulator.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for, read and found to make sense. `end` is None for now."""

    req_id: int
    item: Instrument
    end: float | None
    size: int
    duration: Duration
    regular: bool
    what: str
    style: DateStyle
    keep_up_to_date: bool

    def date(self, bar: Bar) -> str:
        """The date of a bar."""
        return self.style.day(bar.start + DAY // 3) if self.size >= DAY else self.style.moment(bar.start)
