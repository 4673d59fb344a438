"""What a client has asked to be kept up to date about its accounts."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

PNL_EVERY = 20
"""Market ticks, which is once a second by default, as TWS does."""

ACCOUNT_EVERY = 3600
"""Market ticks, which is every three minutes by default, as TWS does; positions and fills come at once."""


@dataclass
class AccountStream:
    """One standing request: `rows` gives all its messages as they are now, and what was sent is not sent again."""

    rows: Callable[[], Iterable[bytes]]
    interval: float
    due: float
    sent: set[bytes] = field(default_factory=set)

    def news(self) -> list[bytes]:
        """The messages that have changed since the last time."""
        rows = list(self.rows())
        fresh = [row for row in rows if row not in self.sent]
        self.sent = set(rows)
        return fresh


class AccountStreams:
    """The standing requests of one client, by the name of the request and its id.

    `tick_interval` is in seconds, `clock` the time of the event loop; `send` sends bodies to the client.
    """

    def __init__(self, tick_interval: float, clock: Callable[[], float], send: Callable[..., None]) -> None:
        self._tick_interval = tick_interval
        self._clock = clock
        self._send_bodies = send
        self._streams: dict[tuple[str, int], AccountStream] = {}

    @property
    def needs_market(self) -> bool:
        """Whether one of them follows prices closely."""
        return any(name.startswith("reqPnL") for name, _ in self._streams)

    def has(self, name: str, req_id: int) -> bool:
        """Whether this request stands."""
        return (name, req_id) in self._streams

    def count(self, name: str) -> int:
        """How many requests of this name stand."""
        return sum(1 for key in self._streams if key[0] == name)

    def begin(
        self, name: str, req_id: int, rows: Callable[[], Iterable[bytes]], every: float = math.inf
    ) -> list[bytes]:
        """Keep sending what changes in these rows, when the book does and every so many ticks; returns all of them."""
        interval = every * self._tick_interval
        stream = AccountStream(rows, interval, self._clock() + interval)
        self._streams[name, req_id] = stream
        return stream.news()

    def end(self, name: str, req_id: int = 0) -> bool:
        """No more of it; False if it does not stand."""
        return self._streams.pop((name, req_id), None) is not None

    def book_changed(self) -> None:
        """Positions or cash have changed."""
        self._send(self._streams.values())

    def market_moved(self, now: float) -> None:
        """Prices have changed: those that are due are looked at."""
        due = [stream for stream in self._streams.values() if stream.due <= now]
        for stream in due:
            stream.due = now + stream.interval
        self._send(due)

    def _send(self, streams: Iterable[AccountStream]) -> None:
        news = [row for stream in streams for row in stream.news()]
        if news:
            self._send_bodies(*news)
