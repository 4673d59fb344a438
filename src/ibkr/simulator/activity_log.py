"""`Seen`: what the gateway has received: connections, sessions, requests, and live subscriptions."""

import copy
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_KEPT = 10_000
_MARKET_DATA = "reqMktData"

_KEPT_WHOLE = 4096
"""A request with at most this many characters is kept unchanged, otherwise only the beginning of each field is kept."""


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A completed `startApi`. `time` is the monotonic clock of the event loop, in seconds."""

    client_id: int
    time: float
    server_version: int


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request. `fields` begins with the message id. `client_id` is -1 before `startApi`."""

    client_id: int
    name: str
    fields: tuple[str, ...]
    time: float


@dataclass
class Seen:
    """The activity of a gateway since it was created or last `reset`. Each list keeps the newest 10,000 entries.

    `connects` counts the accepted TCP connections, and `attempts` has the times of these connections (monotonic clock
    of the event loop, in seconds). Connections that were refused because the port was closed are not counted.
    """

    connects: int = 0
    ticks: int = 0
    refused_client_ids: int = 0
    attempts: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    sessions: deque[SeenSession] = field(default_factory=lambda: deque(maxlen=_KEPT))
    requests: deque[SeenRequest] = field(default_factory=lambda: deque(maxlen=_KEPT))
    faults: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    streams: dict[int, dict[int, tuple[str, str]]] = field(default_factory=dict)

    def request(self, client_id: int, name: str, fields: Sequence[str], time: float) -> None:
        """Record a request. If the request is long, only the beginning of each field is kept."""
        is_short = sum(map(len, fields)) <= _KEPT_WHOLE
        kept = tuple(fields) if is_short else tuple(text[:100] for text in fields[:20])
        self.requests.append(SeenRequest(client_id, name, kept, time))

    def received(self, name: str) -> list[SeenRequest]:
        """Return the requests of this name, oldest first."""
        return [request for request in self.requests if request.name == name]

    def live_subscriptions(self, client_id: int) -> dict[int, str]:
        """Return the symbols of the client's current market data subscriptions, by request id."""
        return {
            req_id: symbol for req_id, (kind, symbol) in self.live_streams(client_id).items() if kind == _MARKET_DATA
        }

    def live_streams(self, client_id: int) -> dict[int, tuple[str, str]]:
        """Return all streams of the client, by request id: the name of the request and the symbol."""
        return dict(self.streams.get(client_id, {}))

    def snapshot(self) -> "Seen":
        """Return a copy that does not change, for another thread."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[str, object]:
        """Return counts and live subscriptions, ready for JSON."""
        return {
            "connects": self.connects,
            "sessions": len(self.sessions),
            "client_ids": sorted({session.client_id for session in self.sessions}),
            "refused_client_ids": self.refused_client_ids,
            "requests": dict(Counter(request.name for request in self.requests)),
            "ticks": self.ticks,
            "faults": list(self.faults),
            "live_subscriptions": {
                str(client_id): {str(req_id): symbol for req_id, symbol in live.items()}
                for client_id in self.streams
                if (live := self.live_subscriptions(client_id))
            },
            "live_streams": {
                str(client_id): {str(req_id): list(stream) for req_id, stream in live.items()}
                for client_id, live in self.streams.items()
            },
        }

    def __str__(self) -> str:
        requests = Counter(request.name for request in self.requests)
        asked = ", ".join(f"{name} x{count}" for name, count in requests.items()) or "none"
        live = {client_id: [symbol for _, symbol in streams.values()] for client_id, streams in self.streams.items()}
        return (
            f"{self.connects} connects, {len(self.sessions)} sessions, {self.ticks} ticks; "
            f"requests: {asked}; subscribed by client id: {live or 'none'}"
        )
