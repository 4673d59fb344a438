"""IB's limits on requests for small historical bars and for real-time bars. Above them, TWS answers 162 and 420.

For bars of 30 s or less: the same request at most once in 15 s, fewer than six for one contract and type in 2 s, at
most sixty in ten minutes. One BID_ASK request counts as two requests (IBKR Campus, "Pacing Violations for Small Bars
(30 secs or less)"). For streams of real-time bars: at most sixty new streams in ten minutes.
"""

from collections import deque

from ibkr.simulator.history.history_parameters import HistoryQuery

_SHORT = 30
_SAME, _BURST, _WINDOW = 15.0, 2.0, 600.0
_MAX_BURST, _MAX = 6, 60


class HistoricalPacing:
    """Counts the requests of the last ten minutes. A refused request is not counted."""

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on
        self._requests: deque[tuple[float, tuple[object, ...], tuple[object, ...]]] = deque()
        self._streams: deque[float] = deque()

    def is_within(self, query: HistoryQuery, now: float) -> bool:
        """Return whether a request at `now` (event loop's time, in seconds) is within the limits. If so, count it."""
        if not self._is_on or query.size > _SHORT:
            return True
        while self._requests and self._requests[0][0] <= now - _WINDOW:
            self._requests.popleft()
        family = query.item.con_id, query.what
        request = (*family, query.end, query.size, query.duration, query.regular)
        weight = 2 if query.what == "BID_ASK" else 1
        is_same = any(at > now - _SAME and asked == request for at, asked, _ in self._requests)
        burst = sum(at > now - _BURST and kind == family for at, _, kind in self._requests)
        if is_same or burst + weight >= _MAX_BURST or len(self._requests) + weight > _MAX:
            return False
        self._requests.extend([(now, request, family)] * weight)
        return True

    def accepts_stream(self, now: float) -> bool:
        """Return whether one more stream of real-time bars is within the limit. If so, count it."""
        if not self._is_on:
            return True
        while self._streams and self._streams[0] <= now - _WINDOW:
            self._streams.popleft()
        if len(self._streams) >= _MAX:
            return False
        self._streams.append(now)
        return True
