"""Combinations (security type BAG): their legs, their contract, and what they are worth."""

from collections.abc import Callable, Sequence

from ibkr.simulator.market.combos import Leg
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote

_CON_ID = 28812380
"""IB's contract id of every combination in US dollars."""


def combo_contract(symbol: str, exchange: str, currency: str) -> Instrument:
    """The contract of a combination, with the fields that TWS gives it (an openOrder recorded by ib-ruby)."""
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
    """The legs as `comboLegsDescrip` names them: `9408|-1,43645865|1`."""
    return ",".join(f"{leg.instrument.con_id}|{leg.signed_ratio}" for leg in legs)


def combo_quote(legs: Sequence[Leg], quote_of: Callable[[Instrument], Quote]) -> Quote:
    """The quote of a combination: the sum of its legs' quotes, where a leg that is sold trades on the other side."""
    quotes = [(leg.signed_ratio, quote_of(leg.instrument)) for leg in legs]
    bid = sum(ratio * (quote.bid if ratio > 0 else quote.ask) for ratio, quote in quotes)
    ask = sum(ratio * (quote.ask if ratio > 0 else quote.bid) for ratio, quote in quotes)
    last = sum(ratio * quote.last for ratio, quote in quotes)
    size = min(min(quote.bid_size, quote.ask_size) // abs(ratio) for ratio, quote in quotes)
    price = round(last, 6)
    return Quote(round(bid, 6), round(ask, 6), price, size, size, size, 0, price, price)


def leg_prices(legs: Sequence[Leg], sign: int, price: float, quote_of: Callable[[Instrument], Quote]) -> list[float]:
    """The price of each leg in a fill of the combination at `price`; `sign` is 1 for a buy and -1 for a sale.

    Each leg trades at its market, and the first one takes what is missing: together they give `price` exactly.
    """
    if not legs:
        return []
    quotes = [quote_of(leg.instrument) for leg in legs]
    buys = [sign * leg.sign > 0 for leg in legs]
    prices = [quote.ask if is_buy else quote.bid for quote, is_buy in zip(quotes, buys, strict=True)]
    total = sum(leg.signed_ratio * own for leg, own in zip(legs, prices, strict=True))
    prices[0] = round(prices[0] + (price - total) / (legs[0].sign * legs[0].ratio), 6)
    return prices
