"""The standing requests of all clients: one registry, by client and request id."""

from collections.abc import Callable, Iterator
from typing import ClassVar

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.state import Peer, State

LOST = 10182, "Failed to request live updates (disconnected)."
"""How a stream ends that the gateway has lost."""


class DataStream:
    """One standing request. `kind` is the name of the request that began it, `farm` the one its data comes from.

    Its messages are built by `opening`, once, as soon as data flows, and by `moved` from then on.
    """

    kind: ClassVar[str] = ""
    takes_line: ClassVar[bool] = False
    dies_with_upstream: ClassVar[bool] = False

    def __init__(self, client: Peer, req_id: int, instrument: Instrument, farm: str = "") -> None:
        self.client = client
        self.req_id = req_id
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.farm = farm or instrument.farm
        self.is_open = False
        self.is_stalled = False

    def opening(self, quote: Quote) -> list[bytes]:
        """The bodies that the stream begins with."""
        return self.moved(quote)

    def moved(self, quote: Quote) -> list[bytes]:
        """The bodies that a move of the instrument brings."""
        raise NotImplementedError


class DataStreams:
    """Begins, feeds and ends streams; `hub.seen` is told of each change.

    One write per client and round of the market.
    """

    def __init__(self, hub: State, market: Market) -> None:
        self._hub = hub
        self._market = market
        self._live: dict[Peer, dict[int, DataStream]] = {}
        self._by_con_id: dict[int, dict[DataStream, None]] = {}
        self._batch: dict[Peer, list[bytes]] = {}
        market.listen(self._moved)
        market.after_moves(self._flush)

    def __iter__(self) -> Iterator[DataStream]:
        for live in list(self._live.values()):
            yield from list(live.values())

    def of(self, client: Peer) -> list[DataStream]:
        """The streams of one client."""
        return list(self._live.get(client, {}).values())

    def get(self, client: Peer, req_id: int, kind: str = "") -> DataStream | None:
        """The stream of this request id, if there is one, and of this kind, if one is given."""
        found = self._live.get(client, {}).get(req_id)
        return found if found and kind in ("", found.kind) else None

    def lines(self) -> int:
        """Market data lines in use: instruments, by however many clients they are asked for."""
        return len({stream.instrument.con_id for stream in self if stream.takes_line})

    def begin(self, stream: DataStream) -> None:
        """A stream stands from now on; while its farm or the upstream is down it stays silent."""
        self._live.setdefault(stream.client, {})[stream.req_id] = stream
        self._by_con_id.setdefault(stream.instrument.con_id, {})[stream] = None
        self._market.follow(stream.instrument)
        self._tell(stream.client)
        if self._hub.conditions.data_flows(stream.farm):
            stream.is_open = True
            stream.client.send(*stream.opening(self._market.quote_of(stream.instrument)))

    def end(self, stream: DataStream) -> None:
        """A stream is no more."""
        del self._live[stream.client][stream.req_id]
        del self._by_con_id[stream.instrument.con_id][stream]
        self._market.unfollow(stream.instrument)
        self._tell(stream.client)

    def forget(self, client: Peer) -> None:
        """End all streams of one client."""
        for stream in self.of(client):
            self.end(stream)

    def forget_all(self) -> None:
        """What a lost upstream session does to the gateway's streams (code 1101)."""
        for stream in self:
            self.end(stream)

    def upstream_lost(self) -> None:
        """At 1100 some streams die at once, each with its own 10182: bars that are kept up to date."""
        self._lose(lambda stream: stream.dies_with_upstream, *LOST)

    def lose(self, symbol: str, code: int, text: str) -> None:
        """End the streams of one symbol, each with this error."""
        self._lose(lambda stream: stream.symbol == symbol, code, text)

    def stall(self, symbol: str) -> None:
        """Let the streams of one symbol fall silent; one that is asked for anew is a new stream."""
        for stream in self:
            if stream.symbol == symbol:
                stream.is_stalled = True

    def resume(self) -> None:
        """Let all streams that were stalled go on."""
        for stream in self:
            stream.is_stalled = False

    def _lose(self, is_lost: Callable[[DataStream], bool], code: int, text: str) -> None:
        for stream in self:
            if is_lost(stream):
                self.end(stream)
                stream.client.send_error(stream.req_id, code, text)

    def _moved(self, instrument: Instrument, quote: Quote) -> None:
        conditions, batch = self._hub.conditions, self._batch
        for stream in list(self._by_con_id.get(instrument.con_id, ())):
            if stream.is_stalled or not conditions.data_flows(stream.farm):
                continue
            if stream.is_open:
                bodies = stream.moved(quote)
            else:
                stream.is_open = True
                bodies = stream.opening(quote)
            if bodies:
                batch.setdefault(stream.client, []).extend(bodies)

    def _flush(self) -> None:
        batch, self._batch = self._batch, {}
        for client, bodies in batch.items():
            client.send(*bodies)

    def _tell(self, client: Peer) -> None:
        live = self._live.get(client, {})
        seen = self._hub.seen.streams
        if live:
            seen[client.client_id] = {req_id: (stream.kind, stream.symbol) for req_id, stream in live.items()}
        else:
            seen.pop(client.client_id, None)
            self._live.pop(client, None)
