"""Generic ticks: the numbers that reqMktData accepts, and the ticks that each sends.

The legal numbers for each security type and their names come from the refusals of real gateways ("Legal ones for (STK)
are: ..."). Nearly all are legal for every type. A number without data for an instrument is accepted and sends nothing.
Tick ids are from ibapi's `TickTypeEnum`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.streams.ticks import Tick
from ibkr.wire import messages

NEWS: Final = 292

_Maker = Callable[[Instrument, Quote, float], list[Tick]]


class GenericTick(NamedTuple):
    """A generic tick: its name in the refusal, a function that makes its ticks, and its security types."""

    name: str
    make: _Maker
    kinds: tuple[str, ...]
    is_repeated: bool = False
    """Whether the tick is sent after every move of the instrument, not only once."""

    def ticks(self, item: Instrument, quote: Quote, time: float) -> list[Tick]:
        """Return its ticks for an instrument at a time, in seconds since the epoch."""
        return self.make(item, quote, time) if item.sec_type in self.kinds else []


def _sizes(*pairs: tuple[int, int]) -> list[Tick]:
    return [Tick(messages.TICK_SIZE, {"tick_type": kind, "size": size}) for kind, size in pairs]


def _generics(*pairs: tuple[int, float]) -> list[Tick]:
    return [Tick(messages.TICK_GENERIC, {"tick_type": kind, "value": value}) for kind, value in pairs]


def _prices(*pairs: tuple[int, float]) -> list[Tick]:
    return [
        Tick(messages.TICK_PRICE, {"tick_type": kind, "price": round(price, 6), "size": 0, "attributes": 0})
        for kind, price in pairs
    ]


def _text(kind: int, value: str) -> list[Tick]:
    return [Tick(messages.TICK_STRING, {"tick_type": kind, "value": value})]


def _nothing(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    return []


def _misc(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    price = item.price
    lows = [(kind, round(price * share, 2)) for kind, share in ((15, 0.9), (17, 0.85), (19, 0.7))]
    highs = [(kind, round(price * share, 2)) for kind, share in ((16, 1.1), (18, 1.2), (20, 1.3))]
    return [*_prices(*lows, *highs), *_sizes((21, 1_500_000))]


def _auction(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    return [*_sizes((34, 900), (36, 100), (61, 100)), *_prices((35, quote.mid))]


def _short_term_volume(item: Instrument, quote: Quote, time: float) -> list[Tick]:
    return _sizes((63, 900), (64, 1_500), (65, 3_000))


def _volume_of(kind: int) -> _Maker:
    def make(item: Instrument, quote: Quote, time: float) -> list[Tick]:
        fields = (quote.last, f"{quote.last_size:.1f}", int(time * 1000), quote.volume, f"{quote.mid:.4f}", "true")
        return _text(kind, ";".join(map(str, fields)))

    return make


def _fund(*kinds: int) -> _Maker:
    """Return the prices per share of an exchange-traded fund."""

    def make(item: Instrument, quote: Quote, time: float) -> list[Tick]:
        return _prices(*((kind, quote.last) for kind in kinds)) if item.stock_type == "ETF" else []

    return make


_STOCK = ("STK",)
_OPTIONED = ("STK", "IND", "OPT")
_VOLATILE = ("STK", "IND")
_TRADED = ("STK", "FUT", "CONTFUT", "OPT", "FOP", "CRYPTO", "BOND", "WAR", "IOPT")
_PRICED = (*_TRADED, "CFD", "IND", "CASH", "CMDTY", "BAG")
_NONE: tuple[str, ...] = ()

GENERICS: Final[dict[int, GenericTick]] = {
    100: GenericTick("Option Volume", lambda item, quote, time: _sizes((29, 12_000), (30, 9_000)), _OPTIONED),
    101: GenericTick("Option Open Interest", lambda item, quote, time: _sizes((27, 150_000), (28, 120_000)), _OPTIONED),
    105: GenericTick("Average Opt Volume", lambda item, quote, time: _sizes((87, 20_000)), _VOLATILE),
    106: GenericTick("impvolat", lambda item, quote, time: _generics((24, 0.3)), _VOLATILE),
    162: GenericTick("Index Future Premium", lambda item, quote, time: _generics((31, 1.5)), ("IND",)),
    165: GenericTick("Misc. Stats", _misc, _STOCK),
    221: GenericTick("Creditman Mark Price", lambda item, quote, time: _prices((78, quote.last)), _PRICED),
    225: GenericTick("Auction", _auction, _STOCK),
    232: GenericTick("Pl Price", lambda item, quote, time: _prices((37, quote.last)), _PRICED, True),
    233: GenericTick("RTVolume", _volume_of(48), _TRADED, True),
    236: GenericTick("inventory", lambda item, quote, time: [*_generics((46, 3.0)), *_sizes((89, 1_000_000))], _STOCK),
    258: GenericTick(
        "Fundamentals", lambda item, quote, time: _text(47, f"PEEXCLXOR=25.5;NPRICE={item.price};"), _STOCK
    ),
    NEWS: GenericTick("Wide_news", _nothing, _NONE),  # the answer file has the articles
    293: GenericTick("TradeCount", lambda item, quote, time: _generics((54, quote.volume // 100)), _TRADED, True),
    294: GenericTick("TradeRate", lambda item, quote, time: _generics((55, 120.0)), _TRADED),
    295: GenericTick("VolumeRate", lambda item, quote, time: _generics((56, 30_000.0)), _TRADED),
    318: GenericTick("LastRTHTrade", lambda item, quote, time: _prices((57, quote.last)), _TRADED),
    375: GenericTick("RTTrdVolume", _volume_of(77), _TRADED, True),
    411: GenericTick("rthistvol", lambda item, quote, time: _generics((58, 0.25)), _VOLATILE),
    456: GenericTick("IBDividends", lambda item, quote, time: _text(59, "0.96,1.00,20270209,0.25"), _STOCK),
    460: GenericTick("Bond Factor Multiplier", lambda item, quote, time: _generics((60, 1.0)), ("BOND",)),
    577: GenericTick("EtfNavLast(navlast)", _fund(96), _STOCK),
    586: GenericTick("IPOHLMPRC", _nothing, _NONE),
    587: GenericTick("Pl Price Delayed", _nothing, _NONE),
    588: GenericTick("Futures Open Interest", lambda item, quote, time: _sizes((86, 2_000_000)), ("FUT", "CONTFUT")),
    595: GenericTick("Short-Term Volume X Mins", _short_term_volume, _STOCK),
    614: GenericTick("EtfNavMisc(high/low)", _fund(98, 99), _STOCK),
    619: GenericTick("Creditman Slow Mark Price", lambda item, quote, time: _prices((79, quote.last)), _PRICED),
    623: GenericTick("EtfFrozenNavLast(fznavlast)", _fund(97), _STOCK),
}

_ALIASES: Final = {47: 258, 59: 456, 220: 221, 221: 232}
"""Older numbers, each with its present number. 221 has always meant the mark price, which is now 232."""

_LEGAL_FOR: Final = {
    162: ("IND",),
    456: ("STK", "CFD", "OPT", "FOP", "FUT", "CONTFUT", "IND"),
    595: (*_TRADED, "CFD"),
}
"""The security types for which a number is legal. Other numbers are legal for all."""


def find_generic_tick(word: str, sec_type: str) -> GenericTick | None:
    """Return the generic tick for an entry of the list, such as `233` or `292:BRFG`. `None` if it is not legal."""
    text, colon, argument = word.partition(":")
    if (colon and not argument.strip(":")) or not (text.isascii() and text.isdigit() and len(text) < 5):
        return None
    number = _ALIASES.get(int(text), int(text))
    return GENERICS.get(number) if _is_legal(number, sec_type) else None


def legal_generics(sec_type: str) -> str:
    """Return the legal generic ticks of a security type, as TWS lists them in its refusal."""
    alias = {number: f"/{old}" for old, number in _ALIASES.items()}
    legal = (number for number in GENERICS if _is_legal(number, sec_type))
    return ",".join(f"{number}{alias.get(number, '')}({GENERICS[number].name})" for number in legal)


def _is_legal(number: int, sec_type: str) -> bool:
    return number not in _LEGAL_FOR or sec_type in _LEGAL_FOR[number]
