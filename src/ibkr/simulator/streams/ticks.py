"""`Ticks`: the ticks of market data of an instrument, live or delayed.

Tick ids are from ibapi's `TickTypeEnum`.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation
from ibkr.simulator.market.quotes import Quote
from ibkr.wire import data_messages, messages
from ibkr.wire.layout import Layout

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
"""Market data types of reqMarketDataType (59) and message 58."""

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE, HIGH, LOW, VOLUME, CLOSE = range(10)
BID_OPTION, ASK_OPTION, LAST_OPTION, MODEL_OPTION, OPEN = range(10, 15)
LAST_TIMESTAMP, HALTED = 45, 49

_DELAYED_IDS: Final = {
    BID: 66,
    ASK: 67,
    LAST: 68,
    BID_SIZE: 69,
    ASK_SIZE: 70,
    LAST_SIZE: 71,
    HIGH: 72,
    LOW: 73,
    VOLUME: 74,
    CLOSE: 75,
    OPEN: 76,
    BID_OPTION: 80,
    ASK_OPTION: 81,
    LAST_OPTION: 82,
    MODEL_OPTION: 83,
    LAST_TIMESTAMP: 88,
    HALTED: 90,
}


class Tick(NamedTuple):
    """A message with market data, without its request id."""

    layout: Layout
    values: Mapping[str, object]


class Ticks:
    """Makes the ticks of one instrument, live or delayed."""

    def __init__(self, instrument: Instrument, is_delayed: bool) -> None:
        self._instrument = instrument
        self._is_delayed = is_delayed
        self._is_quoted = instrument.sec_type != "IND"
        self._has_trades = instrument.has_trades
        self._is_computed = instrument.sec_type == "IND"

    def update(self, quote: Quote, computation: Computation | None) -> Iterator[Tick]:
        """Return the ticks after a move."""
        if self._is_quoted:
            yield self._price(BID, quote.bid, quote.bid_size)
            yield self._price(ASK, quote.ask, quote.ask_size)
        if self._has_trades:
            yield self._price(LAST, quote.last, quote.last_size)
            yield self._size(VOLUME, quote.volume)
        if self._is_computed:
            yield self._price(LAST, quote.last, 0)
        if computation:
            prices = {BID_OPTION: quote.bid, ASK_OPTION: quote.ask, LAST_OPTION: quote.last}
            for tick_type, price in prices.items():
                yield self._computation(tick_type, computation._replace(option_price=price))
            yield self._computation(MODEL_OPTION, computation)

    def first(self, quote: Quote, computation: Computation | None, time: int) -> Iterator[Tick]:
        """Return all ticks, for the start of a subscription."""
        yield from self.update(quote, computation)
        if self._is_quoted:
            yield self._size(BID_SIZE, quote.bid_size)
            yield self._size(ASK_SIZE, quote.ask_size)
        if self._has_trades:
            yield self._size(LAST_SIZE, quote.last_size)
        yield from self.close()
        if self._has_trades or self._is_computed:
            yield self._price(OPEN, self._instrument.price, 0)
        yield self._price(HIGH, quote.high, 0)
        yield self._price(LOW, quote.low, 0)
        if self._has_trades:
            values = {"tick_type": self._id(LAST_TIMESTAMP), "value": str(time)}
            yield Tick(messages.TICK_STRING, values)
            yield Tick(messages.TICK_GENERIC, {"tick_type": self._id(HALTED), "value": 0.0})

    def close(self) -> Iterator[Tick]:
        """Return the ticks that are known while the market is closed."""
        yield self._price(CLOSE, self._instrument.price, 0)

    def _id(self, tick_type: int) -> int:
        return _DELAYED_IDS[tick_type] if self._is_delayed else tick_type

    def _price(self, tick_type: int, price: float, size: int) -> Tick:
        values = {"tick_type": self._id(tick_type), "price": price, "size": size, "attributes": 0}
        return Tick(messages.TICK_PRICE, values)

    def _size(self, tick_type: int, size: int) -> Tick:
        return Tick(messages.TICK_SIZE, {"tick_type": self._id(tick_type), "size": size})

    def _computation(self, tick_type: int, computation: Computation) -> Tick:
        values = {"tick_type": self._id(tick_type), "tick_attribute": 0, **computation._asdict()}
        return Tick(data_messages.OPTION_COMPUTATION, values)
