"""Where the broker meets the gateway's clients: who may ask what, who hears what, and when.

While the upstream is down orders go on being filled at the exchange. What happens there is kept and
told when the link is back, and so is what clients ask for.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from ibkr.simulator.broker import checks
from ibkr.simulator.broker.book import Book
from ibkr.simulator.broker.engine import Engine
from ibkr.simulator.broker.events import Charged, Event, Executed, OrderChanged, Previewed, Refused
from ibkr.simulator.broker.order import PENDING_CANCEL, PENDING_SUBMIT, Execution, Order
from ibkr.simulator.broker.order_errors import CANCEL, CHANGE, NEW, NOTE, error_text
from ibkr.simulator.connection.timers import Timers
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.market import Market
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.orders.order_reports import bodies
from ibkr.simulator.state import Peer, State
from ibkr.wire import order_messages


class Desk:
    """`engine` is what is so at the broker; `orders`, `executions` and `book` what the gateway has heard of it.

    `_booked` are executions that come late: the positions have them already.
    """

    def __init__(self, hub: State, market: Market) -> None:
        prices: dict[int, float] = {}
        accounts, known = hub.settings.accounts, hub.instruments.by_symbol
        self._hub = hub
        self._market = market
        self.engine = Engine(
            Book(accounts, prices, known), market.quote_of, time.time, partial_fills=hub.settings.partial_fills
        )
        self.book = Book(accounts, prices, known)
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self._untold: deque[Event] = deque()
        self._unsent: deque[Callable[[], list[Event]]] = deque()
        self._booked: list[Execution] = []
        self._timers = Timers()
        self._followed: dict[int, Instrument] = {}
        self._refresh_at = 0.0
        market.listen(self._quoted)

    def next_order_id(self, client_id: int) -> int:
        """The id that the next order of this client should have."""
        rolled_back = self._hub.conditions.next_order_id
        if rolled_back is not None:
            return rolled_back
        return max(self._hub.settings.next_order_id, self.engine.highest_id(client_id) + 1)

    def may_see(self, client: Peer, order: Order) -> bool:
        """Whether an order is this client's business: its own, or any for the master client."""
        return client.client_id in (order.client_id, self._hub.settings.master_client_id)

    def welcome(self, client: Peer) -> list[bytes]:
        """What the master client is told when it connects, unasked: the orders that are live."""
        if client.client_id != self._hub.settings.master_client_id:
            return []
        return [body for order in self.open_orders() for body in bodies(client, OrderChanged(order))]

    def open_orders(self) -> list[Order]:
        """The orders that are open as far as the gateway knows, with trailing stops where they are now."""
        found = [order for order in self.orders.values() if order.is_live]
        if self._hub.conditions.upstream_up:
            found = [self.engine.orders[order.perm_id] for order in found]
        return found

    # --- what clients ask for --------------------------------------------------------------------

    def place(self, order: Order) -> Order | Refused:
        """A new order, or a change of one, by its client."""
        standing = self.engine.find(order.client_id, order.order_id)
        if standing:
            self._change(standing, order)
            return order
        placed = self.engine.place(order)
        if isinstance(placed, Refused):
            self._tell([placed])
            return placed
        zero = self._hub.sessions.get(0)
        if zero and zero.binds_orders:
            self._bind(zero, placed)
        if placed.terms.transmit and not self._hub.conditions.upstream_up:
            self._tell([OrderChanged(self.engine.orders[placed.perm_id])])
        self._send(lambda: self._transmitted(placed.perm_id))
        return self.engine.orders[placed.perm_id]

    def _change(self, standing: Order, order: Order) -> None:
        errors = self._hub.conditions.order_errors
        is_at_broker = standing.is_live and standing.status != PENDING_SUBMIT
        if is_at_broker and (error := errors.take(CHANGE, standing)):
            self._tell([Refused(order.client_id, order.order_id, *error)])
        else:
            self._send(lambda: self._changed(order))

    def _changed(self, order: Order) -> list[Event]:
        placed = self.engine.place(order)
        if isinstance(placed, Refused):
            return [placed]
        # One that was staged with transmit=False is new to the broker.
        is_new = placed.status == PENDING_SUBMIT
        return self._transmitted(placed.perm_id) if is_new else self.engine.transmit(placed.perm_id)

    def _transmitted(self, perm_id: int) -> list[Event]:
        order, errors = self.engine.orders[perm_id], self._hub.conditions.order_errors
        if not order.terms.transmit or not order.is_live:
            return []
        # Of a bracket that leaves as a whole, the broker looks at the parent first.
        parent = self.engine.orders.get(order.parent_perm_id)
        first = parent if parent and parent.status == PENDING_SUBMIT else order
        if order.status == PENDING_SUBMIT and (error := errors.take(NEW, first)):
            return self.engine.reject(first.perm_id, error[1], error)
        note = errors.take(NOTE, order)
        notes: list[Event] = [Refused(order.client_id, order.order_id, *note)] if note else []
        return notes + self.engine.transmit(perm_id)

    def _send(self, action: Callable[[], list[Event]]) -> None:
        """Carry out at the broker what a client asks for: now, or when the upstream is back."""
        if self._hub.conditions.upstream_up:
            self.do(action())
        else:
            self._unsent.append(action)

    def exercise(self, order: Order, underlying: Instrument, *, is_forced: bool) -> None:
        """An instruction about an option that is held, see `Engine.exercise`."""
        self._send(lambda: self.engine.exercise(order, underlying, is_forced))

    def cancel(self, client_id: int, order_id: int) -> None:
        """End an order of this client."""
        order = self.engine.find(client_id, order_id)
        if order is None:
            self._tell([Refused(client_id, order_id, *checks.not_found(order_id))])
        elif order.is_live and (error := self._hub.conditions.order_errors.take(CANCEL, order)):
            self._tell([Refused(client_id, order_id, *error)])
        else:
            self._cancel(order)

    def cancel_all(self, client_id: int) -> None:
        """Cancel every order of every client. The client gets 161 for its own orders that have ended."""
        ended = [order for order in self.engine.orders.values() if not order.is_live and order.client_id == client_id]
        for order in self.engine.live():
            self._cancel(order)
        errors = [Refused(client_id, order.order_id, *checks.cancel_attempted(order)) for order in reversed(ended)]
        self._tell(errors)

    def _cancel(self, order: Order) -> None:
        known = self.orders.get(order.perm_id, order)
        if self._hub.conditions.upstream_up:
            self.do(self.engine.cancel(order.perm_id))
        elif known.is_live and known.status != PENDING_CANCEL:
            self._tell([OrderChanged(replace(known, status=PENDING_CANCEL), is_status_only=True)])
            self._unsent.append(lambda: self.engine.cancel(order.perm_id))
        else:
            refuse = checks.cancel_attempted if known.is_live else checks.not_cancellable
            self._tell([Refused(order.client_id, order.order_id, *refuse(known))])

    def note(self, order: Order, code: int, text: str) -> None:
        """Send the client of an order a note about it. The order stays as it is."""
        self.do([Refused(order.client_id, order.order_id, code, text or error_text(code, order))])

    def bind(self, client: Peer) -> None:
        """Give the orders that were entered in TWS ids of client 0: negative ones."""
        for order in self.open_orders():
            self._bind(client, order)

    def _bind(self, client: Peer, order: Order) -> None:
        if not order.is_live or not order.is_from_tws or order.order_id:
            return
        lowest = min(item.order_id for item in self.engine.orders.values())
        bound = self.engine.bind(order.perm_id, min(lowest, 0) - 1)
        if known := self.orders.get(order.perm_id):
            self.orders[order.perm_id] = replace(known, order_id=bound.order_id)
        values = {"perm_id": order.perm_id, "client_id": 0, "order_id": bound.order_id}
        client.send(client.encode(order_messages.ORDER_BOUND, **values))

    # --- what happens ----------------------------------------------------------------------------

    def do(self, events: Iterable[Event]) -> None:
        """Report what has happened at the broker: now, or when the upstream is back."""
        self.catch_up()
        if self._hub.conditions.upstream_up:
            self._tell(events)
        else:
            self._untold.extend(events)
        self.follow()
        self._hub.changed()

    def catch_up(self) -> None:
        """If the upstream is up, report what has happened in an outage and send what has waited for its end."""
        while self._hub.conditions.upstream_up and (self._untold or self._unsent):
            if self._untold:
                events = list(self._untold)
                self._untold.clear()
                self._tell_of_outage(events)
            else:
                self._tell(self._unsent.popleft()())
                self.follow()

    def _tell_of_outage(self, events: list[Event]) -> None:
        seconds = self._hub.conditions.late_executions
        fills = [event for event in events if seconds and isinstance(event, Executed | Charged)]
        for event in fills:
            if isinstance(event, Executed) and event.execution not in self._booked:
                self._booked.append(event.execution)
                self.book.apply(event.execution)
        self._tell(event for event in events if event not in fills)
        if fills:
            self._timers.later(seconds, self._tell_late, fills)
            self._book_changed()

    def _tell_late(self, fills: list[Event]) -> None:
        if self._hub.conditions.upstream_up:
            self._tell(fills)
        else:
            self._untold.extend(fills)

    def stop(self) -> None:
        """Drop the executions that would still come late."""
        self._timers.stop()

    def follow(self) -> None:
        """Let those instruments move that orders wait for, or whose profit somebody looks at."""
        working = [item for item in self.engine.live() if item.is_working]
        wanted = {item.con_id: item for order in working for item in order.instruments}
        if any(client.account_streams.needs_market for client in self._hub.sessions.values()):
            for account in self._hub.settings.accounts:
                held = self.book.positions(account)
                wanted |= {item.instrument.con_id: item.instrument for item in held if item.quantity}
        for con_id in self._followed.keys() - wanted.keys():
            self._market.unfollow(self._followed[con_id])
        for con_id in wanted.keys() - self._followed.keys():
            self._market.follow(wanted[con_id])
        self._followed = wanted

    def _quoted(self, instrument: Instrument, quote: Quote) -> None:
        self.book.prices[instrument.con_id] = quote.last
        if instrument.con_id in self._followed and (events := self.engine.quoted(instrument)):
            self.do(events)
        now = self._hub.loop.time()
        conditions = self._hub.conditions
        if now >= self._refresh_at and conditions.upstream_up and not conditions.frozen:
            self._refresh_at = now + self._hub.settings.tick_interval
            for client in list(self._hub.sessions.values()):
                client.account_streams.market_moved(now)

    # --- telling ---------------------------------------------------------------------------------

    def _tell(self, events: Iterable[Event]) -> None:
        outgoing: dict[Peer, list[bytes]] = {}
        has_fills = False
        for event in events:
            if isinstance(event, Executed):
                has_fills = True
                if event.execution not in self._booked:
                    self.book.apply(event.execution)
                self.executions.append(event.execution)
            elif isinstance(event, OrderChanged):
                self.orders[event.order.perm_id] = event.order
            for client in self._hearing(event):
                outgoing.setdefault(client, []).extend(bodies(client, event))
        for client, messages in outgoing.items():
            client.send(*messages)
        if has_fills:
            self._book_changed()

    def _book_changed(self) -> None:
        for client in list(self._hub.sessions.values()):
            client.account_streams.book_changed()

    def _hearing(self, event: Event) -> list[Peer]:
        sessions = list(self._hub.sessions.values())
        if isinstance(event, Refused):
            return [client for client in sessions if client.client_id == event.client_id]
        if isinstance(event, Previewed):
            return [client for client in sessions if client.client_id == event.order.client_id]
        order = event.order if isinstance(event, OrderChanged) else event.execution.order
        return [client for client in sessions if self.may_see(client, order)]
