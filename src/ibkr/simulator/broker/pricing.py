"""When an order trades, and at which price."""

from dataclasses import replace

from ibkr.simulator.broker.order import Order
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote


def on_tick(price: float, instrument: Instrument) -> float:
    """`price` rounded to the instrument's smallest increment."""
    return round(round(price / instrument.min_tick) * instrument.min_tick, 10)


def with_stop(order: Order, quote: Quote) -> Order:
    """The order with its stop where it stands at this quote; it follows the market one way only."""
    terms = order.terms
    if not terms.is_trailing:
        return replace(order, stop_price=terms.aux_price, limit_price=terms.limit_price)
    stop = order.stop_price
    if stop is None and terms.trail_stop_price:
        stop = terms.trail_stop_price
    else:
        distance = terms.aux_price or quote.last * (terms.trailing_percent or 0) / 100
        reached = on_tick(quote.last + terms.sign * distance, order.instrument)
        nearest = min if terms.sign > 0 else max
        stop = reached if stop is None else nearest(stop, reached)
    limit = terms.limit_price
    if terms.order_type == "TRAIL LIMIT" and terms.limit_offset is not None:
        limit = on_tick(stop + terms.sign * terms.limit_offset, order.instrument)
    return replace(order, stop_price=stop, limit_price=limit)


def is_reached(order: Order, quote: Quote) -> bool:
    """Whether the last price sets off a stop order: the default trigger of stocks and futures."""
    if order.stop_price is None:
        return False
    return quote.last >= order.stop_price if order.terms.sign > 0 else quote.last <= order.stop_price


def trade_price(order: Order, quote: Quote) -> float | None:
    """The price at which the market would fill this order now, None if it would not."""
    price = quote.ask if order.terms.sign > 0 else quote.bid
    limit = order.limit_price
    if order.order_type in ("MKT", "STP", "TRAIL") or limit is None:
        return price
    return price if (price <= limit if order.terms.sign > 0 else price >= limit) else None


def trade_size(order: Order, quote: Quote) -> float:
    """How much the top of the book has for this order."""
    return min(order.remaining, float(quote.ask_size if order.terms.sign > 0 else quote.bid_size))
