"""reqMktData: market data subscriptions and snapshots. reqMarketDataType."""

from collections.abc import Iterable
from typing import Final

from ibkr.simulator.gateway_state import ClientSession, Parts
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.requests.field_reader import FieldReader, MalformedField
from ibkr.simulator.requests.request_helpers import (
    accept_stream_id,
    end_stream,
    find_instrument,
    read_combo_legs,
    refuse,
)
from ibkr.simulator.streams import generic_ticks
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.simulator.streams.ticks import (
    DELAYED,
    DELAYED_FROZEN,
    FROZEN,
    LIVE,
    Tick,
    Ticks,
)
from ibkr.wire import data_messages, messages

REQUEST = "reqMktData"
_STANDARD_OFF: Final = "mdoff"
"""The entry in a list of generic ticks that turns off the standard ticks."""
_REGULATORY: Final = 114
"""The server version from which requests have the field for regulatory snapshots."""
_NOT_SUBSCRIBED = (
    "Requested market data is not subscribed. Check API status by selecting the Account menu then under Management "
    "choose Market Data Subscription Manager and/or availability of delayed data."
)
_DELAYED = "Requested market data is not subscribed. Displaying delayed market data."
_SNAPSHOT_WITH_GENERICS = "Snapshot market data subscription is not applicable to generic ticks"

COMPETING: Final = 10197, "No market data during competing live session"
DENIALS: Final = {
    354: _NOT_SUBSCRIBED,
    10089: "Requested market data requires additional subscription for API. See link in 'Market Data Connections' "
    "dialog for more details.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10186: "Requested market data is not subscribed. Delayed market data is not enabled.",
}
"""The codes and texts by which TWS says that the user has no permission for data."""


class MarketData(DataStream):
    """Ticks of one instrument. `data_type` is the value of message 58."""

    client: ClientSession
    kind = REQUEST
    takes_line = True

    def __init__(
        self, client: ClientSession, req_id: int, instrument: Instrument, data_type: int, generics: list[str]
    ) -> None:
        super().__init__(client, req_id, instrument)
        self._data_type = data_type
        self._ticks = Ticks(instrument, data_type in (DELAYED, DELAYED_FROZEN))
        self._market = client.state.market
        # A NEWS contract has no quotes.
        self._has_standard_ticks = _STANDARD_OFF not in map(str.lower, generics) and instrument.sec_type != "NEWS"
        found = (generic_ticks.find_generic_tick(word, instrument.sec_type) for word in generics)
        # Remove duplicates, because 221 and 232 are the same generic tick.
        self._generics = list(dict.fromkeys(generic for generic in found if generic))
        self._repeated = [generic for generic in self._generics if generic.is_repeated]
        self._has_news = generic_ticks.GENERICS[generic_ticks.NEWS] in self._generics

    def first_messages(self, quote: Quote) -> list[bytes]:
        # A real TWS sent message 58 (market data type), 81 (tick parameters), then the ticks (rust-ibapi issue 236).
        client, req_id, item = self.client, self.req_id, self.instrument
        now = self._market.now()
        bodies = [
            client.encode(messages.MARKET_DATA_TYPE, req_id=req_id, market_data_type=self._data_type),
            client.encode(
                messages.TICK_REQ_PARAMS,
                req_id=req_id,
                min_tick=item.min_tick,
                bbo_exchange="9c0001" if item.sec_type != "CASH" else "",
                snapshot_permissions=3,
            ),
        ]
        is_known = self._market.is_trading(item) or self._data_type in (FROZEN, DELAYED_FROZEN)
        computation = self._market.computation_of(item)
        if self._has_standard_ticks:
            bodies += self._encoded(
                self._ticks.first(quote, computation, int(now)) if is_known else self._ticks.close()
            )
        for generic in self._generics:
            bodies += self._encoded(generic.ticks(item, quote, now))
        if self._has_news:
            bodies += [
                client.encode(data_messages.TICK_NEWS, req_id=req_id, **row)
                for row in client.state.answers.tick_news(item)
            ]
        client.state.seen.ticks += 1
        return bodies

    def next_messages(self, quote: Quote) -> list[bytes]:
        self.client.state.seen.ticks += 1
        bodies: list[bytes] = []
        if self._has_standard_ticks:
            number = messages.TICK_PRICE.number_bytes(self.client.server_version, self.req_id)
            bodies = [head + number + tail for head, tail in self._parts(quote)]
        for generic in self._repeated:
            bodies += self._encoded(generic.ticks(self.instrument, quote, self._market.now()))
        return bodies

    def _parts(self, quote: Quote) -> Parts:
        """Return the ticks of a quote without their request ids, encoded once for all clients of this version."""
        version = self.client.server_version
        cache = self.client.state.encoded_ticks
        key = self.instrument.con_id, version, self._data_type
        found = cache.get(key)
        if found is None or found[0] is not quote:
            ticks = self._ticks.update(quote, self._market.computation_of(self.instrument))
            parts = [tick.layout.encode_around(version, "req_id", **tick.values) for tick in ticks]
            found = cache[key] = quote, parts
        return found[1]

    def _encoded(self, ticks: Iterable[Tick]) -> list[bytes]:
        client, req_id = self.client, self.req_id
        return [client.encode(tick.layout, req_id=req_id, **tick.values) for tick in ticks]


