"""Which historical bars answer a request."""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator

from ibkr.simulator.history.history_parameters import DAY, WEEK, Duration
from ibkr.simulator.history.price_history import PriceHistory
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.bar import Bar
from ibkr.simulator.market.instrument import Instrument

OLDEST = dt.datetime(1990, 1, 2, tzinfo=dt.UTC).timestamp()
"""The earliest time of historical data, in seconds since the epoch."""


def select_bars(
    history: PriceHistory, item: Instrument, size: int, duration: Duration, regular: bool, end: float
) -> list[Bar]:
    """Return the bars of `size` seconds within a duration before `end`, oldest first.

    A duration in days or seconds is trading time. A duration in weeks, months, or years is calendar time.
    """
    count, unit = duration.count, duration.unit
    begin = max(OLDEST, end - duration.seconds)
    found: Iterable[Bar]
    if size >= DAY:
        days = max(1, count // DAY) if unit == "S" else count if unit == "D" else None
        taken = itertools.islice(
            _sessions(history.sessions(item, end, regular), begin if days is None else OLDEST), days
        )
        found = (history.bar(item, session.start, session.end) for session in taken)
        if size > DAY:
            return list(_merged(list(found)[::-1], size, item))
    elif unit == "S":
        found = itertools.islice(history.bars(item, size, OLDEST, end, regular), max(1, count // size))
    else:
        if unit == "D":
            days_back = list(itertools.islice(_sessions(history.sessions(item, end, regular)), count))
            begin = days_back[-1].start if days_back else end
        found = history.bars(item, size, begin, end, regular)
    return list(found)[::-1]


def count_bars(item: Instrument, size: int, duration: Duration, regular: bool) -> int:
    """Return approximately how many bars `select_bars` returns."""
    session = trading_sessions.length_of(item, regular)
    if duration.unit == "S":
        return duration.count // size
    days = duration.count if duration.unit == "D" else duration.seconds * 5 / 7 / DAY
    return int(days * max(1, session // size)) if size < DAY else int(days * DAY // size)


def trading_days(item: Instrument, regular: bool, end: float) -> Iterator[trading_sessions.TradingSession]:
    """Return the exchange's sessions before a time, latest first."""
    return _sessions(trading_sessions.sessions_before(item, end, regular))


def _sessions(
    found: Iterator[trading_sessions.TradingSession], begin: float = OLDEST
) -> Iterator[trading_sessions.TradingSession]:
    """Return the sessions that end after `begin`. The given sessions and the result are latest first."""
    return itertools.takewhile(lambda session: session.end > begin, found)


def _merged(days: list[Bar], size: int, item: Instrument) -> Iterator[Bar]:
    """Merge daily bars into weekly or monthly bars."""
    zone = trading_sessions.zone_of(item)

    def period(bar: Bar) -> tuple[int, int]:
        date = dt.datetime.fromtimestamp(bar.start, zone)
        return date.isocalendar()[:2] if size == WEEK else (date.year, date.month)

    for _, group in itertools.groupby(days, period):
        bars = list(group)
        yield Bar(
            bars[-1].start,
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            bars[-1].close,
            sum(bar.volume for bar in bars),
            round(sum(bar.wap for bar in bars) / len(bars), 6),
            sum(bar.count for bar in bars),
        )
