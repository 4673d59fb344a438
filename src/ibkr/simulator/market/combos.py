"""Combinations (BAG): instruments made of legs, whose prices are those of the legs."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Moving, Quote

_ACCESS: Final = ("live", "delayed", "none")


@dataclass(frozen=True, slots=True)
class LegRequest:
    """A leg as requests name it."""

    con_id: int
    ratio: int
    action: str
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg of a combination: so many contracts to buy (`sign` 1) or to sell (-1) for each unit."""

    instrument: Instrument
    ratio: int
    sign: int

    @property
    def signed_ratio(self) -> int:
        """The ratio, negative for a leg that is sold."""
        return self.sign * self.ratio


@dataclass(frozen=True, slots=True)
class Combo(Instrument):
    """A combination. Its contract id is ours and negative, because TWS has one for all combinations of a currency."""

    legs: tuple[Leg, ...] = ()


def total(legs: Iterable[Leg], price_of: Callable[[Instrument], float]) -> float:
    """The price of one unit of a combination, from a price of each leg."""
    return round(sum(leg.signed_ratio * price_of(leg.instrument) for leg in legs), 6)


def combo_of(
    symbol: str,
    exchange: str,
    currency: str,
    requested: Sequence[LegRequest],
    by_con_id: Callable[[int], Instrument | None],
) -> Combo | None:
    """The combination of these legs; None if there are none, or if one of them cannot be."""
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
        price=total(known, lambda item: item.price),
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


class ComboWalk:
    """The quote of a combination: what its legs cost at their own quotes. They move by themselves."""

    def __init__(self, combo: Combo, walks: Sequence[Moving]) -> None:
        self._legs = [(leg.signed_ratio, walk) for leg, walk in zip(combo.legs, walks, strict=True)]
        self._high = self._low = combo.price
        self.quote = self.step()

    def step(self) -> Quote:
        """Follow the legs, and return the new quote."""
        quotes = [(weight, walk.quote) for weight, walk in self._legs]
        bid = sum(weight * (quote.bid if weight > 0 else quote.ask) for weight, quote in quotes)
        ask = sum(weight * (quote.ask if weight > 0 else quote.bid) for weight, quote in quotes)
        last = round(sum(weight * quote.last for weight, quote in quotes), 6)
        self._high, self._low = max(self._high, last), min(self._low, last)
        self.quote = Quote(
            round(bid, 6),
            round(ask, 6),
            last,
            min((quote.bid_size if weight > 0 else quote.ask_size) // abs(weight) for weight, quote in quotes),
            min((quote.ask_size if weight > 0 else quote.bid_size) // abs(weight) for weight, quote in quotes),
            min(quote.last_size // abs(weight) for weight, quote in quotes),
            0,
            self._high,
            self._low,
        )
        return self.quote
