"""`OrderEngine`: orders are placed, transmitted, triggered, filled, cancelled. Each step returns events."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from ibkr.simulator.broker import order_checks
from ibkr.simulator.broker.fills import fill_executions, fill_price, fill_size, is_triggered_by, update_prices
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
from ibkr.simulator.broker.order_events import Charged, Executed, OrderChanged, OrderEvent, OrderNotice, Previewed
from ibkr.simulator.broker.order_store import OrderStore
from ibkr.simulator.broker.order_types import MARKET_TO_LIMIT
from ibkr.simulator.broker.portfolio import Portfolio, commission, multiplier_of
from ibkr.simulator.market.combos import Leg, combo_quote
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote

_FIRST_PERM_ID = 1_580_482_311
_FIRST_EXECUTION = 0x63F8F39C

_OCA_CANCEL, _OCA_REDUCE = 1, 3


class OrderEngine(OrderStore):
    """The orders of the broker, and the portfolio that their executions change.

    With `partial_fills`, one fill is at most as large as the quoted size. `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        quote_of: Callable[[Instrument], Quote],
        clock: Callable[[], float],
        partial_fills: bool,
    ) -> None:
        super().__init__(clock)
        self.portfolio = portfolio
        self._quote_of = quote_of
        self._partial_fills = partial_fills
        self._perm_ids = itertools.count(_FIRST_PERM_ID)
        self._execution_ids = itertools.count(_FIRST_EXECUTION)

    # --- requests of clients ----------------------------------------------------------------------

    def place(self, order: Order) -> Order | OrderNotice:
        """Accept a new order, or new terms for an existing order. Call `transmit` to send it to the market.

        The engine sets the perm id. A refused order is not kept.
        """
        existing = self.find(order.client_id, order.order_id)
        wrong = self._refusal(order, existing)
        if wrong:
            return OrderNotice(order.client_id, order.order_id, *wrong)
        if existing and (reason := order_checks.margin_refusal(replace(existing, terms=order.terms), self.portfolio)):
            return OrderNotice(order.client_id, order.order_id, 201, f"Order rejected - reason:{reason}")
        if existing and existing.status != PENDING_SUBMIT and not order.terms.transmit:
            return existing  # TWS keeps the change, and does not send it to the market
        if existing:
            terms = replace(order.terms, oca_group=existing.terms.oca_group, oca_type=existing.terms.oca_type)
            # Remove the stop price and the limit price: both are computed again, because they can depend on the terms.
            return self._store(replace(existing, terms=terms, stop_price=None, limit_price=None))
        parent = self.find(order.client_id, order.terms.parent_id) if order.terms.parent_id else None
        if parent:
            group = order.terms.oca_group or str(parent.perm_id)
            terms = replace(order.terms, oca_group=group, oca_type=order.terms.oca_type or _OCA_REDUCE)
            order = replace(order, terms=terms, parent_perm_id=parent.perm_id)
        return self._store(replace(order, perm_id=next(self._perm_ids)))

    def _refusal(self, order: Order, existing: Order | None) -> tuple[int, str] | None:
        terms = order.terms
        if existing and not existing.is_live:
            return order_checks.IS_FILLED if existing.status == FILLED else order_checks.DUPLICATE
        if existing and (existing.instrument.con_id, existing.action) != (order.instrument.con_id, terms.action):
            return order_checks.NOT_THE_SAME
        if existing and terms.oca_group not in ("", existing.terms.oca_group):
            return order_checks.OCA_REVISED
        if existing and terms.quantity <= existing.filled:
            return order_checks.NOT_THE_SAME
        if not existing and order.order_id and order.order_id <= self.highest_id(order.client_id):
            return order_checks.DUPLICATE
        if terms.parent_id and (wrong := self._parent_refusal(order, existing)):
            return wrong
        return order_checks.refusal(terms, order.instrument)

    def _parent_refusal(self, order: Order, existing: Order | None) -> tuple[int, str] | None:
        parent = self.find(order.client_id, order.terms.parent_id)
        if existing:
            return None if parent else order_checks.no_such_order(order.terms.parent_id)
        return order_checks.NO_PARENT if parent is None or parent.status in (CANCELLED, INACTIVE) else None

    def preview(self, order: Order) -> list[OrderEvent]:
        """Return what a whatIf order would do to the margin. The order is not kept."""
        if wrong := order_checks.refusal(order.terms, order.instrument):
            return [OrderNotice(order.client_id, order.order_id, *wrong)]
        parts = [(item, abs(count)) for item, count in order.changes(order.quantity)]
        limit = None if order.legs else order.terms.limit_price
        fees = [commission(item, count, limit or self.portfolio.price(item)) for item, count in parts]
        return [
            Previewed(
                replace(order, perm_id=next(self._perm_ids), status=PRE_SUBMITTED),
                self.portfolio.margin(order.account),
                self.portfolio.margin(order.account, order.changes(order.quantity)),
                self.portfolio.net_liquidation(order.account),
                round(sum(fees), 4),
            )
        ]

    def transmit(self, perm_id: int) -> list[OrderEvent]:
        """Send a new or changed order to the market, with the waiting orders of its bracket."""
        order = self.orders[perm_id]
        if not order.terms.transmit:
            return []
        if order.status != PENDING_SUBMIT:
            order = self._store(update_prices(order, self.quote_for(order)))
            return [OrderChanged(order), *self._execute(order)]
        family = order.parent_perm_id or order.perm_id
        events: list[OrderEvent] = []
        for waiting in self._active():
            item = self.orders[waiting.perm_id]  # read again: this loop may have ended it with its parent
            if item.status == PENDING_SUBMIT and family in (item.perm_id, item.parent_perm_id):
                events += self._submit(item)
        return events

    def exercise(self, order: Order, underlying: Instrument, is_forced: bool) -> list[OrderEvent]:
        """Accept an instruction about an option position. `fill` carries it out.

        With `is_forced`, an option out of the money can be exercised, and an option in the money can lapse.
        """
        held = self.portfolio.position(order.account, order.instrument.con_id)
        quantity = held.quantity if held else 0.0
        above = self._quote_of(underlying).last - order.instrument.strike
        is_in_money = above > 0 if order.instrument.right == "C" else above < 0
        wrong = order_checks.exercise_refusal(order, quantity, is_in_money or is_forced, not is_in_money or is_forced)
        if self.find(order.client_id, order.order_id):
            wrong = order_checks.DUPLICATE
        if wrong:
            return [OrderNotice(order.client_id, order.order_id, *wrong)]
        leg = Leg(underlying, int(multiplier_of(order.instrument)), 1 if order.instrument.right == "C" else -1)
        placed = replace(
            order,
            perm_id=next(self._perm_ids),
            status=PRE_SUBMITTED,
            limit_price=0.0,
            terms=replace(order.terms, quantity=min(order.quantity, quantity)),
            legs=(leg,) if order.exercise == EXERCISE else (),
        )
        return [OrderChanged(self._store(placed))]

    def cancel(self, perm_id: int, reason: str = "") -> list[OrderEvent]:
        """Cancel an order, and the children that wait for it."""
        order = self.orders[perm_id]
        if not order.is_live:
            return [OrderNotice(order.client_id, order.order_id, *order_checks.not_cancellable(order))]
        order = self._end(order, CANCELLED, reason)
        text = f"Order Canceled - reason:{reason}"
        events: list[OrderEvent] = []
        if order.exercise:
            events.append(OrderNotice(order.client_id, order.order_id, *order_checks.EXERCISE_FAILED))
        events.append(OrderChanged(order, is_status_only=True))
        events.append(OrderNotice(order.client_id, order.order_id, 202, text))
        return events + self._cancel_children(order)

    def reject(self, perm_id: int, reason: str, error: tuple[int, str] | None = None) -> list[OrderEvent]:
        """Reject an order at the exchange or the broker, with 201 or another error.

        Real gateways report an order before they reject it, and the code before the status (ib_insync issue 554).
        """
        order = self.orders[perm_id]
        events: list[OrderEvent] = [OrderChanged(order)] if order.status == PENDING_SUBMIT else []
        error = error or (201, f"Order rejected - reason:{reason}")
        events.append(OrderNotice(order.client_id, order.order_id, *error))
        order = self._end(order, INACTIVE, reason)
        return [*events, OrderChanged(order), *self._cancel_children(order)]

    def bind(self, perm_id: int, order_id: int) -> Order:
        """Give an id to an order that was entered in TWS. With this id, client 0 can change the order."""
        return self._store(replace(self.orders[perm_id], order_id=order_id))

    # --- the market -------------------------------------------------------------------------------

    def on_quote(self, instrument: Instrument) -> list[OrderEvent]:
        """Trigger and fill orders after a new quote of the instrument."""
        working = [
            item.perm_id
            for item in self._active()
            if item.is_working and instrument.con_id in [traded.con_id for traded in item.instruments]
        ]
        # Look up each order again, because the fill of one order can end another order.
        return [event for perm_id in working for event in self._execute(self.orders[perm_id])]

    def fill(self, perm_id: int, shares: float, price: float) -> list[OrderEvent]:
        """Fill an order: change the portfolio, release children, end or reduce the other orders of the OCA group."""
        order = self.orders[perm_id]
        filled = order.filled + shares
        average = (order.filled * order.average_price + shares * price) / filled
        order = self._store(
            replace(order, filled=filled, average_price=round(average, 8), last_price=price, status=SUBMITTED)
        )
        if order.order_type == MARKET_TO_LIMIT and order.limit_price is None:
            order = self._store(replace(order, limit_price=price))
        if not order.remaining:
            order = self._end(order, FILLED, "")
        number = next(self._execution_ids)
        found = fill_executions(order, shares, price, self._quote_of, self.executions)
        executions = [
            self.portfolio.apply(replace(item, exec_id=f"0000e0d5.{number:08x}.{part:02}.01", time=self._clock()))
            for part, item in enumerate(found, start=1)
        ]
        self.executions += executions
        charged = executions[1:] if order.legs and not order.exercise else executions
        events: list[OrderEvent] = [Executed(execution) for execution in executions]
        events += [OrderChanged(order), *(Charged(execution) for execution in charged)]
        return events + self._after_fill(order, shares)

    # --- helpers ----------------------------------------------------------------------------------

    def quote_for(self, order: Order) -> Quote:
        """Return the market's quote for an order. For a combination, compute it from the legs' quotes."""
        if order.legs and not order.exercise:
            return combo_quote(order.legs, self._quote_of)
        return self._quote_of(order.instrument)

    def _submit(self, order: Order) -> list[OrderEvent]:
        if reason := order_checks.limit_refusal(order, self.live()) or order_checks.margin_refusal(
            order, self.portfolio
        ):
            return self.reject(order.perm_id, reason)
        order = update_prices(order, self.quote_for(order))
        order = self._store(replace(order, status=PRE_SUBMITTED, is_held=self._waits_for_parent(order)))
        return [OrderChanged(order), *self._execute(order)]

    def _execute(self, order: Order) -> list[OrderEvent]:
        if not order.is_working or order.is_held or order.terms.needs_manual_fill or order.exercise:
            return []
        quote = self.quote_for(order)
        events: list[OrderEvent] = []
        if not order.is_triggered:
            order = self._store(update_prices(order, quote))
        if order.terms.has_trigger and not order.is_triggered:
            if not is_triggered_by(order, quote):
                return []
            order = self._store(replace(order, is_triggered=True))
        price = fill_price(order, quote)
        shares = fill_size(order, quote) if self._partial_fills else order.remaining
        if price is not None and shares and not (order.terms.tif == "FOK" and shares < order.remaining):
            events += self.fill(order.perm_id, shares, price)
        elif order.status == PRE_SUBMITTED:
            events.append(OrderChanged(self._store(replace(order, status=SUBMITTED))))
        order = self.orders[order.perm_id]
        if order.is_working and order.terms.tif in ("IOC", "FOK"):
            events += self.cancel(order.perm_id)
        return events

    def _waits_for_parent(self, order: Order) -> bool:
        parent = self.orders.get(order.parent_perm_id)
        return parent is not None and parent.status != FILLED

    def _after_fill(self, order: Order, shares: float) -> list[OrderEvent]:
        events: list[OrderEvent] = []
        for perm_id in list(self._live):
            other = self.orders[perm_id]
            if perm_id == order.perm_id or not other.is_live:
                continue
            if other.parent_perm_id == order.perm_id and order.status == FILLED:
                other = self._store(replace(other, is_held=False))
                if other.is_working and (other.terms.has_trigger or other.terms.needs_manual_fill):
                    events.append(OrderChanged(other))
                events += self._execute(other)
            elif _is_one_group(other, order):
                events += self._reduce(other, order, shares)
        return events

    def _reduce(self, other: Order, filled: Order, shares: float) -> list[OrderEvent]:
        if filled.status == FILLED or filled.terms.oca_type == _OCA_CANCEL:
            return self.cancel(other.perm_id)
        left = round(other.remaining * filled.remaining / (filled.remaining + shares))
        if not left:
            return self.cancel(other.perm_id)
        terms = replace(other.terms, quantity=other.filled + left)
        return [OrderChanged(self._store(replace(other, terms=terms)))]

    def _cancel_children(self, order: Order) -> list[OrderEvent]:
        children = [item for item in self._active() if item.parent_perm_id == order.perm_id]
        return [event for child in children for event in self.cancel(child.perm_id)]


def _is_one_group(one: Order, other: Order) -> bool:
    group = one.terms.oca_group
    return group != "" and (group, one.account) == (other.terms.oca_group, other.account)
