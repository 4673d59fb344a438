"""The ticks of market data: which ones an instrument has, live and delayed, and those asked for by number.

Tick ids are those of ibapi's `TickTypeEnum`; what a generic tick number brings, and which kinds of instrument have it,
is from IB's page on tick types.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation
from ibkr.simulator.market.walk import Quote
from ibkr.wire import data, messages
from ibkr.wire.layout import Layout

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
"""Market data types, of reqMarketDataType (59) and message 58."""

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
    """A message about market data, the request id still open."""

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
        """What a move brings."""
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
        """The whole picture, as a subscription begins."""
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
        """What is known of an instrument while the market is shut."""
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
        return Tick(data.OPTION_COMPUTATION, values)


def _sizes(*pairs: tuple[int, int]) -> list[Tick]:
    return [Tick(messages.TICK_SIZE, {"tick_type": kind, "size": size}) for kind, size in pairs]


def _generics(*pairs: tuple[int, float]) -> list[Tick]:
    return [Tick(messages.TICK_GENERIC, {"tick_type": kind, "value": value}) for kind, value in pairs]


def _prices(*pairs: tuple[int, float]) -> list[Tick]:
    return [
        Tick(messages.TICK_PRICE, {"tick_type": kind, "price": round(price, 2), "size": 0, "attributes": 0})
        for kind, price in pairs
    ]


def _text(kind: int, value: str) -> list[Tick]:
    return [Tick(messages.TICK_STRING, {"tick_type": kind, "value": value})]


def _misc(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    price = item.price
    lows = [(kind, price * share) for kind, share in ((15, 0.9), (17, 0.85), (19, 0.7))]
    highs = [(kind, price * share) for kind, share in ((16, 1.1), (18, 1.2), (20, 1.3))]
    return [*_prices(*lows, *highs), *_sizes((21, 1_500_000))]


def _rt_volume(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    fields = (quote.last, f"{quote.last_size:.1f}", int(time * 1000), quote.volume, f"{quote.mid:.4f}", "true")
    return _text(48, ";".join(map(str, fields)))


_Maker = Callable[[Instrument, Quote, float], list[Tick]]


class Generic(NamedTuple):
    """A generic tick: its name in the error text, the kinds of instrument that have it, what makes it."""

    name: str
    kinds: tuple[str, ...]
    make: _Maker
    is_repeated: bool = False
    """Whether it comes with every move, not once."""


_STOCKS = ("STK", "IND")
_ALL = ("STK", "IND", "CASH", "FUT", "OPT")
_TRADED = ("STK", "FUT", "OPT")

GENERICS: Final[dict[int, Generic]] = {
    100: Generic("Option Volume", _STOCKS, lambda item, quote, time: _sizes((29, 12_000), (30, 9_000))),
    101: Generic("Option Open Interest", _STOCKS, lambda item, quote, time: _sizes((27, 150_000), (28, 120_000))),
    104: Generic("Historical Volatility", _STOCKS, lambda item, quote, time: _generics((23, 0.25))),
    105: Generic("Average Opt Volume", _STOCKS, lambda item, quote, time: _sizes((87, 20_000))),
    106: Generic("Option Implied Volatility", _STOCKS, lambda item, quote, time: _generics((24, 0.3))),
    165: Generic("Misc. Stats", ("STK",), _misc),
    221: Generic("Mark Price", _ALL, lambda item, quote, time: _prices((37, quote.last)), True),
    225: Generic(
        "Auction", ("STK",), lambda item, quote, time: [*_sizes((34, 900), (36, 100)), *_prices((35, quote.mid))]
    ),
    232: Generic("Mark Price", _ALL, lambda item, quote, time: _prices((37, quote.last)), True),
    233: Generic("RTVolume", _TRADED, _rt_volume, True),
    236: Generic("Shortable", ("STK",), lambda item, quote, time: [*_generics((46, 3.0)), *_sizes((89, 1_000_000))]),
    258: Generic(
        "Fundamental Ratios", ("STK",), lambda item, quote, time: _text(47, f"PEEXCLXOR=25.5;NPRICE={item.price};")
    ),
    292: Generic("News", ("STK", "IND", "FUT", "CASH"), lambda item, quote, time: []),
    293: Generic("Trade Count", _TRADED, lambda item, quote, time: _generics((54, quote.volume // 100)), True),
    294: Generic("Trade Rate", _TRADED, lambda item, quote, time: _generics((55, 120.0))),
    295: Generic("Volume Rate", _TRADED, lambda item, quote, time: _generics((56, 30_000.0))),
    318: Generic("Last RTH Trade", _TRADED, lambda item, quote, time: _prices((57, quote.last))),
    456: Generic("IB Dividends", ("STK",), lambda item, quote, time: _text(59, "0.96,1.00,20270209,0.25")),
    588: Generic("Futures Open Interest", ("FUT",), lambda item, quote, time: _sizes((86, 2_000_000))),
}


def legal_generics(sec_type: str) -> str:
    """The generic ticks that a kind of instrument has, as TWS lists them in its refusal."""
    return ",".join(f"{number}({item.name})" for number, item in GENERICS.items() if sec_type in item.kinds)
