"""Trades: the library's own objects kept through any loss, right again afterwards, each fill in them once.

Nothing is written into them but by the library's own readers of messages: of a message that nobody was there to hear it
is told by what start-up brought. Over 300 lines, because the readers of all order messages share what they know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from ibkr.core.gap import Picture, revision
from ibkr.core.orders import Execution, Order, SentOrder, SentOrders
from ibkr.session.errors import shielded
from ibkr.session.library import Library, StatusRow
from ibkr.session.orders.convert import execution_of, order_of, order_of_row, order_that_ended, position_of

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Fill, OrderState, Trade
    from ib_async import Execution as LibraryExecution
    from ib_async import Order as LibraryOrder

logger = logging.getLogger("ibkr.session")

OrderKey: TypeAlias = int | tuple[int, int]
"""The library's key of a trade: client id and order id, or the permanent id of an order placed by hand."""

_UNSET = 1.7976931348623157e308
_NO_ID = 2**31 - 1
"""What TWS tells as the order id of orders that were entered by hand."""
_WORKING = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
_ENDED = frozenset({"Cancelled", "ApiCancelled", "Inactive"})


class Trades:
    """Reads rows about orders before the library does.

    ``sent``: what waits for a word of the gateway; ``on_found(perm_id)``: an unconfirmed order is at the broker after
    all. ``hides_others``: whether rows of other clients' orders come now because we have asked for them: the program
    has not, and its own list of trades stays its own. ``is_behind``: in an outage, until start-up has told all.
    """

    def __init__(
        self, library: Library, sent: SentOrders, on_found: Callable[[int], None], hides_others: Callable[[], bool]
    ) -> None:
        self._client, self._wrapper, self._ib = library.client, library.wrapper, library.ib
        self._sent, self._on_found, self._hides_others = sent, on_found, hides_others
        self._keeps = False
        self._kept: tuple[dict[OrderKey, Trade], dict[int, Trade], dict[str, Fill]] | None = None
        self._told: set[OrderKey] = set()
        self._lost: set[OrderKey] = set()
        self._worked: set[OrderKey] = set()
        self._others: dict[int, Order] = {}
        self._ended: dict[int, Order] = {}
        self._executions: dict[str, Execution] = {}
        self._untold: list[tuple[Trade, Fill]] | None = None
        self.is_behind = False

    def begin(self) -> None:
        """An attempt begins: what there is will be kept."""
        self._keeps = True

    def before_reset(self) -> None:
        """The library is about to forget."""
        wrapper = self._wrapper
        self._kept = (wrapper.trades, wrapper.permId2Trade, wrapper.fills)

    def after_reset(self) -> None:
        """It has forgotten."""
        if self._keeps and self._kept is not None:
            self._wrapper.trades, self._wrapper.permId2Trade, self._wrapper.fills = self._kept

    def fall_behind(self) -> None:
        """From now on executions may be missed; those that are told afterwards are told to the trades by ``settle``."""
        self.is_behind = True
        if self._untold is None:
            self._untold = []

    def keep_up(self) -> None:
        """Nothing was missed after all."""
        self.is_behind = False
        self._untold = None

    def start_up(self) -> None:
        """All that is open or has ended is about to be told."""
        self._told.clear()
        self._others.clear()
        self._ended.clear()

    def release(self) -> None:
        """Nothing will be kept any more; as after the library's own disconnect there are no trades."""
        self._keeps = self.is_behind = False
        self._untold = None
        if not self._client.isReady():
            wrapper = self._wrapper
            wrapper.trades, wrapper.permId2Trade, wrapper.fills = {}, {}, {}

    def picture(self, before: Picture | None = None) -> Picture:
        """What the library knows, and what it was spared to know. Orders that have ended, of which a day may bring
        thousands, are looked at only where that was not known ``before``.
        """
        orders, over = dict(self._others), set()
        for key, trade in self._wrapper.trades.items():
            perm_id = trade.order.permId or trade.orderStatus.permId
            if not perm_id or key in self._lost:
                continue
            if (before is None or perm_id in before.ended) and trade.isDone():
                over.add(perm_id)
                continue
            order, ended = order_of(trade), self._ended.get(perm_id)
            if ended is not None:
                order = ended if key == perm_id else replace(order, ended_at=ended.ended_at)
            orders[perm_id] = order
        held = (position for account in self._wrapper.positions.values() for position in account.values())
        positions = {(each.account, each.con_id): each for each in map(position_of, held)}
        return Picture(orders, dict(self._executions), positions, over)

    def settle(self, *, knows_orders: bool) -> None:
        """Start-up has told all: what ended unheard is told now, to the trades and to whoever listens to them."""
        self.is_behind = False
        self.tell_fills()
        if knows_orders:
            self._find_by_reference()
            trades = list(self._wrapper.trades.items())
            self._lost = {key for key, trade in trades if not self._is_accounted(key, trade)}

    def tell_fills(self) -> None:
        """Tell listeners of executions that came on request. In an outage they wait until orders may be placed."""
        if self.is_behind:
            return
        untold, self._untold = self._untold, None
        for trade, fill in untold or ():
            shielded(self._ib.execDetailsEvent.emit, trade, fill)
            shielded(trade.fillEvent.emit, trade, fill)

    def is_working(self, key: OrderKey, trade: Trade) -> bool:
        """Whether the broker has worked this order: once it has, no error code alone ends it."""
        status = trade.orderStatus
        is_seen = status.status in ("PreSubmitted", "Submitted") or status.filled > 0 or bool(trade.fills)
        return is_seen or key in self._worked

    def look_up(self, key: OrderKey, trade: Trade) -> None:
        """Open and completed orders are asked for again: only what they tell from now on counts for this one."""
        self._told.discard(key)
        self._ended.pop(trade.order.permId, None)
        if self._untold is None:
            self._untold = []

    def is_told(self, key: OrderKey, trade: Trade) -> bool:
        """Whether the gateway has told what became of an order that was looked up, and the trade is right again."""
        return trade.isDone() or self._is_accounted(key, trade)

    def _is_accounted(self, key: OrderKey, trade: Trade) -> bool:
        """Whether it is known what became of it. One that has ended in the outage is told so here."""
        if trade.isDone() or key in self._told:
            return True
        ended = self._ended.get(trade.order.permId)
        if trade.order.clientId == self._client.clientId and self._sent.is_pending(trade.order.orderId):
            if ended is None:
                return True
            self._heard_of(trade.order.clientId, trade.order.orderId, trade.order.permId)
        shares = trade.filled() if ended is None else ended.filled
        told = trade.orderStatus.filled + trade.orderStatus.remaining  # the terms may be new, and not the broker's
        if ended is None and not shares >= max(told, trade.order.totalQuantity) > 0:
            return False
        last = max((fill.execution for fill in trade.fills), key=lambda each: each.cumQty, default=None)
        status, order = trade.orderStatus, trade.order
        row = StatusRow(
            order_id=order.orderId,
            status="Filled" if ended is None else ended.status,
            filled=shares,
            remaining=order.totalQuantity - shares,
            average_price=status.avgFillPrice if last is None else last.avgPrice,
            perm_id=order.permId,
            parent_id=status.parentId,
            last_price=status.lastFillPrice if last is None else last.price,
            client_id=order.clientId,
            why_held="",
            cap_price=status.mktCapPrice,
        )
        shielded(self._wrapper.read_order_status, row)
        return True

    def _find_by_reference(self) -> None:
        """Completed orders come without their order id: the program's own reference says which one it is.

        Only if no other order has the same reference, and the row is news.
        """
        for order in self._sent.unconfirmed:
            rows = [each for each in self._ended.values() if self._is_bare(each.perm_id)]
            found = [each for each in rows if order.has_left and self._sent.may_be_ended(order, each)]
            if len(found) == 1 and self._is_only_one(order, found[0]):
                trade = self._wrapper.trades.get((self._client.clientId, order.order_id))
                self._adopt(found[0].perm_id, trade)
                self._heard_of(self._client.clientId, order.order_id, found[0].perm_id)

    def _is_only_one(self, order: SentOrder, row: Order) -> bool:
        """Whether the program has given this reference to no other order, of all that is known.

        Another client may have. A fill is ours only if an execution of our own says so.
        """
        key = (self._client.clientId, order.order_id)
        others = [trade for each, trade in self._wrapper.trades.items() if each not in (key, row.perm_id)]
        if any(trade.order.orderRef == order.order_ref for trade in others):
            return False
        own = (each for each in self._executions.values() if each.client_id == self._client.clientId)
        return not row.filled or any(each.perm_id == row.perm_id for each in own)

    def _is_bare(self, perm_id: int) -> bool:
        """Whether the library knows of it from its completed row alone."""
        return self._wrapper.trades.get(perm_id) is self._wrapper.permId2Trade.get(perm_id)

    def _adopt(self, perm_id: int, trade: Trade | None) -> None:
        """This trade's order is the one of this permanent id; what the library made of its completed row goes."""
        by_id = self._wrapper.permId2Trade
        if trade is None or by_id.get(perm_id) is trade:
            return
        if self._is_bare(perm_id):
            self._wrapper.trades.pop(perm_id, None)
        by_id[perm_id] = trade
        trade.order.permId = perm_id

    def _heard_of(self, client_id: int, order_id: int, perm_id: int) -> None:
        if client_id == self._client.clientId and self._sent.acknowledged(order_id):
            self._on_found(perm_id)

    def _is_anothers(self, trade: Trade | None, perm_id: int, *, fits: bool) -> bool:
        """Whether a row with the id of this trade is about another order, which had the same id before."""
        if trade is None:
            return False
        known = trade.order.permId or trade.orderStatus.permId
        return known != perm_id if known and perm_id else not fits

    def open_order(self, order_id: int, contract: Contract, order: LibraryOrder, state: OrderState) -> None:
        """A row about an open order."""
        if order.whatIf:
            self._wrapper.read_open_order(order_id, contract, order, state)
            return
        if order.orderId == _NO_ID:
            order_id = order.orderId = 0
        key = self._wrapper.orderKey(order.clientId, order.orderId, order.permId)
        trade, row = self._wrapper.trades.get(key), order_of_row(contract, order, state)
        is_own = order.clientId == self._client.clientId
        self._sent.told(order.permId)
        if not is_own and trade is None and self._hides_others():
            self._others[order.permId] = row
            return
        if is_own and self._is_anothers(trade, order.permId, fits=self._sent.fits_order(row)):
            logger.warning("The gateway tells of another order with id %s: %s", order_id, row)
            self._others[order.permId] = row
            return
        self._told.add(key)
        self._lost.discard(key)
        self._others.pop(order.permId, None)
        if state.status in _WORKING:
            self._worked.add(key)
        self._heard_of(order.clientId, order.orderId, order.permId)
        with nullcontext() if is_own else self._client.ignoring_ids():
            self._wrapper.read_open_order(order_id, contract, order, state)

    def order_status(self, row: StatusRow) -> None:
        """A row about an order's status."""
        if row.order_id == _NO_ID:
            row = row._replace(order_id=0)
        order_id, perm_id, client_id, status = row.order_id, row.perm_id, row.client_id, row.status
        self._sent.told(perm_id)
        if perm_id in self._others:
            known = self._others[perm_id]
            self._others[perm_id] = replace(known, status=status, filled=row.filled, average_price=row.average_price)
            return
        key = self._wrapper.orderKey(client_id, order_id, perm_id)
        if client_id == self._client.clientId:
            is_over = status in _ENDED and not row.remaining
            fits = self._sent.fits_status(order_id, perm_id, row.filled + row.remaining, is_over=is_over)
            if self._is_anothers(self._wrapper.trades.get(key), perm_id, fits=fits):
                logger.warning("The gateway tells the status of another order with id %s: %s", order_id, status)
                return
            if fits:
                self._heard_of(client_id, order_id, perm_id)
        if status in _WORKING or row.filled:
            self._worked.add(key)
        self._wrapper.read_order_status(row)

    def completed_order(self, contract: Contract, order: LibraryOrder, state: OrderState) -> None:
        """A row about an order that has ended."""
        self._sent.told(order.permId)
        self._ended[order.permId] = order_that_ended(contract, order, state)
        self._wrapper.read_completed_order(contract, order, state)

    def execution(self, req_id: int, contract: Contract, execution: LibraryExecution) -> None:
        """A row about an execution."""
        wrapper, exec_id, perm_id = self._wrapper, execution.execId, execution.permId
        if execution.orderId == _NO_ID:
            execution.orderId = 0
        row = execution_of(contract, execution)
        self._sent.told(perm_id)
        self._sent.told(exec_id)
        is_new, is_replayed = exec_id not in self._executions, req_id in wrapper.futures
        is_own = execution.clientId == self._client.clientId
        fits = not is_own or self._sent.fits_execution(row, execution.cumQty)
        key = (execution.clientId, execution.orderId)
        with self._hidden(key, perm_id, fits=fits) as own:
            self._adopt(perm_id, own)
            self._wrapper.read_execution(req_id, contract, execution)
        if is_own:
            self._client.updateReqId(execution.orderId + 1)
            if fits:
                self._heard_of(execution.clientId, execution.orderId, perm_id)
        if not is_new:
            return
        self._executions[exec_id] = row
        fill, trade = wrapper.fills[exec_id], wrapper.permId2Trade.get(perm_id) or own
        if trade is not None and _replaces(trade.fills, fill) and is_replayed and self._untold is not None:
            self._untold.append((trade, fill))

    @contextmanager
    def _hidden(self, key: tuple[int, int], perm_id: int, *, fits: bool) -> Iterator[Trade | None]:
        """Gives the trade of this id; hides it from the library if the row is about another order."""
        trades = self._wrapper.trades
        trade = trades.get(key)
        if not self._is_anothers(trade, perm_id, fits=fits):
            yield trade
            return
        logger.warning("The gateway tells an execution of another order with id %s", key[1])
        del trades[key]
        try:
            yield None
        finally:
            if trade is not None:
                trades[key] = trade

    def commission(self, report: CommissionReport) -> None:
        """A row about a commission."""
        fill = self._wrapper.fills.get(report.execId)
        known = None if fill is None else fill.commissionReport
        realized = 0.0 if report.realizedPNL == _UNSET else report.realizedPNL
        if known is None or (known.execId, known.commission, known.realizedPNL) != (
            report.execId,
            report.commission,
            realized,
        ):  # what is replayed is no second charge
            self._wrapper.read_commission(report)


def _replaces(fills: list[Fill], fill: Fill) -> bool:
    """A correction takes the place of what it corrects; False if a later one is there already."""
    root, _ = revision(fill.execution.execId)
    same = [each for each in fills if revision(each.execution.execId)[0] == root]
    if len(same) < 2:
        return True
    newest = max(same, key=lambda each: revision(each.execution.execId)[1])
    fills[:] = [each for each in fills if each is newest or not any(each is other for other in same)]
    return newest is fill
