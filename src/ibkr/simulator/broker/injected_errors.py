"""Errors and notes about orders that faults inject, with the texts of TWS."""

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from ibkr.simulator.broker import order_checks
from ibkr.simulator.broker.order import Order

NEW, CHANGE, CANCEL, NOTE = "new", "change", "cancel", "note"
"""The kind of request that gets an error: a new order, a change, a cancel. `NOTE`: a new order gets a note and stays.
"""

_TEXTS = {
    110: order_checks.OFF_TICK[1],
    201: "Order rejected - reason:The order is refused.",
    404: (
        "Shares for this order are not immediately available for short sale. "
        "The order will be held while we attempt to locate the shares."
    ),
    2109: (
        "Order Event Warning:Attribute 'Outside Regular Trading Hours' is ignored based on the order type and "
        "destination. PlaceOrder is now being processed."
    ),
    10349: "Order TIF was set to DAY based on order preset.",
}
_OF_ORDER = {
    135: lambda order: order_checks.no_such_order(order.order_id)[1],
    161: lambda order: order_checks.cancel_attempted(order)[1],
    10147: lambda order: order_checks.not_found(order.order_id)[1],
    10148: lambda order: order_checks.not_cancellable(order)[1],
}
_OPENING = dt.time(9, 30)


def error_text(code: int, order: Order) -> str:
    """Return the text of TWS for this code and order."""
    if code == 399:
        return _held_until_opening(order)
    if code in _OF_ORDER:
        return _OF_ORDER[code](order)
    return _TEXTS.get(code, f"Order message {code}.")


def _held_until_opening(order: Order) -> str:
    item = order.instrument
    now = dt.datetime.now(ZoneInfo(item.time_zone_id))
    opening = now.replace(hour=_OPENING.hour, minute=_OPENING.minute, second=0)
    while opening <= now or opening.weekday() >= 5:
        opening += dt.timedelta(days=1)
    what = f"{order.action} {order.quantity:g} {item.symbol} {item.venue}.{item.trading_class}"
    until = f"{opening:%Y-%m-%d %H:%M:%S} {item.time_zone_id}"
    return f"Order Message:\n{what}\nWarning: Your order will not be placed at the exchange until {until}."


@dataclass
class _Error:
    code: int
    text: str
    times: float


@dataclass
class InjectedErrors:
    """The injected errors for the next requests, by kind of request."""

    _next: dict[str, _Error] = field(default_factory=dict)

    def add(self, about: str, code: int, text: str, times: float) -> None:
        """Answer the next `times` requests of this kind with this error. If the text is empty, use the text of TWS."""
        self._next[about] = _Error(code, text, times)

    def take(self, about: str, order: Order) -> tuple[int, str] | None:
        """Return code and text for a request about this order, or `None`. Each call removes one error."""
        error = self._next.get(about)
        if error is None:
            return None
        error.times -= 1
        if error.times < 1:
            del self._next[about]
        return error.code, error.text or error_text(error.code, order)
