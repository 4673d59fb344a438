"""Handles errors that name an order, and looks up the order at the broker.

The client library ends an order on most codes, even on notes about orders that are active at the broker. Here, only a
refusal ends an order, and only if the order was never active. In all other cases, open and completed orders are
requested, and their answers decide.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ibkr.core.codes import OrderMeaning, Scope, find, is_read_only, order_meaning, parse_order_codes
from ibkr.core.policy import Policy
from ibkr.core.startup_requests import COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.error_log import call_shielded
from ibkr.session.library import Library
from ibkr.session.orders.convert import perm_id_of, sent_order
from ibkr.session.orders.order_terms import OrderKey
from ibkr.session.orders.trades import TradeTracker, is_over

if TYPE_CHECKING:
    from ib_async import Trade

_REQUESTED = frozenset({OPEN_ORDERS, COMPLETED_ORDERS, EXECUTIONS})
_LOOKUP_INTERVAL = 1.0
"""Seconds between requests for the broker's lists of orders."""
_FIRST_DELAY = 0.1
"""Seconds in which a status usually follows the code, as it does after 202."""
_NO_ID = -1
"""The id in an error that is about no request and no order. It is also the id of an order that client 0 has bound."""
_ATTEMPTS = 2
"""How often an order is looked up. While an order moves from one list to the other, it may be in neither list."""


