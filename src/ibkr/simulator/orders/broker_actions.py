"""`BrokerActions`: what the exchange, TWS, and other clients do to orders, started by a test."""

import math
from collections.abc import Sequence

from ibkr.simulator.broker.order import Execution, Order, Terms
from ibkr.simulator.broker.order_events import OrderNotice
from ibkr.simulator.broker.portfolio import Position
from ibkr.simulator.gateway_state import GatewayState


class BrokerActions:
    """The actions of a test on the orders of its gateway. Each raises `ValueError` for invalid arguments."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state

    @property
    def orders(self) -> list[Order]:
        """All accepted orders at the broker, oldest first."""
        return list(self._state.order_handler.engine.orders.values())

    @property
    def executions(self) -> list[Execution]:
        """All executions, oldest first."""
        return list(self._state.order_handler.engine.executions)

    @property
    def positions(self) -> list[Position]:
        """The open positions of all accounts."""
        portfolio = self._state.order_handler.engine.portfolio
        return [held for account in portfolio.accounts for held in portfolio.positions(account) if held.quantity]

    def place(
        self,
        symbol: str,
        action: str,
        quantity: float,
        *,
        limit_price: float | None,
        stop_price: float | None,
        client_id: int,
        account: str | None,
    ) -> Order:
        """Place an order. Its type follows from the prices: market, limit, stop, or stop-limit."""
        if getattr(self._state, "loop", None) is None:
            raise RuntimeError("this gateway is not running: start it, or use it in a with block")
        if symbol not in self._state.instruments.by_symbol:
            raise ValueError(f"symbol: unknown symbol {symbol!r}")
        account = account or self._state.settings.accounts[0]
        if account not in self._state.settings.accounts:
            raise ValueError(f"account: {account!r} is not one of {', '.join(self._state.settings.accounts)}")
        _check_finite(quantity=quantity, limit_price=limit_price, stop_price=stop_price)
        kinds = {(False, False): "MKT", (True, False): "LMT", (False, True): "STP", (True, True): "STP LMT"}
        kind = kinds[limit_price is not None, stop_price is not None]
        terms = Terms(action, float(quantity), kind, limit_price, stop_price)
        order_handler, instrument = self._state.order_handler, self._state.instruments.by_symbol[symbol]
        order_id = order_handler.next_order_id(client_id) if client_id else 0
        placed = order_handler.place(Order(0, client_id, order_id, account, instrument, instrument.exchange, terms))
        if isinstance(placed, OrderNotice):
            raise ValueError(f"order refused with {placed.code}: {placed.text}")
        return placed

    def fill(self, which: int | str, quantity: float | None, price: float | None) -> Execution:
        """Fill an order or a part of it. The default price is its limit price, or the market price without a limit."""
        order = self.find(which)
        if not order.is_working or order.is_held:
            waits = order.why_held or "it has not reached the exchange"
            raise ValueError(f"order {which!r} is {order.status} and cannot be filled: {waits}")
        _check_finite(quantity=quantity, price=price)
        shares = order.remaining if quantity is None else float(quantity)
        if not 0 < shares <= order.remaining:
            raise ValueError(f"quantity: more than 0 and at most {order.remaining:g} can be filled, not {quantity!r}")
        engine = self._state.order_handler.engine
        quote = engine.quote_for(order)
        market = quote.ask if order.terms.sign > 0 else quote.bid
        paid = next(value for value in (price, order.limit_price, market) if value is not None)
        count = len(engine.executions)
        self._state.order_handler.handle_events(engine.fill(order.perm_id, shares, paid))
        return engine.executions[count]

    def cancel(self, which: int | str, reason: str) -> None:
        """Cancel an order at the exchange."""
        self._state.order_handler.handle_events(
            self._state.order_handler.engine.cancel(self.find(which).perm_id, reason)
        )

    def reject(self, which: int | str, reason: str) -> None:
        """Reject an order at the exchange."""
        self._state.order_handler.handle_events(
            self._state.order_handler.engine.reject(self.find(which).perm_id, reason)
        )

    def note(self, which: int | str, code: int, text: str) -> None:
        """Send the client of an order a note."""
        self._state.order_handler.note(self.find(which), code, text)

    def find(self, which: int | str) -> Order:
        """Return the live order with this order id, or the oldest live order for this symbol."""
        live = self._state.order_handler.engine.live()
        found = [order for order in live if which in (order.order_id, order.symbol)]
        if not found:
            raise ValueError(f"no live order {which!r}; there are: {_names(live)}")
        if isinstance(which, int) and len(found) > 1:
            raise ValueError(f"several clients have a live order {which}: {_names(found)}; name one by its symbol")
        return found[0]


def _names(orders: Sequence[Order]) -> str:
    return ", ".join(f"{item.order_id} of client {item.client_id} ({item.symbol})" for item in orders) or "none"


def _check_finite(**numbers: float | None) -> None:
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}: a finite number is needed, not {value}")
