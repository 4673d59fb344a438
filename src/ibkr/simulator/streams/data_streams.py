"""`DataStreams`: all market data streams of all clients, by client and request id."""

from collections.abc import Callable, Iterator
from typing import ClassVar

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.shared_state import BaseClient, SharedState

LOST = 10182, "Failed to request live updates (disconnected)."
"""The error of a stream that the gateway has lost."""


class DataStream:
    """One stream. `kind` is the name of its request, `farm` the data farm of its data.

    `first_messages` builds its first messages as soon as data is available, `next_messages` all later messages.
    """

    kind: ClassVar[str] = ""
    takes_line: ClassVar[bool] = False
    ends_with_upstream: ClassVar[bool] = False

    def __init__(self, client: BaseClient, req_id: int, instrument: Instrument, farm: str = "") -> None:
        self.client = client
        self.req_id = req_id
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.farm = farm or instrument.farm
        self.is_open = False
        self.is_stalled = False

    def first_messages(self, quote: Quote) -> list[bytes]:
        """Return the first messages of the stream."""
        return self.next_messages(quote)

    def next_messages(self, quote: Quote) -> list[bytes]:
        """Return the messages after a move of the instrument."""
        raise NotImplementedError


class DataStreams:
    """Starts, feeds, and ends streams, and records them in `state.seen`.

    Each client gets one write per round of the market.
    """

    def __init__(self, state: SharedState, market: Market) -> None:
        self._state = state
        self._market = market
        self._live: dict[BaseClient, dict[int, DataStream]] = {}
        self._by_con_id: dict[int, dict[DataStream, None]] = {}
        self._batch: dict[BaseClient, list[bytes]] = {}
        market.on_quote(self._on_quote)
        market.on_round_end(self._flush)

    def __iter__(self) -> Iterator[DataStream]:
        for live in list(self._live.values()):
            yield from list(live.values())

    def of_client(self, client: BaseClient) -> list[DataStream]:
        """Return the streams of one client."""
        return list(self._live.get(client, {}).values())

    def get(self, client: BaseClient, req_id: int, kind: str = "") -> DataStream | None:
        """Return the stream of this request id, if it exists and is of this kind."""
        found = self._live.get(client, {}).get(req_id)
        return found if found and kind in ("", found.kind) else None

    def used_lines(self) -> int:
        """Return the market data lines in use. An instrument uses one line, for any number of clients."""
        return len({stream.instrument.con_id for stream in self if stream.takes_line})

    def start(self, stream: DataStream) -> None:
        """Start a stream. It sends nothing while its farm or the upstream is down."""
        self._live.setdefault(stream.client, {})[stream.req_id] = stream
        self._by_con_id.setdefault(stream.instrument.con_id, {})[stream] = None
        self._market.follow(stream.instrument)
        self._record(stream.client)
        if self._state.conditions.has_data(stream.farm):
            stream.is_open = True
            stream.client.send(*stream.first_messages(self._market.quote_of(stream.instrument)))

    def end(self, stream: DataStream) -> None:
        """End a stream."""
        del self._live[stream.client][stream.req_id]
        del self._by_con_id[stream.instrument.con_id][stream]
        self._market.unfollow(stream.instrument)
        self._record(stream.client)

    def end_all_of(self, client: BaseClient) -> None:
        """End all streams of one client."""
        for stream in self.of_client(client):
            self.end(stream)

    def end_all(self) -> None:
        """End all streams, as after the loss of the upstream session (code 1101)."""
        for stream in self:
            self.end(stream)

    def end_at_upstream_loss(self) -> None:
        """End the streams that end at 1100, each with error 10182: bars that are kept up to date."""
        self._end_with_error(lambda stream: stream.ends_with_upstream, *LOST)

    def end_symbol(self, symbol: str, code: int, text: str) -> None:
        """End the streams of one symbol, each with this error."""
        self._end_with_error(lambda stream: stream.symbol == symbol, code, text)

    def stall(self, symbol: str) -> None:
        """Stop the messages of all streams of one symbol. A new request starts a new stream."""
        for stream in self:
            if stream.symbol == symbol:
                stream.is_stalled = True

    def resume(self) -> None:
        """Continue all stalled streams."""
        for stream in self:
            stream.is_stalled = False

    def _end_with_error(self, is_lost: Callable[[DataStream], bool], code: int, text: str) -> None:
        for stream in self:
            if is_lost(stream):
                self.end(stream)
                stream.client.send_error(stream.req_id, code, text)

    def _on_quote(self, instrument: Instrument, quote: Quote) -> None:
        conditions, batch = self._state.conditions, self._batch
        for stream in list(self._by_con_id.get(instrument.con_id, ())):
            if stream.is_stalled or not conditions.has_data(stream.farm):
                continue
            if stream.is_open:
                bodies = stream.next_messages(quote)
            else:
                stream.is_open = True
                bodies = stream.first_messages(quote)
            if bodies:
                batch.setdefault(stream.client, []).extend(bodies)

    def _flush(self) -> None:
        batch, self._batch = self._batch, {}
        for client, bodies in batch.items():
            client.send(*bodies)

    def _record(self, client: BaseClient) -> None:
        live = self._live.get(client, {})
        seen = self._state.seen.streams
        if live:
            seen[client.client_id] = {req_id: (stream.kind, stream.symbol) for req_id, stream in live.items()}
        else:
            seen.pop(client.client_id, None)
            self._live.pop(client, None)
