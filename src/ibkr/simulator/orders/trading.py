"""Orders from the other side: what the exchange, TWS itself and other clients do, by hand."""

from collections.abc import Sequence

from ibkr.simulator.broker.book import Position
from ibkr.simulator.broker.events import Refused
from ibkr.simulator.broker.order import Execution, Order, Terms
from ibkr.simulator.hub import Hub


class Trading:
    """What a test does to the orders of the gateway that it tests against. What makes no sense is a `ValueError`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @property
    def orders(self) -> list[Order]:
        """All orders that were taken, oldest first, as they are at the broker."""
        return list(self._hub.desk.engine.orders.values())

    @property
    def executions(self) -> list[Execution]:
        """All executions, oldest first."""
        return list(self._hub.desk.engine.executions)

    @property
    def positions(self) -> list[Position]:
        """What all accounts hold; what was closed is not among them."""
        book = self._hub.desk.engine.book
        return [held for account in book.accounts for held in book.positions(account) if held.quantity]

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
        """An order for the symbol: market, or limit, stop, stop-limit by the prices given."""
        if getattr(self._hub, "loop", None) is None:
            raise RuntimeError("this gateway does not run: start it, or use it in a with block")
        if symbol not in self._hub.instruments.by_symbol:
            raise ValueError(f"symbol: the simulated gateway knows no {symbol!r}")
        account = account or self._hub.settings.accounts[0]
        if account not in self._hub.settings.accounts:
            raise ValueError(f"account: {account!r} is not one of {', '.join(self._hub.settings.accounts)}")
        kinds = {(False, False): "MKT", (True, False): "LMT", (False, True): "STP", (True, True): "STP LMT"}
        kind = kinds[limit_price is not None, stop_price is not None]
        terms = Terms(action, float(quantity), kind, limit_price, stop_price)
        desk, instrument = self._hub.desk, self._hub.instruments.by_symbol[symbol]
        order_id = desk.next_order_id(client_id) if client_id else 0
        placed = desk.place(Order(0, client_id, order_id, account, instrument, instrument.exchange, terms))
        if isinstance(placed, Refused):
            raise ValueError(f"order refused with {placed.code}: {placed.text}")
        return placed

    def fill(self, which: int | str, quantity: float | None, price: float | None) -> Execution:
        """Fill an order, or some of it; see `find` for which. The price defaults to its limit, else to the market's."""
        order = self.find(which)
        if not order.is_working or order.is_held:
            waits = order.why_held or "it has not reached the exchange"
            raise ValueError(f"order {which!r} is {order.status} and cannot be filled: {waits}")
        shares = order.remaining if quantity is None else float(quantity)
        if not 0 < shares <= order.remaining:
            raise ValueError(f"quantity: more than 0 and at most {order.remaining:g} can be filled, not {quantity!r}")
        engine = self._hub.desk.engine
        quote = engine.quote_for(order)
        market = quote.ask if order.terms.sign > 0 else quote.bid
        paid = next(value for value in (price, order.limit_price, market) if value is not None)
        count = len(engine.executions)
        self._hub.desk.do(engine.fill(order.perm_id, shares, paid))
        return engine.executions[count]

    def cancel(self, which: int | str, reason: str) -> None:
        """The exchange ends an order; see `find` for which."""
        self._hub.desk.do(self._hub.desk.engine.cancel(self.find(which).perm_id, reason))

    def reject(self, which: int | str, reason: str) -> None:
        """The exchange does not take an order, or no longer; see `find` for which."""
        self._hub.desk.do(self._hub.desk.engine.reject(self.find(which).perm_id, reason))

    def note(self, which: int | str, code: int, text: str) -> None:
        """The client of an order is told something about it; see `find` for which."""
        self._hub.desk.note(self.find(which), code, text)

    def find(self, which: int | str) -> Order:
        """The live order with this order id, or the oldest one for this symbol."""
        live = self._hub.desk.engine.live()
        found = [order for order in live if which in (order.order_id, order.symbol)]
        if not found:
            raise ValueError(f"no live order {which!r}; there are: {_names(live)}")
        if isinstance(which, int) and len(found) > 1:
            raise ValueError(f"several clients have a live order {which}: {_names(found)}; name one by its symbol")
        return found[0]


def _names(orders: Sequence[Order]) -> str:
    return ", ".join(f"{item.order_id} of client {item.client_id} ({item.symbol})" for item in orders) or "none"
