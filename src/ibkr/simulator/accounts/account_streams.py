"""The account streams of one client: positions, account values, and PnL that it gets until it cancels them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

PNL_EVERY = 20
"""Market ticks between two updates: once a second by default, as TWS does."""

ACCOUNT_EVERY = 3600
"""Market ticks between two updates: every three minutes by default, as TWS does. Changes by fills do not wait."""


@dataclass
class AccountStream:
    """One stream. `rows` returns all messages in their current state. Unchanged messages are not sent again."""

    rows: Callable[[], Iterable[bytes]]
    interval: float
    due: float
    sent: set[bytes] = field(default_factory=set)

    def changed_rows(self) -> list[bytes]:
        """Return the messages that have changed since the last call."""
        rows = list(self.rows())
        fresh = [row for row in rows if row not in self.sent]
        self.sent = set(rows)
        return fresh


class AccountStreams:
    """The streams of one client, by the name of the request and its id.

    `tick_interval` is in seconds. `clock` returns the time of the event loop. `send` sends message bodies to the
    client.
    """

    def __init__(self, tick_interval: float, clock: Callable[[], float], send: Callable[..., None]) -> None:
        self._tick_interval = tick_interval
        self._clock = clock
        self._send_bodies = send
        self._streams: dict[tuple[str, int], AccountStream] = {}

    @property
    def needs_market(self) -> bool:
        """Whether a stream needs every price change (PnL)."""
        return any(name.startswith("reqPnL") for name, _ in self._streams)

    def has(self, name: str, req_id: int) -> bool:
        """Return whether the client has this stream."""
        return (name, req_id) in self._streams

    def count(self, name: str) -> int:
        """Return the number of streams of this request name."""
        return sum(1 for key in self._streams if key[0] == name)

    def start(
        self, name: str, req_id: int, rows: Callable[[], Iterable[bytes]], every: float = math.inf
    ) -> list[bytes]:
        """Start a stream of account messages. Returns the first messages.

        Changed rows follow when positions or cash change, and each time when `every` market ticks have passed.
        """
        interval = every * self._tick_interval
        stream = AccountStream(rows, interval, self._clock() + interval)
        self._streams[name, req_id] = stream
        return stream.changed_rows()

    def end(self, name: str, req_id: int = 0) -> bool:
        """End a stream. Returns false if it does not run."""
        return self._streams.pop((name, req_id), None) is not None

    def portfolio_changed(self) -> None:
        """Send what has changed after a change of positions or cash."""
        self._send(self._streams.values())

    def market_moved(self, now: float) -> None:
        """Send what has changed after a move of prices, for the streams that are due."""
        due = [stream for stream in self._streams.values() if stream.due <= now]
        for stream in due:
            stream.due = now + stream.interval
        self._send(due)

    def _send(self, streams: Iterable[AccountStream]) -> None:
        news = [row for stream in streams for row in stream.changed_rows()]
        if news:
            self._send_bodies(*news)
