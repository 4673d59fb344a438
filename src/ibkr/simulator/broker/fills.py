"""When an order fills, at which price and size; and the executions of a fill."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.broker.order_types import MARKET, MARKET_TO_LIMIT, SNAPPED
from ibkr.simulator.broker.portfolio import commission
from ibkr.simulator.market.combos import leg_prices
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote


def fill_executions(
    order: Order,
    shares: float,
    price: float,
    quote_of: Callable[[Instrument], Quote],
    earlier: Sequence[Execution],
) -> list[Execution]:
    """Return the executions of a fill: one for the order, and one for each leg of a combination. Id and time are unset.

    Args:
        order: The order after the fill.
        shares: The filled quantity, in units of the order.
        price: The price of one unit.
        quote_of: Returns the quote of a leg.
        earlier: All earlier executions, of any order.
    """
    return [
        Execution(
            exec_id="",
            time=0.0,
            order=order,
            instrument=instrument,
            action=action,
            shares=count,
            price=own,
            commission=fee,
            exchange="NASDAQ" if order.exchange == "SMART" else order.exchange,
            cumulative=order.filled * count / shares,
            average_price=_average(order, instrument, count, own, earlier),
        )
        for instrument, action, count, own, fee in _fill_rows(order, shares, price, quote_of)
    ]


def _fill_rows(
    order: Order, shares: float, price: float, quote_of: Callable[[Instrument], Quote]
) -> list[tuple[Instrument, str, float, float, float]]:
    """Return instrument, action, shares, price, and commission of each execution."""
    sign, legs = order.terms.sign, order.legs
    if order.exercise:  # the option is exchanged for its underlying, or lapses
        rows = [(order.instrument, "SELL", shares, 0.0, 0.0)]
        for leg in legs:
            action = "BUY" if leg.sign > 0 else "SELL"
            rows.append((leg.instrument, action, shares * leg.ratio, order.instrument.strike, 0.0))
    else:
        # IB charges commission for the legs of a combination, not for the combination.
        fee = 0.0 if legs else commission(order.instrument, shares, price)
        rows = [(order.instrument, order.action, shares, price, fee)]
        for leg, own in zip(legs, leg_prices(legs, sign, price, quote_of), strict=True):
            action = "BUY" if sign * leg.sign > 0 else "SELL"
            count = shares * leg.ratio
            rows.append((leg.instrument, action, count, own, commission(leg.instrument, count, own)))
    return rows


def _average(order: Order, instrument: Instrument, shares: float, price: float, earlier: Sequence[Execution]) -> float:
    if instrument is order.instrument:
        return order.average_price
    fills = [(shares, price)]
    for item in earlier:
        if (item.order.perm_id, item.instrument.con_id) == (order.perm_id, instrument.con_id):
            fills.append((item.shares, item.price))
    return round(sum(count * own for count, own in fills) / sum(count for count, _ in fills), 8)


def round_to_tick(price: float, instrument: Instrument) -> float:
    """Return `price` rounded to the instrument's price increment."""
    return round(round(price / instrument.min_tick) * instrument.min_tick, 10)


def update_prices(order: Order, quote: Quote) -> Order:
    """Return the order with its stop and limit price at this quote."""
    terms = order.terms
    if terms.is_trailing:
        return _trail(order, quote)
    stop = terms.aux_price if terms.has_trigger else None
    return replace(order, stop_price=stop, limit_price=_limit(order, quote))


def _limit(order: Order, quote: Quote) -> float | None:
    terms = order.terms
    if terms.order_type in SNAPPED:
        return order.limit_price if order.limit_price is not None else _snap_price(order, quote)
    if terms.order_type == MARKET_TO_LIMIT:  # the price of the first fill is the limit of the rest
        return order.limit_price
    if terms.order_type in MARKET:
        return None
    return terms.limit_price or None if terms.is_pegged else terms.limit_price


def _snap_price(order: Order, quote: Quote) -> float:
    near, far = (quote.bid, quote.ask) if order.terms.sign > 0 else (quote.ask, quote.bid)
    price = {"SNAP MKT": far, "SNAP PRIM": near}.get(order.order_type, quote.mid)
    return round_to_tick(price - order.terms.sign * (order.terms.aux_price or 0.0), order.instrument)


def _trail(order: Order, quote: Quote) -> Order:
    """Move a trailing stop. It follows the market in one direction only."""
    terms = order.terms
    stop = order.stop_price
    if stop is None and terms.trail_stop_price:
        stop = terms.trail_stop_price
    else:
        distance = terms.aux_price or quote.last * (terms.trailing_percent or 0) / 100
        reached = round_to_tick(quote.last + terms.sign * distance, order.instrument)
        nearest = min if terms.sign > 0 else max
        stop = reached if stop is None else nearest(stop, reached)
    limit = terms.limit_price if terms.order_type == "TRAIL LIMIT" else None
    if terms.order_type == "TRAIL LIMIT" and terms.limit_offset is not None:
        limit = round_to_tick(stop + terms.sign * terms.limit_offset, order.instrument)
    return replace(order, stop_price=stop, limit_price=limit)


def is_triggered_by(order: Order, quote: Quote) -> bool:
    """Return whether the last price triggers a waiting order: the default of TWS for stocks and futures."""
    if order.stop_price is None:
        return False
    is_upward = (order.terms.sign > 0) is not order.terms.is_if_touched
    return quote.last >= order.stop_price if is_upward else quote.last <= order.stop_price


def fill_price(order: Order, quote: Quote) -> float | None:
    """Return the price at which the market fills this order now, or `None`."""
    if order.terms.is_pegged:
        return None
    price = quote.ask if order.terms.sign > 0 else quote.bid
    limit = order.limit_price
    if limit is None:
        return price
    return price if (price <= limit if order.terms.sign > 0 else price >= limit) else None


def fill_size(order: Order, quote: Quote) -> float:
    """Return the size that the market offers for this order at the best price."""
    return min(order.remaining, float(quote.ask_size if order.terms.sign > 0 else quote.bid_size))
