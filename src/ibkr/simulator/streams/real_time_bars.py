"""reqRealTimeBars: real-time bars."""

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.history.historical_bars import has_history_type
from ibkr.simulator.market.bar import SECONDS, Bar, price_of
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import (
    BAD_WHAT,
    accept_stream_id,
    end_stream,
    find_instrument,
    lacks_permission,
    refuse,
)
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.simulator.streams.market_data_requests import has_line
from ibkr.wire import data_messages

REQUEST = "reqRealTimeBars"

_INVALID = "Invalid Real-time Query:"


class RealTimeBars(DataStream):
    """One bar per five seconds of the market's clock."""

    client: ClientSession
    kind = REQUEST
    takes_line = True

    def __init__(self, client: ClientSession, req_id: int, instrument: Instrument, what: str) -> None:
        super().__init__(client, req_id, instrument)
        self._what = what
        self._is_traded = what in ("TRADES", "AGGTRADES")
        self._bar: Bar | None = None

    def first_messages(self, quote: Quote) -> list[bytes]:
        return []

    def next_messages(self, quote: Quote) -> list[bytes]:
        start = int(self.client.state.market.now()) // SECONDS * SECONDS
        price = price_of(quote, self._what)
        finished = self._bar if self._bar and self._bar.start < start else None
        if self._bar is None or finished:
            self._bar = Bar(start, price, price, price, price)
        self._bar.add(price, quote.last_size if self._is_traded else 0)
        return [] if finished is None else [self._encoded(finished)]

    def _encoded(self, bar: Bar) -> bytes:
        is_traded = self._is_traded
        return self.client.encode(
            data_messages.REAL_TIME_BAR,
            req_id=self.req_id,
            time=bar.start,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume if is_traded else -1,
            wap=bar.wap if is_traded else -1.0,
            count=bar.count if is_traded else -1,
        )


def subscribe(client: ClientSession, fields: FieldReader) -> None:
    """reqRealTimeBars: a bar every five seconds. 420 if the data is not available."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.text("Bar Size")  # bars are always five seconds long
    what = fields.text("What To Show")
    fields.bool("Use RTH")
    if not accept_stream_id(client, req_id):
        return
    if what not in ("TRADES", "AGGTRADES", "MIDPOINT", "BID", "ASK"):
        refuse(client, req_id, 321, BAD_WHAT)
        return
    item = find_instrument(client, req_id, contract)
    if item is None or lacks_permission(client, req_id, 420, _INVALID, item):
        return
    if not has_history_type(item, what) or (what == "TRADES" and item.sec_type == "CRYPTO"):
        client.send_error(req_id, 420, f"{_INVALID}No data of type {what} for {item.symbol} {item.sec_type}")
    elif not client.state.historical_pacing.accepts_stream(client.state.loop.time()):
        client.send_error(req_id, 420, f"{_INVALID}Historical data request pacing violation")
    elif has_line(client, req_id, item):
        client.state.streams.start(RealTimeBars(client, req_id, item, what))


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelRealTimeBars: no answer, or 300 if the id has no stream."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST)
