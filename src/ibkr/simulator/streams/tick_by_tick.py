"""reqTickByTickData: every trade, or every change of the quote."""

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.history.historical_ticks import last_seconds, past_ticks
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import (
    accept_stream_id,
    end_stream,
    find_instrument,
    lacks_permission,
    refuse,
)
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.wire import data_messages

REQUEST = "reqTickByTickData"
KINDS = {"Last": "TRADES", "AllLast": "TRADES", "BidAsk": "BID_ASK", "MidPoint": "MIDPOINT"}
"""The kinds of tick-by-tick data, and their names in historical data."""

_FAILED = "Failed to request tick-by-tick data:"


class TickByTick(DataStream):
    """One message per move of the price. Before these, `past` historical ticks are sent in one message."""

    client: ClientSession
    kind = REQUEST

    def __init__(self, client: ClientSession, req_id: int, instrument: Instrument, tick_kind: str, past: int) -> None:
        super().__init__(client, req_id, instrument)
        self._tick_kind = tick_kind
        self._past = past

    def first_messages(self, quote: Quote) -> list[bytes]:
        if not self._past:
            return []
        client, item, now = self.client, self.instrument, int(self.client.state.market.now())
        times = last_seconds(client.state.history, item, now, self._past, regular=False)
        return [past_ticks(client, self.req_id, item, KINDS[self._tick_kind], times)]

    def next_messages(self, quote: Quote) -> list[bytes]:
        client, req_id, time = self.client, self.req_id, int(self.client.state.market.now())
        if self._tick_kind == "BidAsk":
            values = {"bid": quote.bid, "ask": quote.ask, "bid_size": quote.bid_size, "ask_size": quote.ask_size}
            return [client.encode(data_messages.BID_ASK, req_id=req_id, time=time, attributes=0, **values)]
        if self._tick_kind == "MidPoint":
            return [client.encode(data_messages.MID_POINT, req_id=req_id, time=time, mid_point=round(quote.mid, 6))]
        return [
            client.encode(
                data_messages.ALL_LAST,
                req_id=req_id,
                tick_type=1 if self._tick_kind == "Last" else 2,
                time=time,
                price=quote.last,
                size=quote.last_size,
                attributes=0,
                exchange=self.instrument.venue,
                conditions="",
            )
        ]


def subscribe(client: ClientSession, fields: FieldReader) -> None:
    """reqTickByTickData: 10189 if the data is not available, 10190 if there are too many."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    tick_kind = fields.text("Tick Type")
    past = fields.int("Number Of Ticks") if client.server_version >= 140 else 0
    if client.server_version >= 140:
        fields.bool("Ignore Size")
    if not accept_stream_id(client, req_id):
        return
    if tick_kind not in KINDS or not 0 <= past <= 1000:
        field, found = ("type", tick_kind[:20]) if tick_kind not in KINDS else ("number of ticks", past)
        refuse(client, req_id, 321, f"Tick-by-tick {field} is incorrect: {found}")
        return
    item = find_instrument(client, req_id, contract)
    if item is None or lacks_permission(client, req_id, 10189, _FAILED, item):
        return
    if item.sec_type in ("OPT", "IND") or (item.sec_type == "CASH" and KINDS[tick_kind] == "TRADES"):
        client.send_error(req_id, 10189, f"{_FAILED}{item.symbol} {item.sec_type} {tick_kind} is not supported")
    elif sum(stream.kind == REQUEST for stream in client.state.streams) >= client.state.settings.max_streams:
        client.send_error(req_id, 10190, "Max number of tick-by-tick requests has been reached")
    else:
        client.state.streams.start(TickByTick(client, req_id, item, tick_kind, past))


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelTickByTickData: no answer, or 300 if the id has no stream."""
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST)