def subscribe(client: ClientSession, fields: FieldReader) -> None:
    """reqMktData: 58, 81, and the first ticks immediately, then ticks until the client cancels it."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    legs = read_combo_legs(fields, contract)
    if fields.bool("Delta Neutral"):
        fields.int("Delta Neutral Con Id")
        fields.float("Delta")
        fields.float("Delta Neutral Price")
    generics = [word.strip() for word in fields.text("Generic Tick List").split(",") if word.strip()]
    is_snapshot = fields.bool("Snapshot")
    if client.server_version >= _REGULATORY:
        is_snapshot |= fields.bool("Regulatory Snapshot")
    if not accept_stream_id(client, req_id):
        return
    item = find_instrument(client, req_id, contract, legs)
    if item is None or not _are_legal(client, req_id, item, generics, is_snapshot):
        return
    data_type = _data_type(client, req_id, item)
    if data_type is None:
        return
    stream = MarketData(client, req_id, item, data_type, generics)
    if is_snapshot:
        _snapshot(stream)
    elif has_line(client, req_id, item):
        client.state.streams.start(stream)
        if client.state.conditions.competing:
            client.send_error(req_id, *COMPETING)


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelMktData: no answer, or 300 if the id has no subscription."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST)


def market_data_type(client: ClientSession, fields: FieldReader) -> None:
    """reqMarketDataType: applies to later subscriptions of this client."""
    fields.int("Version")
    kind = fields.int("Market Data Type")
    if not LIVE <= kind <= DELAYED_FROZEN:
        raise MalformedField("Market Data Type", str(kind))
    client.market_data_type = kind


def _snapshot(stream: MarketData) -> None:
    client, state = stream.client, stream.client.state
    bodies: list[bytes] = []
    if state.conditions.has_data(stream.farm):
        bodies = stream.first_messages(state.market.quote_of(stream.instrument))
    client.send(*bodies, client.encode(messages.TICK_SNAPSHOT_END, req_id=stream.req_id))


def _are_legal(client: ClientSession, req_id: int, item: Instrument, generics: list[str], is_snapshot: bool) -> bool:
    wanted = [word for word in generics if word.lower() != _STANDARD_OFF]
    if generics and not (wanted and all(generic_ticks.find_generic_tick(word, item.sec_type) for word in wanted)):
        legal = generic_ticks.legal_generics(item.sec_type)
        given = ",".join(generics)[:200]
        refuse(
            client,
            req_id,
            321,
            f"Incorrect generic tick list of {given}.  Legal ones for ({item.sec_type}) are: {legal}",
        )
    elif generics and is_snapshot:
        refuse(client, req_id, 321, _SNAPSHOT_WITH_GENERICS)
    else:
        return True
    return False


def _data_type(client: ClientSession, req_id: int, item: Instrument) -> int | None:
    """Return the type of data that the client gets. It is live if permitted, even if the client requested another.

    Returns `None` after it has sent an error.
    """
    wanted, is_open = client.market_data_type, client.state.market.is_trading(item)
    if (code := client.state.conditions.denied_by) is not None:
        client.send_error(req_id, code, DENIALS[code])
        return None
    if item.market_data == "live":
        return FROZEN if not is_open and wanted in (FROZEN, DELAYED_FROZEN) else LIVE
    if item.market_data == "delayed" and wanted in (DELAYED, DELAYED_FROZEN):
        client.send_error(req_id, 10167, _DELAYED)
        return DELAYED_FROZEN if not is_open and wanted == DELAYED_FROZEN else DELAYED
    client.send_error(req_id, 354, _NOT_SUBSCRIBED)
    return None


def has_line(client: ClientSession, req_id: int, item: Instrument) -> bool:
    """Return whether a market data line is free for an instrument. If not, send 101."""
    streams, limit = client.state.streams, client.state.settings.lines
    has_one = any(stream.takes_line and stream.instrument.con_id == item.con_id for stream in streams)
    if has_one or streams.used_lines() < limit:
        return True
    client.send_error(req_id, 101, "Max number of tickers has been reached")
    return False
