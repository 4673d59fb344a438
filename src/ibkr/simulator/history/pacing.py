"""IB's limits on requests for short historical bars and for real-time bars; beyond them TWS answers 162 and 420.

Bars of 30 s or less: the same request twice within 15 s, six for one contract and type within 2 s, sixty in ten
minutes; BID_ASK counts twice (IBKR Campus, "Pacing Violations for Small Bars (30 secs or less)"). Streams of real-time
bars: sixty new ones in ten minutes.
"""

from collections import deque

from ibkr.simulator.history.query import Query

_SHORT = 30
_SAME, _BURST, _WINDOW = 15.0, 2.0, 600.0
_MAX_BURST, _MAX = 6, 60


class HistoricalPacing:
    """Remembers what was asked for in the last ten minutes; one that is refused does not count."""

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on
        self._asked: deque[tuple[float, tuple[object, ...], tuple[object, ...]]] = deque()
        self._streams: deque[float] = deque()

    def is_within(self, query: Query, now: float) -> bool:
        """Whether a request at `now` (the loop's clock, seconds) keeps to the limits; it counts if it does."""
        if not self._is_on or query.size > _SHORT:
            return True
        while self._asked and self._asked[0][0] <= now - _WINDOW:
            self._asked.popleft()
        family = query.item.con_id, query.what
        whole = (*family, query.end, query.size, query.duration, query.regular)
        weight = 2 if query.what == "BID_ASK" else 1
        is_same = any(at > now - _SAME and asked == whole for at, asked, _ in self._asked)
        burst = sum(at > now - _BURST and kind == family for at, _, kind in self._asked)
        if is_same or burst + weight >= _MAX_BURST or len(self._asked) + weight > _MAX:
            return False
        self._asked.extend([(now, whole, family)] * weight)
        return True

    def takes_stream(self, now: float) -> bool:
        """Whether one more stream of real-time bars keeps to the limit; it counts if it does."""
        if not self._is_on:
            return True
        while self._streams and self._streams[0] <= now - _WINDOW:
            self._streams.popleft()
        if len(self._streams) >= _MAX:
            return False
        self._streams.append(now)
        return True
