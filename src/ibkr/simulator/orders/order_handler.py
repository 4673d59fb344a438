"""`OrderHandler`: passes orders from clients to the broker, and reports the broker's events to clients.

While the upstream is down, the exchange still fills orders. The handler then keeps events and requests, and delivers
them when the upstream is back.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from ibkr.simulator.broker import order_checks
from ibkr.simulator.broker.injected_errors import CANCEL, CHANGE, NEW, NOTE, error_text
from ibkr.simulator.broker.order import PENDING_CANCEL, PENDING_SUBMIT, Execution, Order
from ibkr.simulator.broker.order_engine import OrderEngine
from ibkr.simulator.broker.order_events import Charged, Executed, OrderChanged, OrderEvent, OrderNotice, Previewed
from ibkr.simulator.broker.portfolio import Portfolio, Position
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.orders.order_reports import event_messages
from ibkr.simulator.scheduling import Timers
from ibkr.simulator.shared_state import BaseClient, SharedState
from ibkr.wire import order_messages


class OrderHandler:
    """`engine` is the state at the broker. `orders`, `executions`, and `portfolio` are what the gateway knows of it.

    `_applied_early` has the late executions that are already in the portfolio.
    """

    def __init__(self, state: SharedState, market: Market) -> None:
        prices: dict[int, float] = {}
        accounts, known = state.settings.accounts, state.instruments.by_symbol
        held = _holdings(state)
        self._state = state
        self._market = market
        self.engine = OrderEngine(
            Portfolio(accounts, prices, known, held), market.quote_of, time.time, state.settings.partial_fills
        )
        self.portfolio = Portfolio(accounts, prices, known, held)
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self._unreported: deque[OrderEvent] = deque()
        self._unsent: deque[Callable[[], list[OrderEvent]]] = deque()
        self._applied_early: list[Execution] = []
        self._timers = Timers()
        self._followed: dict[int, Instrument] = {}
        self._refresh_at = 0.0
        market.on_quote(self._on_quote)

    def next_order_id(self, client_id: int) -> int:
        """Return the next order id of this client."""
        rolled_back = self._state.conditions.next_order_id
        if rolled_back is not None:
            return rolled_back
        return max(self._state.settings.next_order_id, self.engine.highest_id(client_id) + 1)

    def may_see(self, client: BaseClient, order: Order) -> bool:
        """Return whether this client gets messages about an order. The owner and the master client do."""
        return client.client_id in (order.client_id, self._state.settings.master_client_id)

    def session_start_messages(self, client: BaseClient) -> list[bytes]:
        """Return the messages about live orders that the master client gets when it connects."""
        if client.client_id != self._state.settings.master_client_id:
            return []
        return [body for order in self.open_orders() for body in event_messages(client, OrderChanged(order))]

    def open_orders(self) -> list[Order]:
        """Return the orders that are open as far as the gateway knows, with current trailing stops."""
        found = [order for order in self.orders.values() if order.is_live]
        if self._state.conditions.upstream_up:
            found = [self.engine.orders[order.perm_id] for order in found]
        return found

    # --- requests of clients ----------------------------------------------------------------------

    def place(self, order: Order) -> Order | OrderNotice:
        """Place a new order, or change one."""
        existing = self.engine.find(order.client_id, order.order_id)
        if existing:
            self._change(existing, order)
            return order
        placed = self.engine.place(order)
        if isinstance(placed, OrderNotice):
            self._report([placed])
            return placed
        zero = self._state.sessions.get(0)
        if zero and zero.binds_orders:
            self._bind(zero, placed)
        if placed.terms.transmit and not self._state.conditions.upstream_up:
            self._report([OrderChanged(self.engine.orders[placed.perm_id])])
        self._send(lambda: self._transmit(placed.perm_id))
        return self.engine.orders[placed.perm_id]

    def _change(self, existing: Order, order: Order) -> None:
        errors = self._state.conditions.order_errors
        is_at_broker = existing.is_live and existing.status != PENDING_SUBMIT
        if is_at_broker and (error := errors.take(CHANGE, existing)):
            self._report([OrderNotice(order.client_id, order.order_id, *error)])
        else:
            self._send(lambda: self._apply_change(order))

    def _apply_change(self, order: Order) -> list[OrderEvent]:
        placed = self.engine.place(order)
        if isinstance(placed, OrderNotice):
            return [placed]
        # If the order was placed earlier with transmit=False, the broker does not know it yet.
        is_new = placed.status == PENDING_SUBMIT
        return self._transmit(placed.perm_id) if is_new else self.engine.transmit(placed.perm_id)

    def _transmit(self, perm_id: int) -> list[OrderEvent]:
        order, errors = self.engine.orders[perm_id], self._state.conditions.order_errors
        if not order.terms.transmit or not order.is_live:
            return []
        # For a complete bracket, the broker checks the parent first.
        parent = self.engine.orders.get(order.parent_perm_id)
        first = parent if parent and parent.status == PENDING_SUBMIT else order
        if order.status == PENDING_SUBMIT and (error := errors.take(NEW, first)):
            return self.engine.reject(first.perm_id, error[1], error)
        note = errors.take(NOTE, order)
        notes: list[OrderEvent] = [OrderNotice(order.client_id, order.order_id, *note)] if note else []
        return notes + self.engine.transmit(perm_id)

    def _send(self, action: Callable[[], list[OrderEvent]]) -> None:
        """Run a client's request at the broker, now or when the upstream is back."""
        if self._state.conditions.upstream_up:
            self.handle_events(action())
        else:
            self._unsent.append(action)

    def exercise(self, order: Order, underlying: Instrument, *, is_forced: bool) -> None:
        """Send the broker an instruction about an option position; see `OrderEngine.exercise`."""
        self._send(lambda: self.engine.exercise(order, underlying, is_forced))

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel an order of this client."""
        order = self.engine.find(client_id, order_id)
        if order is None:
            self._report([OrderNotice(client_id, order_id, *order_checks.not_found(order_id))])
        elif order.is_live and (error := self._state.conditions.order_errors.take(CANCEL, order)):
            self._report([OrderNotice(client_id, order_id, *error)])
        else:
            self._cancel(order)

    def cancel_all(self, client_id: int) -> None:
        """Cancel the orders of all clients. The client gets 161 for each of its orders that has ended."""
        ended = [order for order in self.engine.orders.values() if not order.is_live and order.client_id == client_id]
        for order in self.engine.live():
            self._cancel(order)
        self._report(
            OrderNotice(client_id, order.order_id, *order_checks.cancel_attempted(order)) for order in reversed(ended)
        )

    def _cancel(self, order: Order) -> None:
        known = self.orders.get(order.perm_id, order)
        if self._state.conditions.upstream_up:
            self.handle_events(self.engine.cancel(order.perm_id))
        elif known.is_live and known.status != PENDING_CANCEL:
            self._report([OrderChanged(replace(known, status=PENDING_CANCEL), is_status_only=True)])
            self._unsent.append(lambda: self.engine.cancel(order.perm_id))
        else:
            refuse = order_checks.cancel_attempted if known.is_live else order_checks.not_cancellable
            self._report([OrderNotice(order.client_id, order.order_id, *refuse(known))])

    def note(self, order: Order, code: int, text: str) -> None:
        """Send the client of an order a note. The order does not change."""
        self.handle_events([OrderNotice(order.client_id, order.order_id, code, text or error_text(code, order))])

    def bind_tws_orders(self, client: BaseClient) -> None:
        """Give the orders that were entered in TWS negative ids of client 0."""
        for order in self.open_orders():
            self._bind(client, order)

    def _bind(self, client: BaseClient, order: Order) -> None:
        if not order.is_live or not order.is_from_tws or order.order_id:
            return
        lowest = min(item.order_id for item in self.engine.orders.values())
        bound = self.engine.bind(order.perm_id, min(lowest, 0) - 1)
        if known := self.orders.get(order.perm_id):
            self.orders[order.perm_id] = replace(known, order_id=bound.order_id)
        values = {"perm_id": order.perm_id, "client_id": 0, "order_id": bound.order_id}
        client.send(client.encode(order_messages.ORDER_BOUND, **values))

    # --- events of the broker ---------------------------------------------------------------------

    def handle_events(self, events: Iterable[OrderEvent]) -> None:
        """Report events of the broker, now or when the upstream is back."""
        self.catch_up()
        if self._state.conditions.upstream_up:
            self._report(events)
        else:
            self._unreported.extend(events)
        self.update_followed()
        self._state.changed()

    def catch_up(self) -> None:
        """If the upstream is up, report the events of the outage, and run the requests that waited for the upstream."""
        while self._state.conditions.upstream_up and (self._unreported or self._unsent):
            if self._unreported:
                events = list(self._unreported)
                self._unreported.clear()
                self._report_outage(events)
            else:
                self._report(self._unsent.popleft()())
                self.update_followed()

    def _report_outage(self, events: list[OrderEvent]) -> None:
        seconds = self._state.conditions.late_executions
        fills = [event for event in events if seconds and isinstance(event, Executed | Charged)]
        for event in fills:
            if isinstance(event, Executed) and event.execution not in self._applied_early:
                self._applied_early.append(event.execution)
                self.portfolio.apply(event.execution)
        self._report(event for event in events if event not in fills)
        if fills:
            self._timers.later(seconds, self._report_late, fills)
            self._portfolio_changed()

    def _report_late(self, fills: list[OrderEvent]) -> None:
        if self._state.conditions.upstream_up:
            self._report(fills)
        else:
            self._unreported.extend(fills)

    def stop(self) -> None:
        """Drop executions that are still to be reported late."""
        self._timers.stop()

    def update_followed(self) -> None:
        """Follow the instruments of working orders, and of positions whose PnL a client has requested."""
        working = [item for item in self.engine.live() if item.is_working]
        wanted = {item.con_id: item for order in working for item in order.instruments}
        if any(client.account_streams.needs_market for client in self._state.sessions.values()):
            for account in self._state.settings.accounts:
                held = self.portfolio.positions(account)
                wanted |= {item.instrument.con_id: item.instrument for item in held if item.quantity}
        for con_id in self._followed.keys() - wanted.keys():
            self._market.unfollow(self._followed[con_id])
        for con_id in wanted.keys() - self._followed.keys():
            self._market.follow(wanted[con_id])
        self._followed = wanted

    def _on_quote(self, instrument: Instrument, quote: Quote) -> None:
        self.portfolio.prices[instrument.con_id] = quote.last
        if instrument.con_id in self._followed and (events := self.engine.on_quote(instrument)):
            self.handle_events(events)
        now = self._state.loop.time()
        conditions = self._state.conditions
        if now >= self._refresh_at and conditions.upstream_up and not conditions.frozen:
            self._refresh_at = now + self._state.settings.tick_interval
            for client in list(self._state.sessions.values()):
                client.account_streams.market_moved(now)

    # --- messages to clients ----------------------------------------------------------------------

    def _report(self, events: Iterable[OrderEvent]) -> None:
        outgoing: dict[BaseClient, list[bytes]] = {}
        has_fills = False
        for event in events:
            if isinstance(event, Executed):
                has_fills = True
                if event.execution not in self._applied_early:
                    self.portfolio.apply(event.execution)
                self.executions.append(event.execution)
            elif isinstance(event, OrderChanged):
                self.orders[event.order.perm_id] = event.order
            for client in self._recipients(event):
                outgoing.setdefault(client, []).extend(event_messages(client, event))
        for client, messages in outgoing.items():
            client.send(*messages)
        if has_fills:
            self._portfolio_changed()

    def _portfolio_changed(self) -> None:
        for client in list(self._state.sessions.values()):
            client.account_streams.portfolio_changed()

    def _recipients(self, event: OrderEvent) -> list[BaseClient]:
        sessions = list(self._state.sessions.values())
        if isinstance(event, OrderNotice):
            return [client for client in sessions if client.client_id == event.client_id]
        if isinstance(event, Previewed):
            return [client for client in sessions if client.client_id == event.order.client_id]
        order = event.order if isinstance(event, OrderChanged) else event.execution.order
        return [client for client in sessions if self.may_see(client, order)]


def _holdings(state: SharedState) -> list[Position] | None:
    """Return the positions of the settings, or `None` for the default ones."""
    if state.settings.holdings is None:
        return None
    return [
        Position(account, instrument, quantity, cost)
        for account, con_id, quantity, cost in state.settings.holdings
        if (instrument := state.instruments.by_con_id(con_id))
    ]
