"""Combinations (security type BAG): their legs, their contract, and their prices."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote, QuoteSource

_ACCESS: Final = ("live", "delayed", "none")
_CON_ID = 28812380
"""IB's contract id of every combination in US dollars."""


@dataclass(frozen=True, slots=True)
class LegRequest:
    """A leg as a request names it."""

    con_id: int
    ratio: int
    action: str
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg of a combination: the number of contracts to buy (`sign` 1) or sell (-1) per unit."""

    instrument: Instrument
    ratio: int
    sign: int

    @property
    def signed_ratio(self) -> int:
        """The ratio, negative for a leg that is sold."""
        return self.sign * self.ratio


@dataclass(frozen=True, slots=True)
class Combo(Instrument):
    """A combination. Its contract id is made here and negative: TWS uses the same id for all of a currency."""

    legs: tuple[Leg, ...] = ()


def combo_price(legs: Iterable[Leg], price_of: Callable[[Instrument], float]) -> float:
    """Return the price of one unit of a combination, from the price of each leg."""
    return round(sum(leg.signed_ratio * price_of(leg.instrument) for leg in legs), 6)


def build_combo(
    symbol: str,
    exchange: str,
    currency: str,
    requested: Sequence[LegRequest],
    by_con_id: Callable[[int], Instrument | None],
) -> Combo | None:
    """Return the combination of these legs, or `None` if there are no legs or a leg is invalid."""
    legs = [_leg(leg, by_con_id) for leg in requested]
    known = [leg for leg in legs if leg is not None]
    if not known or len(known) < len(legs):
        return None
    first = known[0].instrument
    key = ";".join(f"{leg.instrument.con_id}*{leg.signed_ratio}" for leg in known)
    access = max((leg.instrument.market_data for leg in known), key=_ACCESS.index)
    return Combo(
        con_id=-1 - zlib.crc32(f"{key}@{exchange}".encode()) // 2,
        symbol=symbol or first.symbol,
        sec_type="BAG",
        exchange=exchange or "SMART",
        local_symbol=symbol or first.symbol,
        price=combo_price(known, lambda item: item.price),
        min_tick=min(leg.instrument.min_tick for leg in known),
        currency=currency or first.currency,
        trading_class="COMB",
        farm=first.farm,
        market_data=access,
        time_zone_id=first.time_zone_id,
        calendar=first.calendar,
        valid_exchanges=exchange or "SMART",
        legs=tuple(known),
    )


def _leg(requested: LegRequest, by_con_id: Callable[[int], Instrument | None]) -> Leg | None:
    item = by_con_id(requested.con_id)
    if item is None or requested.ratio < 1 or requested.action not in ("BUY", "SELL", "SSHORT"):
        return None
    return Leg(item, requested.ratio, 1 if requested.action == "BUY" else -1)


class ComboQuotes:
    """The quotes of a combination, computed from the quotes of its legs."""

    def __init__(self, combo: Combo, sources: Sequence[QuoteSource]) -> None:
        self._legs = [(leg.signed_ratio, source) for leg, source in zip(combo.legs, sources, strict=True)]
        self._high = self._low = combo.price
        self.quote = self.step()

    def step(self) -> Quote:
        """Compute and return the new quote."""
        quotes = [(weight, source.quote) for weight, source in self._legs]
        bid, ask, last = _sums(quotes)
        self._high, self._low = max(self._high, last), min(self._low, last)
        self.quote = Quote(
            bid,
            ask,
            last,
            min((quote.bid_size if weight > 0 else quote.ask_size) // abs(weight) for weight, quote in quotes),
            min((quote.ask_size if weight > 0 else quote.bid_size) // abs(weight) for weight, quote in quotes),
            min(quote.last_size // abs(weight) for weight, quote in quotes),
            0,
            self._high,
            self._low,
        )
        return self.quote


def combo_contract(symbol: str, exchange: str, currency: str) -> Instrument:
    """Return the contract of a combination, with the fields of TWS (an openOrder recorded by ib-ruby)."""
    return Instrument(
        con_id=_CON_ID,
        symbol=symbol,
        sec_type="BAG",
        exchange=exchange,
        local_symbol=str(_CON_ID),
        price=0.0,
        min_tick=0.01,
        currency=currency,
        trading_class="COMB",
    )


def describe_legs(legs: Sequence[Leg]) -> str:
    """Return the legs as in `comboLegsDescrip`: `9408|-1,43645865|1`."""
    return ",".join(f"{leg.instrument.con_id}|{leg.signed_ratio}" for leg in legs)


def combo_quote(legs: Sequence[Leg], quote_of: Callable[[Instrument], Quote]) -> Quote:
    """Return the quote of a combination: the sum of its legs' quotes. A leg that is sold trades on the other side."""
    quotes = [(leg.signed_ratio, quote_of(leg.instrument)) for leg in legs]
    bid, ask, last = _sums(quotes)
    size = min(min(quote.bid_size, quote.ask_size) // abs(ratio) for ratio, quote in quotes)
    return Quote(bid, ask, last, size, size, size, 0, last, last)


def _sums(quotes: Sequence[tuple[int, Quote]]) -> tuple[float, float, float]:
    """Return the bid, the ask, and the last price of a combination, from its ratios and quotes."""
    bid = sum(ratio * (quote.bid if ratio > 0 else quote.ask) for ratio, quote in quotes)
    ask = sum(ratio * (quote.ask if ratio > 0 else quote.bid) for ratio, quote in quotes)
    last = sum(ratio * quote.last for ratio, quote in quotes)
    return round(bid, 6), round(ask, 6), round(last, 6)


def leg_prices(legs: Sequence[Leg], sign: int, price: float, quote_of: Callable[[Instrument], Quote]) -> list[float]:
    """Return the price of each leg in a fill of the combination at `price`. `sign` is 1 for a buy and -1 for a sale.

    Each leg gets its market price, except the first: it gets the rest, so that the sum is exactly `price`.
    """
    if not legs:
        return []
    quotes = [quote_of(leg.instrument) for leg in legs]
    buys = [sign * leg.sign > 0 for leg in legs]
    prices = [quote.ask if is_buy else quote.bid for quote, is_buy in zip(quotes, buys, strict=True)]
    total = sum(leg.signed_ratio * own for leg, own in zip(legs, prices, strict=True))
    prices[0] = round(prices[0] + (price - total) / (legs[0].sign * legs[0].ratio), 6)
    return prices