class OrderErrorHandler:
    """Handles errors about orders instead of the library.

    Args:
        library: The client library's objects.
        sent: Orders that the gateway has not acknowledged.
        trades: The library's trades.
        request: Sends these start-up requests again, and then the request for executions. The answers must come within
            ``policy.request_timeout`` seconds.
        policy: The policy.
        on_unconfirmed: Called when an order was not found.
    """

    def __init__(
        self,
        library: Library,
        sent: UnacknowledgedOrders,
        trades: TradeTracker,
        request: Callable[[tuple[str, ...]], None],
        policy: Policy,
        on_unconfirmed: Callable[[], None],
    ) -> None:
        self._ib, self._client, self._wrapper = library.ib, library.client, library.wrapper
        self._sent, self._trades = sent, trades
        self._request, self._on_unconfirmed = request, on_unconfirmed
        self._timeout, self._words = policy.request_timeout, parse_order_codes(policy.order_codes)
        self._log_entry = library.log_entry
        self._changed: set[int] = set()
        self._lookups: dict[OrderKey, int] = {}
        self._awaited: set[str] = set()
        self._requested_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    def change_sent(self, order_id: int) -> None:
        """Note that a change or a cancel of this order was sent. A later refusal may be about this change."""
        self._changed.add(order_id)

    def handle(self, req_id: int, code: int, text: str, advanced: str) -> bool:
        """Handle an error. Returns False if it names no order of ours, so that the library handles it."""
        if not self._is_about_order(req_id, code):
            return False
        key = self._wrapper.own_order_key(req_id)
        trade = self._wrapper.trades.get(key)
        is_over = trade is None and req_id != _NO_ID and order_meaning(code, self._words).ends_new
        if is_over and self._sent.acknowledged(req_id):
            self._on_unconfirmed()  # an exercise has no trade before the gateway has reported it
        if trade is None or req_id in self._wrapper.futures:
            return False
        word = order_meaning(code, self._words)
        if advanced:
            trade.advancedError = advanced
        if not trade.isDone():
            self._apply(
                key,
                req_id,
                trade,
                word,
                code,
                f"{'Warning' if word is OrderMeaning.NOTE else 'Error'} {code}, reqId {req_id}: {text}",
            )
        call_shielded(self._ib.errorEvent.emit, req_id, code, text, trade.contract)
        return True

    def _is_about_order(self, req_id: int, code: int) -> bool:
        """Whether an error with this id may be about an order. IB uses many codes for a change that is not valid."""
        if req_id != _NO_ID:
            return True
        row = find(code)
        scope = Scope.REQUEST if row is None else row.scope
        return scope is Scope.ORDER or (scope is Scope.REQUEST and req_id in self._changed)

    def answered(self, name: str) -> None:
        """Handle the answer to a start-up request. The request may be ours or the program's."""
        if name in self._awaited:
            self._awaited.remove(name)
            if not self._awaited:
                self._stop_timer()
                self._check_lookups()
        elif self._lookups and self._timer is None:  # the answer was late, or unreadable
            self._schedule_lookup()

    def startup_finished(self) -> None:
        """Handle the end of start-up: it has reported what happened to orders, or nothing was missed.

        Look up the orders whose state is still unknown.
        """
        if self._lookups and self._timer is None:
            self._schedule_lookup()

    def look_up_all(self) -> None:
        """Look up all live orders, because a message about one of them was missed."""
        for key, trade in list(self._wrapper.trades.items()):
            if trade.order.clientId == self._client.clientId and not trade.isDone():
                self.look_up(key, trade)

    def look_up(self, key: OrderKey, trade: Trade) -> None:
        """Look up an order at the broker soon, but not if its trade ends before that."""
        self._lookups[key] = _ATTEMPTS
        self._trades.look_up(key, trade)
        if self._timer is None:
            self._schedule_lookup()

    def expect_end(self, key: OrderKey, trade: Trade) -> None:
        """Look up an order that has ended. Its status may still come, or never."""
        if key in self._lookups:
            self._trades.look_up(key, trade)  # answers from before the end do not count
        else:
            self.look_up(key, trade)

    def session_ended(self) -> None:
        """Stop all lookups. The next start-up will report what happened to orders."""
        self._stop_timer()
        self._changed.clear()
        self._lookups.clear()
        self._awaited.clear()
        self._requested_at = -math.inf

    def _apply(self, key: OrderKey, order_id: int, trade: Trade, word: OrderMeaning, code: int, words: str) -> None:
        is_known = self._trades.is_working(key, trade) or self._sent.is_of_ended_session(order_id)
        is_new = order_id > 0 and not is_known and order_id not in self._changed  # below 0: it was entered in TWS
        if word.ends_new and is_new:
            self._end(order_id, trade, code, words)
            return
        self._log(trade, code, words)
        if word is not OrderMeaning.NOTE and not is_read_only(code, words):  # a read-only API does not answer a look-up
            self.look_up(key, trade)

    def _end(self, order_id: int, trade: Trade, code: int, words: str) -> None:
        """End the order, because the broker has not accepted it."""
        was_unconfirmed = self._sent.acknowledged(order_id)
        trade.orderStatus.status = "Cancelled"
        self._log(trade, code, words)
        for event in (self._ib.orderStatusEvent, trade.statusEvent, trade.cancelledEvent):
            call_shielded(event.emit, trade)
        if was_unconfirmed:
            self._on_unconfirmed()

    def _log(self, trade: Trade, code: int, words: str) -> None:
        trade.log.append(self._log_entry(self._wrapper.lastTime, trade.orderStatus.status, words, code))
        self._wrapper.logger.warning("%s, %s", words, trade.order)

    def _schedule_lookup(self) -> None:
        """Request the lists soon, but not within a second of the last request.

        During an outage, wait for start-up: a new request would make start-up's own answers outdated.
        """
        if self._trades.in_outage:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            max(_FIRST_DELAY, self._requested_at + _LOOKUP_INTERVAL - loop.time()), self._send_lookup
        )

    def _send_lookup(self) -> None:
        self._timer = None
        if self._trades.in_outage:
            return
        trades = {
            key: trade for key in self._lookups if (trade := self._wrapper.trades.get(key)) and not is_over(trade)
        }
        self._lookups = {key: self._lookups[key] for key in trades}
        if not self._lookups:
            self._trades.report_fills()
            return
        loop = asyncio.get_running_loop()
        self._requested_at = loop.time()
        for key, trade in trades.items():
            self._trades.look_up(key, trade)
        self._awaited = set(_REQUESTED)
        self._timer = loop.call_later(self._timeout, self._check_lookups)
        self._request((OPEN_ORDERS, COMPLETED_ORDERS))

    def _check_lookups(self) -> None:
        """Check the lookups when all answers have come or are late. An order in none of them is unconfirmed."""
        self._timer = None
        self._trades.report_fills()
        lookups, self._lookups = self._lookups, {}
        is_answered, knows_open = not self._awaited, OPEN_ORDERS not in self._awaited
        self._awaited.clear()
        for key, left in lookups.items():
            trade = self._wrapper.trades.get(key)
            if trade is None or is_over(trade) or (knows_open and self._trades.resolve(key, trade)):
                continue
            if left > 1 and is_answered:
                self._lookups[key] = left - 1
            elif self._is_lost(trade):
                order = self._trades.terms.with_sent_terms(key, trade.order)
                sent = sent_order(trade.order.orderId, trade.contract, order, has_left=True)
                self._sent.mark_lost(sent, perm_id_of(trade))
                self._on_unconfirmed()
        if self._lookups:
            self._schedule_lookup()
        if not is_answered:
            self._lookups = lookups

    def _is_lost(self, trade: Trade) -> bool:
        """Whether an order that was in no answer is one that this program has to ask about."""
        is_own = trade.order.clientId == self._client.clientId
        return is_own and not trade.isDone() and not self._sent.is_pending(trade.order.orderId)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
