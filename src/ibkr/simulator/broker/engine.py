"""The life of orders: placed, transmitted, triggered, filled, cancelled. Each step returns what is to be told."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from ibkr.simulator.broker import checks
from ibkr.simulator.broker.book import Book
from ibkr.simulator.broker.charges import commission
from ibkr.simulator.broker.events import Charged, Event, Executed, OrderChanged, Previewed, Refused
from ibkr.simulator.broker.order import (
    CANCELLED,
    FILLED,
    INACTIVE,
    PENDING_SUBMIT,
    PRE_SUBMITTED,
    SUBMITTED,
    Execution,
    Order,
)
from ibkr.simulator.broker.pricing import is_reached, trade_price, trade_size, with_stop
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote

_FIRST_PERM_ID = 1_580_482_311
_FIRST_EXECUTION = 0x63F8F39C

_OCA_CANCEL, _OCA_REDUCE = 1, 3


class Engine:
    """All orders and executions since it was made, and the book they leave.

    With `partial_fills` an order gets no more at once than the size that is quoted. `clock` gives
    seconds since the epoch.
    """

    def __init__(
        self, book: Book, quote_of: Callable[[Instrument], Quote], clock: Callable[[], float], partial_fills: bool
    ) -> None:
        self.book = book
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self._live: dict[int, None] = {}
        self._newest: dict[tuple[int, int], int] = {}
        self._highest: dict[int, int] = {}
        self._quote_of = quote_of
        self._clock = clock
        self._partial_fills = partial_fills
        self._perm_ids = itertools.count(_FIRST_PERM_ID)
        self._execution_ids = itertools.count(_FIRST_EXECUTION)

    # --- looking things up -----------------------------------------------------------------------

    def find(self, client_id: int, order_id: int) -> Order | None:
        """The newest order of this client with this id."""
        perm_id = self._newest.get((client_id, order_id))
        return None if perm_id is None else self.orders[perm_id]

    def highest_id(self, client_id: int) -> int:
        """The highest order id that this client has used, 0 if none."""
        return self._highest.get(client_id, 0)

    def live(self) -> list[Order]:
        """The orders that have been transmitted and have not ended, oldest first."""
        return [item for item in self._not_ended() if _is_known(item)]

    def _not_ended(self) -> list[Order]:
        return [self.orders[perm_id] for perm_id in self._live]

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
            # The stop is found anew, and so is a limit that hangs on it.
            return self._keep(replace(standing, terms=terms, stop_price=None))
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
        if not standing and terms.parent_id:
            parent = self.find(order.client_id, terms.parent_id)
            if parent is None or parent.status in (CANCELLED, INACTIVE):
                return checks.NO_PARENT
        return checks.refusal(terms, order.instrument)

    def preview(self, order: Order) -> list[Event]:
        """What a whatIf order would do to the margin; it is not kept."""
        if wrong := checks.refusal(order.terms, order.instrument):
            return [Refused(order.client_id, order.order_id, *wrong)]
        change = order.terms.sign * order.quantity
        price = order.terms.limit_price or self.book.price(order.instrument)
        return [
            Previewed(
                replace(order, perm_id=next(self._perm_ids), status=PRE_SUBMITTED),
                self.book.margin(order.account),
                self.book.margin(order.account, order.instrument, change),
                self.book.net_liquidation(order.account),
                commission(order.instrument, order.quantity, price),
            )
        ]

    def transmit(self, perm_id: int) -> list[Event]:
        """Let an order go that was placed or modified, with those that wait for it to complete a bracket."""
        order = self.orders[perm_id]
        if not order.terms.transmit:
            return []
        if order.status != PENDING_SUBMIT:
            return [OrderChanged(order), *self._work(order)]
        family = order.parent_perm_id or order.perm_id
        events: list[Event] = []
        for waiting in self._not_ended():
            item = self.orders[waiting.perm_id]  # the end of a parent may have ended it just now
            if item.status == PENDING_SUBMIT and family in (item.perm_id, item.parent_perm_id):
                events += self._submit(item)
        return events

    def cancel(self, perm_id: int, reason: str = "") -> list[Event]:
        """End an order, and the children that wait for it."""
        order = self.orders[perm_id]
        if not order.is_live:
            return [Refused(order.client_id, order.order_id, *checks.not_cancellable(order))]
        order = self._end(order, CANCELLED, reason)
        text = f"Order Canceled - reason:{reason}"
        events: list[Event] = [OrderChanged(order, is_status_only=True)]
        events.append(Refused(order.client_id, order.order_id, 202, text))
        return events + self._cancel_children(order)

    def reject(self, perm_id: int, reason: str) -> list[Event]:
        """The exchange, or the broker, does not take an order, or no longer."""
        order = self._end(self.orders[perm_id], INACTIVE, reason)
        text = f"Order rejected - reason:{reason}"
        events: list[Event] = [OrderChanged(order), Refused(order.client_id, order.order_id, 201, text)]
        return events + self._cancel_children(order)

    def bind(self, perm_id: int, order_id: int) -> Order:
        """Give an order that was entered in TWS an id, by which client 0 can change it."""
        return self._keep(replace(self.orders[perm_id], order_id=order_id))

    # --- what the market does --------------------------------------------------------------------

    def quoted(self, instrument: Instrument) -> list[Event]:
        """The instrument has a new quote: orders are triggered and filled."""
        working = [
            item.perm_id
            for item in self._not_ended()
            if item.is_working and item.instrument.con_id == instrument.con_id
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
        if not order.remaining:
            order = self._end(order, FILLED, "")
        execution = self.book.apply(
            Execution(
                f"0000e0d5.{next(self._execution_ids):08x}.01.01",
                self._clock(),
                order,
                shares,
                price,
                commission(order.instrument, shares, price),
                "NASDAQ" if order.exchange == "SMART" else order.exchange,
            )
        )
        self.executions.append(execution)
        events: list[Event] = [Executed(execution), OrderChanged(order), Charged(execution)]
        return events + self._after_fill(order, shares)

    # --- parts -----------------------------------------------------------------------------------

    def _keep(self, order: Order) -> Order:
        self.orders[order.perm_id] = order
        if order.order_id:  # those entered in TWS have none
            self._newest[order.client_id, order.order_id] = order.perm_id
        self._highest[order.client_id] = max(order.order_id, self.highest_id(order.client_id))
        if order.is_live:
            self._live[order.perm_id] = None
        else:
            self._live.pop(order.perm_id, None)
        return order

    def _end(self, order: Order, status: str, reason: str) -> Order:
        return self._keep(replace(order, status=status, reason=reason, ended_at=self._clock()))

    def _submit(self, order: Order) -> list[Event]:
        if reason := checks.limit_refusal(order, self.live()) or checks.margin_refusal(order, self.book):
            return self.reject(order.perm_id, reason)
        order = with_stop(order, self._quote_of(order.instrument))
        order = self._keep(replace(order, status=PRE_SUBMITTED, is_held=self._has_to_wait(order)))
        return [OrderChanged(order), *self._work(order)]

    def _work(self, order: Order) -> list[Event]:
        if not order.is_working or order.is_held or order.terms.is_conditional:
            return []
        quote = self._quote_of(order.instrument)
        events: list[Event] = []
        if order.terms.is_stop and not order.is_triggered:
            order = self._keep(with_stop(order, quote))
            if not is_reached(order, quote):
                return []
            order = self._keep(replace(order, is_triggered=True))
        elif not order.terms.is_stop:
            order = self._keep(with_stop(order, quote))
        price = trade_price(order, quote)
        shares = trade_size(order, quote) if self._partial_fills else order.remaining
        if price is not None and not (order.terms.tif == "FOK" and shares < order.remaining):
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
                if other.is_working and other.terms.is_stop:
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


def _is_known(order: Order) -> bool:
    """Orders that wait in TWS to be transmitted are not told of (ib_insync issues 346, 416)."""
    return order.terms.transmit or order.status != PENDING_SUBMIT


def _is_one_group(one: Order, other: Order) -> bool:
    group = one.terms.oca_group
    return group != "" and (group, one.account) == (other.terms.oca_group, other.account)
