"""Real-time bars (reqRealTimeBars)."""

from ibkr.simulator.history.historical import is_shown
from ibkr.simulator.market.bar import SECONDS, Bar, price_of
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.requests.asking import BAD_WHAT, end_stream, is_free, no_permission, refuse, the_one
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.simulator.streams.market_data import has_line
from ibkr.wire import data

REQUEST = "reqRealTimeBars"

_INVALID = "Invalid Real-time Query:"


class RealTimeBars(DataStream):
    """One bar per five seconds of the market's clock."""

    client: Session
    kind = REQUEST
    takes_line = True

    def __init__(self, client: Session, req_id: int, instrument: Instrument, what: str) -> None:
        super().__init__(client, req_id, instrument)
        self._what = what
        self._is_traded = what in ("TRADES", "AGGTRADES")
        self._bar: Bar | None = None

    def opening(self, quote: Quote) -> list[bytes]:
        return []

    def moved(self, quote: Quote) -> list[bytes]:
        start = int(self.client.hub.market.now()) // SECONDS * SECONDS
        price = price_of(quote, self._what)
        finished = self._bar if self._bar and self._bar.start < start else None
        if self._bar is None or finished:
            self._bar = Bar(start, price, price, price, price)
        self._bar.add(price, quote.last_size if self._is_traded else 0)
        return [] if finished is None else [self._encoded(finished)]

    def _encoded(self, bar: Bar) -> bytes:
        is_traded = self._is_traded
        return self.client.encode(
            data.REAL_TIME_BAR,
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


def subscribe(client: Session, fields: FieldReader) -> None:
    """reqRealTimeBars: a bar each five seconds; 420 for what cannot be had."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.text("Bar Size")  # whatever is asked for, bars of five seconds come
    what = fields.text("What To Show")
    fields.bool("Use RTH")
    if not is_free(client, req_id):
        return
    if what not in ("TRADES", "AGGTRADES", "MIDPOINT", "BID", "ASK"):
        refuse(client, req_id, 321, BAD_WHAT)
        return
    item = the_one(client, req_id, contract)
    if item is None or no_permission(client, req_id, 420, _INVALID, item):
        return
    if not is_shown(item, what) or (what == "TRADES" and item.sec_type == "CRYPTO"):
        client.send_error(req_id, 420, f"{_INVALID}No data of type {what} for {item.symbol} {item.sec_type}")
    elif not client.hub.historical_pacing.takes_stream(client.hub.loop.time()):
        client.send_error(req_id, 420, f"{_INVALID}Historical data request pacing violation")
    elif has_line(client, req_id, item):
        client.hub.streams.begin(RealTimeBars(client, req_id, item, what))


def cancel(client: Session, fields: FieldReader) -> None:
    """cancelRealTimeBars: no answer, or 300 if the id has none."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST)
