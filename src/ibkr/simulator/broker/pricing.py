"""When an order trades, and at which price."""

from dataclasses import replace

from ibkr.simulator.broker.order import Order
from ibkr.simulator.broker.order_types import MARKET, MARKET_TO_LIMIT, SNAPPED
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote


def on_tick(price: float, instrument: Instrument) -> float:
    """`price` rounded to the instrument's smallest increment."""
    return round(round(price / instrument.min_tick) * instrument.min_tick, 10)


def with_prices(order: Order, quote: Quote) -> Order:
    """The order with its stop and its limit where they stand at this quote."""
    terms = order.terms
    if terms.is_trailing:
        return _trailed(order, quote)
    stop = terms.aux_price if terms.has_trigger else None
    return replace(order, stop_price=stop, limit_price=_limit(order, quote))


def _limit(order: Order, quote: Quote) -> float | None:
    terms = order.terms
    if terms.order_type in SNAPPED:
        return order.limit_price if order.limit_price is not None else _snapped(order, quote)
    if terms.order_type == MARKET_TO_LIMIT:  # what the first fill leaves rests at the price of that fill
        return order.limit_price
    if terms.order_type in MARKET:
        return None
    return terms.limit_price or None if terms.is_pegged else terms.limit_price


def _snapped(order: Order, quote: Quote) -> float:
    near, far = (quote.bid, quote.ask) if order.terms.sign > 0 else (quote.ask, quote.bid)
    price = {"SNAP MKT": far, "SNAP PRIM": near}.get(order.order_type, quote.mid)
    return on_tick(price - order.terms.sign * (order.terms.aux_price or 0.0), order.instrument)


def _trailed(order: Order, quote: Quote) -> Order:
    """A trailing stop follows the market one way only."""
    terms = order.terms
    stop = order.stop_price
    if stop is None and terms.trail_stop_price:
        stop = terms.trail_stop_price
    else:
        distance = terms.aux_price or quote.last * (terms.trailing_percent or 0) / 100
        reached = on_tick(quote.last + terms.sign * distance, order.instrument)
        nearest = min if terms.sign > 0 else max
        stop = reached if stop is None else nearest(stop, reached)
    limit = terms.limit_price if terms.order_type == "TRAIL LIMIT" else None
    if terms.order_type == "TRAIL LIMIT" and terms.limit_offset is not None:
        limit = on_tick(stop + terms.sign * terms.limit_offset, order.instrument)
    return replace(order, stop_price=stop, limit_price=limit)


def is_reached(order: Order, quote: Quote) -> bool:
    """Whether the last price sets off an order that waits for it: the default trigger of stocks and futures."""
    if order.stop_price is None:
        return False
    is_upward = (order.terms.sign > 0) is not order.terms.is_touched
    return quote.last >= order.stop_price if is_upward else quote.last <= order.stop_price


def trade_price(order: Order, quote: Quote) -> float | None:
    """The price at which the market would fill this order now, None if it would not."""
    if order.terms.is_pegged:
        return None
    price = quote.ask if order.terms.sign > 0 else quote.bid
    limit = order.limit_price
    if limit is None:
        return price
    return price if (price <= limit if order.terms.sign > 0 else price >= limit) else None


def trade_size(order: Order, quote: Quote) -> float:
    """How much the top of the book has for this order."""
    return min(order.remaining, float(quote.ask_size if order.terms.sign > 0 else quote.bid_size))
