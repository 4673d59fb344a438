"""Errors that name an order: what they say of it, and what the broker says when it is asked.

The client library ends an order at most codes, also at notes about orders that the broker works. Here only a refusal of
an order that was never working ends it. In all other cases open and completed orders are asked for, and believed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable
from typing import Any

from ibkr.core.codes import OrderWord, order_word
from ibkr.core.orders import SentOrders
from ibkr.core.startup import COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS
from ibkr.session.backend import log_entry_class
from ibkr.session.orders.trades import Trades
from ibkr.session.orders.views import sent_order
from ibkr.session.telling import kept_apart

_ASKED = frozenset({OPEN_ORDERS, COMPLETED_ORDERS, EXECUTIONS})
_EVERY = 1.0
"""Seconds from one request for the broker's list of orders to the next."""
_AT_FIRST = 0.1
"""Seconds for a status to follow the code by itself, as it does after 202."""
_LOOKS = 2
"""So often an order is looked for: on its way from one list to the other it may be in neither."""


class OrderErrors:
    """Takes errors about orders in place of the library.

    ``ask`` sends the start-up requests of these names again, with executions behind them; they are waited for
    ``patience`` seconds. ``on_unconfirmed`` is called when an order was not found.
    """

    def __init__(
        self,
        ib: Any,
        sent: SentOrders,
        trades: Trades,
        ask: Callable[[tuple[str, ...]], None],
        patience: float,
        on_unconfirmed: Callable[[], None],
    ) -> None:
        self._ib, self._client, self._wrapper = ib, ib.client, ib.wrapper
        self._sent, self._trades = sent, trades
        self._ask, self._patience, self._on_unconfirmed = ask, patience, on_unconfirmed
        self._log_entry = log_entry_class(ib)
        self._changed: set[int] = set()
        self._looks: dict[Hashable, int] = {}
        self._awaited: set[str] = set()
        self._asked_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    def sent_again(self, order_id: int) -> None:
        """A change to this order, or a cancel of it, was sent: a refusal may be about that."""
        self._changed.add(order_id)

    def received(self, req_id: int, code: int, text: str, advanced: str) -> bool:
        """Take an error; False if it names no order of ours, so that the library may have it."""
        key = (self._client.clientId, req_id)
        trade = self._wrapper.trades.get(key)
        if trade is None or req_id in self._wrapper._futures:
            return False
        word = order_word(code)
        if advanced:
            trade.advancedError = advanced
        if not trade.isDone():
            self._heard(key, trade, word, code, f"{_TITLES[word]} {code}, reqId {req_id}: {text}")
        kept_apart(self._ib.errorEvent.emit, req_id, code, text, trade.contract)
        return True

    def answered(self, name: str) -> None:
        """A start-up request, asked for here or not, is answered."""
        if name in self._awaited:
            self._awaited.remove(name)
            if not self._awaited:
                self._stop_timer()
                self._compare()
        elif self._looks and self._timer is None:  # it was late, or unreadable
            self._ask_in_turn()

    def caught_up(self) -> None:
        """Start-up has told what became of orders, or nothing was missed: look up those that are still in doubt."""
        if self._looks and self._timer is None:
            self._ask_in_turn()

    def doubt_all(self) -> None:
        """Something about an order of ours was missed: look all of them up that live."""
        for key, trade in list(self._wrapper.trades.items()):
            if trade.order.clientId == self._client.clientId and not trade.isDone():
                self._look_up(key, trade)

    def session_ended(self) -> None:
        """The next start-up tells what became of orders."""
        self._stop_timer()
        self._changed.clear()
        self._looks.clear()
        self._awaited.clear()
        self._asked_at = -math.inf

    def _heard(self, key: tuple[int, int], trade: Any, word: OrderWord, code: int, words: str) -> None:
        is_known = self._trades.is_working(key, trade) or self._sent.is_unconfirmed(key[1])
        is_new = not is_known and key[1] not in self._changed
        if word is OrderWord.REFUSAL and is_new:
            self._end(key[1], trade, code, words)
            return
        self._log(trade, code, words)
        if word is not OrderWord.NOTE:
            self._look_up(key, trade)

    def _end(self, order_id: int, trade: Any, code: int, words: str) -> None:
        """The broker has not taken the order."""
        self._sent.acknowledged(order_id)
        trade.orderStatus.status = "Cancelled"
        self._log(trade, code, words)
        for event in (self._ib.orderStatusEvent, trade.statusEvent, trade.cancelledEvent):
            kept_apart(event.emit, trade)

    def _log(self, trade: Any, code: int, words: str) -> None:
        trade.log.append(self._log_entry(self._wrapper.lastTime, trade.orderStatus.status, words, code))
        self._wrapper._logger.warning("%s, %s", words, trade.order)

    def _look_up(self, key: Hashable, trade: Any) -> None:
        self._looks[key] = _LOOKS
        self._trades.look_up(key, trade)
        if self._timer is None:
            self._ask_in_turn()

    def _ask_in_turn(self) -> None:
        """Ask in a moment, but not within a second after the last time; in an outage, once start-up has told its part.

        To ask anew while the answers of start-up arrive would take them for outdated.
        """
        if self._trades.is_behind:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(_AT_FIRST, self._asked_at + _EVERY - loop.time()), self._ask_now)

    def _ask_now(self) -> None:
        self._timer = None
        if self._trades.is_behind:
            return
        trades = {key: trade for key in self._looks if (trade := self._wrapper.trades.get(key)) and not trade.isDone()}
        self._looks = {key: self._looks[key] for key in trades}
        if not self._looks:
            self._trades.tell_fills()
            return
        loop = asyncio.get_running_loop()
        self._asked_at = loop.time()
        for key, trade in trades.items():
            self._trades.look_up(key, trade)
        self._awaited = set(_ASKED)
        self._timer = loop.call_later(self._patience, self._compare)
        self._ask((OPEN_ORDERS, COMPLETED_ORDERS))

    def _compare(self) -> None:
        """All answers are there, or late: an order that is in none of them is unconfirmed."""
        self._timer = None
        self._trades.tell_fills()
        looks, self._looks = self._looks, {}
        is_answered = not self._awaited
        self._awaited.clear()
        for key, left in looks.items():
            trade = self._wrapper.trades.get(key)
            if trade is None or self._trades.is_told(key, trade):
                continue
            if left > 1 and is_answered:
                self._looks[key] = left - 1
            elif not self._sent.is_pending(trade.order.orderId):
                order = sent_order(trade.order.orderId, trade.contract, trade.order, has_left=True)
                self._sent.lost_sight(order, trade.order.permId)
                self._on_unconfirmed()
        if self._looks:
            self._ask_in_turn()
        if not is_answered:
            self._looks = looks

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_TITLES = {OrderWord.NOTE: "Warning", OrderWord.REFUSAL: "Error", OrderWord.DOUBT: "Error"}
