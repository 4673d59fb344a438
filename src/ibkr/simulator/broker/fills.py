"""The executions of a fill: one of the order, and one for each leg of a combination."""

from collections.abc import Callable, Sequence

from ibkr.simulator.broker.charges import commission
from ibkr.simulator.broker.combo import leg_prices
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote


def executions_of(
    order: Order,
    shares: float,
    price: float,
    quote_of: Callable[[Instrument], Quote],
    earlier: Sequence[Execution],
) -> list[Execution]:
    """The executions of a fill that has no id and no time yet.

    Args:
        order: The order as the fill leaves it.
        shares: What is filled, in units of the order.
        price: What is paid for one unit.
        quote_of: Gives the quote of a leg.
        earlier: The executions before this one, of any order.
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
        for instrument, action, count, own, fee in _parts(order, shares, price, quote_of)
    ]


def _parts(
    order: Order, shares: float, price: float, quote_of: Callable[[Instrument], Quote]
) -> list[tuple[Instrument, str, float, float, float]]:
    """Instrument, action, shares, price and commission of each execution."""
    sign, legs = order.terms.sign, order.legs
    if order.exercise:  # the option that was held is given back, for its underlying or for nothing
        rows = [(order.instrument, "SELL", shares, 0.0, 0.0)]
        for leg in legs:
            action = "BUY" if leg.sign > 0 else "SELL"
            rows.append((leg.instrument, action, shares * leg.ratio, order.instrument.strike, 0.0))
    else:
        # IB charges for the legs of a combination, not for the combination.
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
