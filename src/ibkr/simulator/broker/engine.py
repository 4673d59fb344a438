"""The life of orders: placed, transmitted, triggered, filled, cancelled. Each step returns what is to be told."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from ibkr.simulator.broker import checks
from ibkr.simulator.broker.book import Book
from ibkr.simulator.broker.charges import commission, multiplier_of
from ibkr.simulator.broker.combo import combo_quote
from ibkr.simulator.broker.events import Charged, Event, Executed, OrderChanged, Previewed, Refused
from ibkr.simulator.broker.fills import executions_of
from ibkr.simulator.broker.order import (
    CANCELLED,
    EXERCISE,
    FILLED,
    INACTIVE,
    PENDING_SUBMIT,
    PRE_SUBMITTED,
    SUBMITTED,
    Order,
)
from ibkr.simulator.broker.order_store import OrderStore
from ibkr.simulator.broker.order_types import MARKET_TO_LIMIT
from ibkr.simulator.broker.pricing import is_reached, trade_price, trade_size, with_prices
from ibkr.simulator.market.combos import Leg
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote

_FIRST_PERM_ID = 1_580_482_311
_FIRST_EXECUTION = 0x63F8F39C

_OCA_CANCEL, _OCA_REDUCE = 1, 3


class Engine(OrderStore):
    """What happens to orders, and the book that their executions leave.

    With `partial_fills` an order gets no more at once than the size that is quoted. `clock` gives
    seconds since the epoch.
    """

    def __init__(
        self, book: Book, quote_of: Callable[[Instrument], Quote], clock: Callable[[], float], partial_fills: bool
    ) -> None:
        super().__init__(clock)
        self.book = book
        self._quote_of = quote_of
        self._partial_fills = partial_fills
        self._perm_ids = itertools.count(_FIRST_PERM_ID)
        self._execution_ids = itertools.count(_FIRST_EXECUTION)

    # --- what clients ask for --------------------------------------------------------------------

    def place(self, order: Order) -> Order | Refused:
        """Take a new order, or new terms for one; nothing leaves for the market yet, see `transmit`.

        `order` carries the wish; its perm id is given here. What is refused is not kept.
        """
        standing = self.find(order.client_id, order.order_id)
        wrong = self._refusal(order, standing)
        if wrong:
            return Refused(order.client_id, order.order_id, *wrong)
        if standing and (reason := checks.margin_refusal(replace(standing, terms=order.terms), self.book)):
            return Refused(order.client_id, order.order_id, 201, f"Order rejected - reason:{reason}")
        if standing and standing.status != PENDING_SUBMIT and not order.terms.transmit:
            return standing  # the change stays in TWS
        if standing:
            terms = replace(order.terms, oca_group=standing.terms.oca_group, oca_type=standing.terms.oca_type)
            # Stop and limit are found anew, since they may follow from the terms.
            return self._keep(replace(standing, terms=terms, stop_price=None, limit_price=None))
        parent = self.find(order.client_id, order.terms.parent_id) if order.terms.parent_id else None
        if parent:
            group = order.terms.oca_group or str(parent.perm_id)
            terms = replace(order.terms, oca_group=group, oca_type=order.terms.oca_type or _OCA_REDUCE)
            order = replace(order, terms=terms, parent_perm_id=parent.perm_id)
        return self._keep(replace(order, perm_id=next(self._perm_ids)))

    def _refusal(self, order: Order, standing: Order | None) -> tuple[int, str] | None:
        terms = order.terms
        if standing and not standing.is_live:
            return checks.IS_FILLED if standing.status == FILLED else checks.DUPLICATE
        if standing and (standing.instrument.con_id, standing.action) != (order.instrument.con_id, terms.action):
            return checks.NOT_THE_SAME
        if standing and terms.oca_group not in ("", standing.terms.oca_group):
            return checks.OCA_REVISED
        if standing and terms.quantity <= standing.filled:
            return checks.NOT_THE_SAME
        if not standing and order.order_id and order.order_id <= self.highest_id(order.client_id):
            return checks.DUPLICATE
        if terms.parent_id and (wrong := self._parent_refusal(order, standing)):
            return wrong
        return checks.refusal(terms, order.instrument)

    def _parent_refusal(self, order: Order, standing: Order | None) -> tuple[int, str] | None:
        parent = self.find(order.client_id, order.terms.parent_id)
        if standing:
            return None if parent else checks.no_such_order(order.terms.parent_id)
        return checks.NO_PARENT if parent is None or parent.status in (CANCELLED, INACTIVE) else None

    def preview(self, order: Order) -> list[Event]:
        """What a whatIf order would do to the margin; it is not kept."""
        if wrong := checks.refusal(order.terms, order.instrument):
            return [Refused(order.client_id, order.order_id, *wrong)]
        parts = [(item, abs(count)) for item, count in order.changes(order.quantity)]
        limit = None if order.legs else order.terms.limit_price
        fees = [commission(item, count, limit or self.book.price(item)) for item, count in parts]
        return [
            Previewed(
                replace(order, perm_id=next(self._perm_ids), status=PRE_SUBMITTED),
                self.book.margin(order.account),
                self.book.margin(order.account, order.changes(order.quantity)),
                self.book.net_liquidation(order.account),
                round(sum(fees), 4),
            )
        ]

    def transmit(self, perm_id: int) -> list[Event]:
        """Let an order go that was placed or modified, with those that wait for it to complete a bracket."""
        order = self.orders[perm_id]
        if not order.terms.transmit:
            return []
        if order.status != PENDING_SUBMIT:
            order = self._keep(with_prices(order, self.quote_for(order)))
            return [OrderChanged(order), *self._work(order)]
        family = order.parent_perm_id or order.perm_id
        events: list[Event] = []
        for waiting in self._not_ended():
            item = self.orders[waiting.perm_id]  # the end of a parent may have ended it just now
            if item.status == PENDING_SUBMIT and family in (item.perm_id, item.parent_perm_id):
                events += self._submit(item)
        return events

    def exercise(self, order: Order, underlying: Instrument, is_forced: bool) -> list[Event]:
        """Take an instruction about an option that is held. A fill by hand carries it out.

        With `is_forced`, an option out of the money can be exercised, and one in the money can lapse.
        """
        held = self.book.position(order.account, order.instrument.con_id)
        quantity = held.quantity if held else 0.0
        above = self._quote_of(underlying).last - order.instrument.strike
        is_in_money = above > 0 if order.instrument.right == "C" else above < 0
        wrong = checks.exercise_refusal(order, quantity, is_in_money or is_forced, not is_in_money or is_forced)
        if self.find(order.client_id, order.order_id):
            wrong = checks.DUPLICATE
        if wrong:
            return [Refused(order.client_id, order.order_id, *wrong)]
        leg = Leg(underlying, int(multiplier_of(order.instrument)), 1 if order.instrument.right == "C" else -1)
        placed = replace(
            order,
            perm_id=next(self._perm_ids),
            status=PRE_SUBMITTED,
            limit_price=0.0,
            terms=replace(order.terms, quantity=min(order.quantity, quantity)),
            legs=(leg,) if order.exercise == EXERCISE else (),
        )
        return [OrderChanged(self._keep(placed))]

    def cancel(self, perm_id: int, reason: str = "") -> list[Event]:
        """End an order, and the children that wait for it."""
        order = self.orders[perm_id]
        if not order.is_live:
            return [Refused(order.client_id, order.order_id, *checks.not_cancellable(order))]
        order = self._end(order, CANCELLED, reason)
        text = f"Order Canceled - reason:{reason}"
        events: list[Event] = []
        if order.exercise:
            events.append(Refused(order.client_id, order.order_id, *checks.EXERCISE_FAILED))
        events.append(OrderChanged(order, is_status_only=True))
        events.append(Refused(order.client_id, order.order_id, 202, text))
        return events + self._cancel_children(order)

    def reject(self, perm_id: int, reason: str, error: tuple[int, str] | None = None) -> list[Event]:
        """Reject an order at the exchange or the broker, with 201 or another error.

        Real gateways report an order before they reject it, and the code before the status (ib_insync issue 554).
        """
        order = self.orders[perm_id]
        events: list[Event] = [OrderChanged(order)] if order.status == PENDING_SUBMIT else []
        error = error or (201, f"Order rejected - reason:{reason}")
        events.append(Refused(order.client_id, order.order_id, *error))
        order = self._end(order, INACTIVE, reason)
        return [*events, OrderChanged(order), *self._cancel_children(order)]

    def bind(self, perm_id: int, order_id: int) -> Order:
        """Give an order that was entered in TWS an id, by which client 0 can change it."""
        return self._keep(replace(self.orders[perm_id], order_id=order_id))

    # --- what the market does --------------------------------------------------------------------

    def quoted(self, instrument: Instrument) -> list[Event]:
        """The instrument has a new quote: orders are triggered and filled."""
        working = [
            item.perm_id
            for item in self._not_ended()
            if item.is_working and instrument.con_id in [traded.con_id for traded in item.instruments]
        ]
        # By id: the fill of one may have ended another of them.
        return [event for perm_id in working for event in self._work(self.orders[perm_id])]

    def fill(self, perm_id: int, shares: float, price: float) -> list[Event]:
        """An execution. It moves the book, lets children go, and ends or reduces the others of an OCA group."""
        order = self.orders[perm_id]
        filled = order.filled + shares
        average = (order.filled * order.average_price + shares * price) / filled
        order = self._keep(
            replace(order, filled=filled, average_price=round(average, 8), last_price=price, status=SUBMITTED)
        )
        if order.order_type == MARKET_TO_LIMIT and order.limit_price is None:
            order = self._keep(replace(order, limit_price=price))
        if not order.remaining:
            order = self._end(order, FILLED, "")
        number = next(self._execution_ids)
        found = executions_of(order, shares, price, self._quote_of, self.executions)
        executions = [
            self.book.apply(replace(item, exec_id=f"0000e0d5.{number:08x}.{part:02}.01", time=self._clock()))
            for part, item in enumerate(found, start=1)
        ]
        self.executions += executions
        charged = executions[1:] if order.legs and not order.exercise else executions
        events: list[Event] = [Executed(execution) for execution in executions]
        events += [OrderChanged(order), *(Charged(execution) for execution in charged)]
        return events + self._after_fill(order, shares)

    # --- parts -----------------------------------------------------------------------------------

    def quote_for(self, order: Order) -> Quote:
        """What the market quotes for an order: of a combination, that of all its legs."""
        if order.legs and not order.exercise:
            return combo_quote(order.legs, self._quote_of)
        return self._quote_of(order.instrument)

    def _submit(self, order: Order) -> list[Event]:
        if reason := checks.limit_refusal(order, self.live()) or checks.margin_refusal(order, self.book):
            return self.reject(order.perm_id, reason)
        order = with_prices(order, self.quote_for(order))
        order = self._keep(replace(order, status=PRE_SUBMITTED, is_held=self._has_to_wait(order)))
        return [OrderChanged(order), *self._work(order)]

    def _work(self, order: Order) -> list[Event]:
        if not order.is_working or order.is_held or order.terms.is_held_back or order.exercise:
            return []
        quote = self.quote_for(order)
        events: list[Event] = []
        if not order.is_triggered:
            order = self._keep(with_prices(order, quote))
        if order.terms.has_trigger and not order.is_triggered:
            if not is_reached(order, quote):
                return []
            order = self._keep(replace(order, is_triggered=True))
        price = trade_price(order, quote)
        shares = trade_size(order, quote) if self._partial_fills else order.remaining
        if price is not None and shares and not (order.terms.tif == "FOK" and shares < order.remaining):
            events += self.fill(order.perm_id, shares, price)
        elif order.status == PRE_SUBMITTED:
            events.append(OrderChanged(self._keep(replace(order, status=SUBMITTED))))
        order = self.orders[order.perm_id]
        if order.is_working and order.terms.tif in ("IOC", "FOK"):
            events += self.cancel(order.perm_id)
        return events

    def _has_to_wait(self, order: Order) -> bool:
        parent = self.orders.get(order.parent_perm_id)
        return parent is not None and parent.status != FILLED

    def _after_fill(self, order: Order, shares: float) -> list[Event]:
        events: list[Event] = []
        for perm_id in list(self._live):
            other = self.orders[perm_id]
            if perm_id == order.perm_id or not other.is_live:
                continue
            if other.parent_perm_id == order.perm_id and order.status == FILLED:
                other = self._keep(replace(other, is_held=False))
                if other.is_working and (other.terms.has_trigger or other.terms.is_held_back):
                    events.append(OrderChanged(other))
                events += self._work(other)
            elif _is_one_group(other, order):
                events += self._reduce(other, order, shares)
        return events

    def _reduce(self, other: Order, filled: Order, shares: float) -> list[Event]:
        if filled.status == FILLED or filled.terms.oca_type == _OCA_CANCEL:
            return self.cancel(other.perm_id)
        left = round(other.remaining * filled.remaining / (filled.remaining + shares))
        if not left:
            return self.cancel(other.perm_id)
        terms = replace(other.terms, quantity=other.filled + left)
        return [OrderChanged(self._keep(replace(other, terms=terms)))]

    def _cancel_children(self, order: Order) -> list[Event]:
        children = [item for item in self._not_ended() if item.parent_perm_id == order.perm_id]
        return [event for child in children for event in self.cancel(child.perm_id)]


def _is_one_group(one: Order, other: Order) -> bool:
    group = one.terms.oca_group
    return group != "" and (group, one.account) == (other.terms.oca_group, other.account)
