"""reqMktDepth: market depth, a book of rows that are inserted, updated, and deleted."""

import zlib
from typing import Final, NamedTuple

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote, decimals_of
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import accept_stream_id, end_stream, find_instrument
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.wire import data_messages

REQUEST = "reqMktDepth"
INSERT, UPDATE, DELETE = 0, 1, 2
ASK, BID = 0, 1
_MAKERS: Final = ("NSDQ", "ARCA", "BATS", "IEX", "EDGX", "NYSE")
_MAX_ROWS = 60
_NOT_SUBSCRIBED = "Requested market data is not subscribed."


class Row(NamedTuple):
    """One row of a book."""

    price: float
    size: int


class Change(NamedTuple):
    """A change of one row of the client's book."""

    operation: int
    position: int
    row: Row


def changes(before: list[Row], after: list[Row]) -> list[Change]:
    """Return the changes from one book to the other: update rows in place, insert and delete rows at the end.

    This works for clients that insert into a list, and for clients that keep rows by position, such as ib_async.
    """
    found = [
        Change(UPDATE, position, new)
        for position, (old, new) in enumerate(zip(before, after, strict=False))
        if old != new
    ]
    found += [Change(INSERT, position, after[position]) for position in range(len(before), len(after))]
    gone = reversed(range(len(after), len(before)))
    return [*found, *(Change(DELETE, position, Row(0.0, 0)) for position in gone)]


class Depth(DataStream):
    """The rows of one book, with the market maker or exchange of each row if the venue reports it."""

    kind = REQUEST

    def __init__(self, client: ClientSession, req_id: int, instrument: Instrument, rows: int, has_makers: bool) -> None:
        super().__init__(client, req_id, instrument)
        self.is_smart = False
        self._rows = rows
        self._has_makers = has_makers
        self._decimals = decimals_of(instrument.min_tick)
        self._books: dict[int, list[Row]] = {ASK: [], BID: []}

    def next_messages(self, quote: Quote) -> list[bytes]:
        bodies: list[bytes] = []
        for side, best, step in ((ASK, quote.ask, 1), (BID, quote.bid, -1)):
            book = self._book(best, step, quote)
            bodies += [self._encoded(side, change) for change in changes(self._books[side], book)]
            self._books[side] = book
        return bodies

    def _book(self, best: float, step: int, quote: Quote) -> list[Row]:
        tick = self.instrument.min_tick
        prices = [round(best + step * level * tick, self._decimals) for level in range(self._rows)]
        top = Row(best, quote.ask_size if step > 0 else quote.bid_size)
        # A level behind the best price keeps its size as long as the level exists. At some prices, the last level does
        # not exist.
        if len(prices) > 1 and self._hash(prices[-1]) % 4 == 0:
            prices.pop()
        return [top, *(Row(price, 100 * (1 + self._hash(price) % 20)) for price in prices[1:] if price > 0)]

    def _hash(self, price: float) -> int:
        return zlib.crc32(f"{self.instrument.con_id}/{price}".encode())

    def _encoded(self, side: int, change: Change) -> bytes:
        values: dict[str, object] = {
            "req_id": self.req_id,
            "position": change.position,
            "operation": change.operation,
            "side": side,
            "price": change.row.price,
            "size": change.row.size,
        }
        if not self._has_makers:
            return self.client.encode(data_messages.DEPTH, **values)
        maker = _MAKERS[self._hash(change.row.price) % len(_MAKERS)] if change.row.size else ""
        return self.client.encode(data_messages.DEPTH_L2, market_maker=maker, is_smart_depth=self.is_smart, **values)


def subscribe(client: ClientSession, fields: FieldReader) -> None:
    """reqMktDepth: message 13 for smart depth and for NASDAQ, 12 for others. 309 if there are too many."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    rows = fields.int("Num Rows")
    is_smart = fields.bool("Is Smart Depth")
    if not accept_stream_id(client, req_id):
        return
    item = find_instrument(client, req_id, contract)
    if item is None:
        return
    limit = client.state.settings.max_streams
    if item.sec_type == "IND" or (is_smart and item.sec_type != "STK"):
        text = "Deep market data is not supported for this combination of security type/exchange"
        client.send_error(req_id, 10092, text)
    elif item.market_data != "live":
        client.send_error(req_id, 354, _NOT_SUBSCRIBED)
    elif sum(stream.kind == REQUEST for stream in client.state.streams) >= limit:
        client.send_error(req_id, 309, f"Max number ({limit}) of market depth requests has been reached")
    else:
        stream = Depth(
            client, req_id, item, min(max(rows, 1), _MAX_ROWS), is_smart or contract["exchange"] in ("ISLAND", "NASDAQ")
        )
        stream.is_smart = is_smart
        client.state.streams.start(stream)


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelMktDepth: no answer, or 310 if the id has no stream."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST, 310, "Can't find the subscribed market depth with tickerId:{}")
