"""Keeps the library's ``Trade`` objects through outages, updates them afterwards, and adds each fill once.

Only the library's own message readers write to the trades. If a message was missed, the readers get a row that is
made from the answers of start-up.

This file has over 300 lines because the readers of all order messages share their state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ibkr.core.frozen_record import replace
from ibkr.core.gap_report import BrokerSnapshot, revision
from ibkr.core.order_records import ROUNDING, Execution, Order, Position, SentOrder
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.error_log import call_shielded
from ibkr.session.library import Library, StatusRow
from ibkr.session.orders.convert import (
    completed_order_of,
    execution_of,
    open_order_of,
    order_of,
    perm_id_of,
    position_of,
)
from ibkr.session.orders.order_terms import OrderKey, OrderTerms
from ibkr.session.startup import StartUp

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Fill, OrderState, Trade
    from ib_async import Execution as LibraryExecution
    from ib_async import Order as LibraryOrder

logger = logging.getLogger("ibkr.session")

_UNSET = 1.7976931348623157e308
_ONE_SECOND = timedelta(seconds=1)
_NO_ORDER_ID = 2**31 - 1
"""The order id that TWS reports for orders entered by hand."""
_WORKING_STATUSES = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
_ENDED_STATUSES = frozenset({"Cancelled", "ApiCancelled", "Inactive"})
_FINAL = frozenset({"Filled", "Cancelled", "ApiCancelled"})
"""The last statuses of an order. For the library, ``Inactive`` is one, too, but IB may still execute such an order."""


class TradeTracker:
    """Reads rows about orders before the library does.

    Args:
        library: The client library's objects.
        sent: Orders that the gateway has not acknowledged.
        on_found: Called with the permanent id when an unconfirmed order is found at the broker.
        on_ended: Called with an order if a row says that it has ended, but its status has not come yet.
        startup: The start-up of this session, if there is one. If rows about other clients' orders arrive only because
            it has requested them, they are hidden from the program's list of trades.

    Attributes:
        terms: The terms of own orders.
        in_outage: Whether an outage has begun and start-up is not finished yet.
    """

    def __init__(
        self,
        library: Library,
        sent: UnacknowledgedOrders,
        on_found: Callable[[int], None],
        on_ended: Callable[[OrderKey, Trade], None],
        startup: Callable[[], StartUp | None],
    ) -> None:
        self._client, self._wrapper, self._ib = library.client, library.wrapper, library.ib
        self._sent, self._startup = sent, startup
        self._on_found, self._on_ended = on_found, on_ended
        self._is_saving = False
        self._saved: tuple[dict[OrderKey, Trade], dict[int, Trade], dict[str, Fill]] | None = None
        self._reported: set[OrderKey] = set()
        self._unresolved: set[OrderKey] = set()
        self._seen_working: set[OrderKey] = set()
        self._others: dict[int, Order] = {}
        self._completed: dict[int, Order] = {}
        self._executions: dict[str, Execution] = {}
        self._reported_orders: dict[OrderKey, Order] = {}
        self._ended: set[OrderKey] = set()
        self._unreported_fills: list[tuple[Trade, Fill]] | None = None
        self._commissions: dict[str, CommissionReport] = {}
        self._recent_executions: list[tuple[Execution, bool]] = []
        self.terms = OrderTerms()
        self.in_outage = False

    def begin(self) -> None:
        """An attempt begins: keep the trades from now on."""
        self._is_saving = True

    def before_reset(self) -> None:
        """Save the trades: the library is about to clear them."""
        wrapper = self._wrapper
        self._ended.clear()
        self._saved = (wrapper.trades, wrapper.permId2Trade, wrapper.fills)

    def after_reset(self) -> None:
        """Put the trades back."""
        if self._is_saving and self._saved is not None:
            self._wrapper.trades, self._wrapper.permId2Trade, self._wrapper.fills = self._saved

    def outage_began(self) -> None:
        """Begin an outage, in which executions may be missed. ``startup_finished`` reports them to the trades."""
        self.in_outage = True
        self.collect_fills()

    def collect_fills(self) -> None:
        """Collect the executions that are requested now. Their trades are notified later."""
        if self._unreported_fills is None:
            self._unreported_fills = []

    def take_late_executions(self, end: datetime) -> list[Execution]:
        """Executions from before ``end`` that have come since the last comparison.

        Requested executions are treated as earlier than ``end``. For the others, their time decides, in whole seconds.
        """
        late, self._recent_executions = self._recent_executions, []
        return [each for each, was_asked in late if was_asked or each.time + _ONE_SECOND <= end]

    def start_up(self) -> None:
        """Prepare for the reports of all open and completed orders."""
        self._reported.clear()
        self._others.clear()
        self._completed.clear()

    def release(self) -> None:
        """Stop keeping trades. Then there are no trades, as after the library's own disconnect."""
        self._is_saving = self.in_outage = False
        self._unreported_fills = None
        self._commissions.clear()
        self._reported_orders.clear()
        self._ended.clear()
        self.terms.clear()
        if not self._client.isReady():
            wrapper = self._wrapper
            wrapper.trades, wrapper.permId2Trade, wrapper.fills = {}, {}, {}

    def picture(self, before: BrokerSnapshot | None = None) -> BrokerSnapshot:
        """The state that the library knows, together with the rows that were hidden from it.

        A day may bring thousands of ended orders. They are examined only if they had not ended ``before``.
        """
        orders, over = dict(self._others), set()
        for key, trade in self._wrapper.trades.items():
            perm_id = perm_id_of(trade)
            if not perm_id or key in self._unresolved:
                continue
            if (before is None or perm_id in before.ended) and is_over(trade):
                over.add(perm_id)
                continue
            order, ended = self._reported_order(key, trade), self._completed.get(perm_id)
            if ended is not None:
                order = ended if key == perm_id else replace(order, ended_at=ended.ended_at)
            orders[perm_id] = order
        positions = {(each.account, each.con_id): each for each in self.positions()}
        return BrokerSnapshot(orders, dict(self._executions), positions, over)

    def live_orders(self) -> list[Order]:
        """Orders that have not ended, with the terms that the broker has reported.

        Orders of other clients are included as far as they are known.
        """
        own = (self._reported_order(key, trade) for key, trade in self._wrapper.trades.items() if not trade.isDone())
        return [*own, *(order for order in self._others.values() if order.is_live)]

    def positions(self) -> list[Position]:
        """The positions of the accounts, as last reported."""
        return [position_of(each) for account in self._wrapper.positions.values() for each in account.values()]

    def startup_finished(self, *, knows_orders: bool) -> None:
        """Start-up is finished. Tell the trades and the listeners which orders ended during the outage."""
        self.in_outage = False
        self.report_fills()
        self._recent_executions.clear()
        if knows_orders:
            self.resolve_all()

    def resolve_all(self) -> None:
        """Use the reports of all open and completed orders: the outcome of each order is now known."""
        self._match_by_reference()
        trades = list(self._wrapper.trades.items())
        self._unresolved = {key for key, trade in trades if not self.resolve(key, trade)}

    def report_fills(self) -> None:
        """Notify listeners of requested executions. During an outage, they wait until orders may be placed."""
        if self.in_outage or self._unreported_fills is None:
            return
        startup, untold = self._startup(), self._unreported_fills
        self._unreported_fills = [] if startup is not None and startup.awaits_executions else None
        for trade, fill in untold:
            call_shielded(self._ib.execDetailsEvent.emit, trade, fill)
            call_shielded(trade.fillEvent.emit, trade, fill)
            report = self._commissions.pop(fill.execution.execId, None)
            if report is not None:
                call_shielded(self.commission, report)

    def _reported_order(self, key: OrderKey, trade: Trade) -> Order:
        """The order with the terms that the broker has reported. A lost or refused change does not alter them."""
        reported = self._reported_orders.get(key)
        if reported is None or trade.isDone():
            return order_of(trade)
        status = trade.orderStatus
        return replace(reported, filled=float(status.filled), average_price=float(status.avgFillPrice))

    def is_working(self, key: OrderKey, trade: Trade) -> bool:
        """Whether this order has been active at the broker. If so, an error code alone does not end it."""
        status = trade.orderStatus
        is_seen = status.status in ("PreSubmitted", "Submitted") or status.filled > 0 or bool(trade.fills)
        return is_seen or key in self._seen_working

    def look_up(self, key: OrderKey, trade: Trade) -> None:
        """For this order, use only new answers, unless it has ended. Open and completed orders are requested again."""
        self._reported.discard(key)
        if (row := self._completed.get(perm_id_of(trade))) is not None and row.status not in _FINAL:
            del self._completed[row.perm_id]
        self.collect_fills()

    def resolve(self, key: OrderKey, trade: Trade) -> bool:
        """Whether the outcome of the order is known. If it has ended without a status, its trade is updated here."""
        ended = self._ending(key, trade)
        if is_over(trade) or (key in self._reported and (ended is None or ended.status not in _FINAL)):
            return True
        shares = trade.filled() if ended is None else ended.filled
        if trade.isDone() and shares <= trade.orderStatus.filled:  # Inactive, and nothing was executed since then
            return True
        if trade.order.clientId == self._client.clientId and self._sent.is_pending(trade.order.orderId):
            if ended is None:
                return True
            self._acknowledge(trade.order.clientId, trade.order.orderId, perm_id_of(trade))
        total = trade.orderStatus.filled + trade.orderStatus.remaining  # the order's terms may not be the broker's
        if ended is None and not shares >= max(total, trade.order.totalQuantity) - ROUNDING > 0:
            return bool(trade.isDone())
        own = (fill.execution for fill in trade.fills if not _is_leg(trade, fill.contract))
        last = max(own, key=lambda each: each.cumQty, default=None)  # without executions of a combination's legs
        status, order = trade.orderStatus, trade.order
        word = "Filled" if ended is None else ended.status
        row = StatusRow(
            order_id=order.orderId,
            status=word,
            filled=shares,
            remaining=0.0 if word == "Filled" else order.totalQuantity - shares,
            average_price=status.avgFillPrice if last is None else last.avgPrice,
            perm_id=perm_id_of(trade),
            parent_id=status.parentId,
            last_price=status.lastFillPrice if last is None else last.price,
            client_id=order.clientId,
            why_held="",
            cap_price=status.mktCapPrice,
        )
        call_shielded(self._wrapper.read_order_status, row)
        if word in _FINAL:
            self._ended.add(key)
        self._forget_terms(key)  # also if the library does not treat this status as the end of the order
        return True

    def _forget_terms(self, key: OrderKey) -> None:
        self._reported_orders.pop(key, None)
        self.terms.forget(key)

    def _ending(self, key: OrderKey, trade: Trade) -> Order | None:
        """The row that says how the order has ended: a completed order, or an open order with its last status."""
        completed, row = self._completed.get(perm_id_of(trade)), self._reported_orders.get(key)
        if completed is not None or row is None or row.status not in _FINAL:
            return completed
        known = max(trade.filled(), trade.orderStatus.filled, row.quantity if row.status == "Filled" else 0.0)
        return replace(row, filled=float(known))

    def _match_by_reference(self) -> None:
        """Match completed orders, which have no order id, to unconfirmed orders by the program's reference.

        This is done only if no other order has the same reference, and the row is new.
        """
        for order in self._sent.unconfirmed:
            rows = [each for each in self._completed.values() if self._has_completed_row_only(each.perm_id)]
            found = [each for each in rows if order.has_left and self._sent.may_be_ended(order, each)]
            if len(found) == 1 and self._is_unique_reference(order, found[0]):
                trade = self._wrapper.trades.get((self._client.clientId, order.order_id))
                self._assign_perm_id(found[0].perm_id, trade)
                self._acknowledge(self._client.clientId, order.order_id, found[0].perm_id)

    def _is_unique_reference(self, order: SentOrder, row: Order) -> bool:
        """Whether no other known order has this reference.

        Another client may use the same reference. So if the row has fills, one of our own executions must confirm it.
        """
        key = (self._client.clientId, order.order_id)
        others = [trade for each, trade in self._wrapper.trades.items() if each not in (key, row.perm_id)]
        if any(trade.order.orderRef == order.order_ref for trade in others):
            return False
        own = (each for each in self._executions.values() if each.client_id == self._client.clientId)
        return not row.filled or any(each.perm_id == row.perm_id for each in own)

    def _has_completed_row_only(self, perm_id: int) -> bool:
        """Whether the library knows the order from its completed row only."""
        return self._wrapper.trades.get(perm_id) is self._wrapper.permId2Trade.get(perm_id)

    def _assign_perm_id(self, perm_id: int, trade: Trade | None) -> None:
        """Give this trade's order the permanent id. Drop the trade that the library made from its completed row."""
        by_id = self._wrapper.permId2Trade
        if trade is None or by_id.get(perm_id) is trade:
            return
        if self._has_completed_row_only(perm_id):
            self._wrapper.trades.pop(perm_id, None)
        by_id[perm_id] = trade
        trade.order.permId = perm_id

    def _acknowledge(self, client_id: int, order_id: int, perm_id: int) -> None:
        if client_id == self._client.clientId and self._sent.acknowledged(order_id):
            self._on_found(perm_id)

    def _is_other_order(self, trade: Trade | None, perm_id: int, *, fits: bool) -> bool:
        """Whether a row with the id of this trade is about another order that had the same id before."""
        if trade is None:
            return False
        known = perm_id_of(trade)
        return known != perm_id if known and perm_id else not fits

    def open_order(self, order_id: int, contract: Contract, order: LibraryOrder, state: OrderState) -> None:
        """Read a row about an open order."""
        if order.whatIf:
            self._wrapper.read_open_order(order_id, contract, order, state)
            return
        if order.orderId == _NO_ORDER_ID:
            order_id = order.orderId = 0
        key = self._wrapper.orderKey(order.clientId, order.orderId, order.permId)
        trade, row = self._wrapper.trades.get(key), open_order_of(contract, order, state)
        is_own = order.clientId == self._client.clientId
        self._sent.record_row(order.permId)
        startup = self._startup()
        if not is_own and trade is None and startup is not None and startup.awaits_others:
            self._store_other(row)
            return
        fits = not is_own or self._sent.fits_order(row)
        if is_own and self._is_other_order(trade, order.permId, fits=fits):
            logger.warning("The gateway reports another order with id %s: %s", order_id, row)
            self._store_other(row)
            return
        (self._reported.discard if state.status in _FINAL else self._reported.add)(key)
        self._reported_orders[key] = row
        self._unresolved.discard(key)
        self._others.pop(order.permId, None)
        if state.status in _WORKING_STATUSES:
            self._seen_working.add(key)
        if fits:
            self._acknowledge(order.clientId, order.orderId, order.permId)
        if is_own and trade is not None:
            self._take_terms(key, trade, order)
        with nullcontext() if is_own else self._client.ignoring_ids():
            self._wrapper.read_open_order(order_id, contract, order, state)
        if is_own and trade is None:
            self._take_terms(key, self._wrapper.trades[key], order)
        if state.status in _FINAL:
            self._expect_status(key)

    def _store_other(self, row: Order) -> None:
        """Store a row about an order that the library must not see."""
        self._others[row.perm_id] = replace(row, is_live=row.status not in _FINAL)

    def _take_terms(self, key: OrderKey, trade: Trade, row: LibraryOrder) -> None:
        if isinstance(key, int) and row.orderId:  # TWS may give its own order an id later, or another id
            trade.order.orderId = trade.orderStatus.orderId = row.orderId
        self.terms.row_arrived(key, trade.order, row, is_answer="openOrders" in self._wrapper.results)

    def _expect_status(self, key: OrderKey) -> None:
        """The order has ended. Its status may come now, may have come, or may never come.

        IB does not send a status for each change, for example if a market order is filled at once:
        https://interactivebrokers.github.io/tws-api/order_submission.html
        """
        trade = self._wrapper.trades.get(key)
        if trade is not None and not is_over(trade):
            self._on_ended(key, trade)

    def order_status(self, row: StatusRow) -> None:
        """Read a row about an order's status."""
        if row.order_id == _NO_ORDER_ID:
            row = row._replace(order_id=0)
        order_id, perm_id, client_id, status = row.order_id, row.perm_id, row.client_id, row.status
        self._sent.record_row(perm_id)
        if perm_id in self._others:
            known = self._others[perm_id]
            self._store_other(replace(known, status=status, filled=row.filled, average_price=row.average_price))
            return
        key = self._wrapper.orderKey(client_id, order_id, perm_id)
        if key in self._ended and self._is_late(self._wrapper.trades.get(key), row):
            logger.info("A late status of order %s is ignored, because the order has ended: %s", order_id, status)
            return
        if client_id == self._client.clientId:
            is_over = status in _ENDED_STATUSES and not row.remaining
            fits = self._sent.fits_status(order_id, perm_id, row.filled + row.remaining, is_over=is_over)
            if self._is_other_order(self._wrapper.trades.get(key), perm_id, fits=fits):
                logger.warning("The gateway reports the status of another order with id %s: %s", order_id, status)
                return
            if fits:
                self._acknowledge(client_id, order_id, perm_id)
        if status in _WORKING_STATUSES or row.filled:
            self._seen_working.add(key)
        if (reported := self._reported_orders.get(key)) is not None:
            self._reported_orders[key] = replace(reported, status=status)
        if status in _FINAL:
            self._forget_terms(key)
        self._wrapper.read_order_status(row)

    def _is_late(self, trade: Trade | None, row: StatusRow) -> bool:
        """Whether this status is from before the end of the order, if a look-up has found this end."""
        if trade is None or row.status == trade.orderStatus.status:
            return False
        return row.filled + row.remaining <= trade.orderStatus.filled + trade.orderStatus.remaining + ROUNDING

    def completed_order(self, contract: Contract, order: LibraryOrder, state: OrderState) -> None:
        """Read a row about a completed order."""
        self._sent.record_row(order.permId)
        self._completed[order.permId] = completed_order_of(contract, order, state)
        self._wrapper.read_completed_order(contract, order, state)

    def execution(self, req_id: int, contract: Contract, execution: LibraryExecution) -> None:
        """Read a row about an execution."""
        wrapper, exec_id, perm_id = self._wrapper, execution.execId, execution.permId
        if execution.orderId == _NO_ORDER_ID:
            execution.orderId = 0
        row = execution_of(contract, execution)
        self._sent.record_row(perm_id)
        self._sent.record_row(exec_id)
        is_new, is_replayed = exec_id not in self._executions, req_id in wrapper.futures
        is_own = execution.clientId == self._client.clientId
        fits = not is_own or self._sent.fits_execution(row, execution.cumQty)
        key = (execution.clientId, execution.orderId)
        with self._trade_for(key, perm_id, fits=fits) as own:
            self._assign_perm_id(perm_id, own)
            trade = wrapper.permId2Trade.get(perm_id) or own
            is_newest = trade is None or _replace_corrected(trade.fills, exec_id)
            wrapper.read_execution(req_id, contract, execution)
        if is_own:
            self._client.updateReqId(execution.orderId + 1)
            if fits:
                self._acknowledge(execution.clientId, execution.orderId, perm_id)
        if not is_new:
            return
        self._executions[exec_id] = row
        self._recent_executions.append((row, is_replayed))
        if trade is not None and not is_newest:
            trade.fills.remove(wrapper.fills[exec_id])
        elif trade is not None and is_replayed and self._unreported_fills is not None:
            self._unreported_fills.append((trade, wrapper.fills[exec_id]))
        if trade is not None and not _is_leg(trade, contract):
            total = trade.orderStatus.filled + trade.orderStatus.remaining or trade.order.totalQuantity
            if execution.cumQty >= total - ROUNDING > 0:
                self._expect_status(wrapper.orderKey(execution.clientId, execution.orderId, perm_id))

    @contextmanager
    def _trade_for(self, key: tuple[int, int], perm_id: int, *, fits: bool) -> Iterator[Trade | None]:
        """Yield the trade with this id. Hide it from the library if the row is about another order."""
        trades = self._wrapper.trades
        trade = trades.get(key)
        if not self._is_other_order(trade, perm_id, fits=fits):
            yield trade
            return
        logger.warning("The gateway reports an execution of another order with id %s", key[1])
        del trades[key]
        try:
            yield None
        finally:
            if trade is not None:
                trades[key] = trade

    def commission(self, report: CommissionReport) -> None:
        """Read a row about a commission."""
        fill = self._wrapper.fills.get(report.execId)
        if any(
            each is fill for _, each in self._unreported_fills or ()
        ):  # the execution itself has not been reported yet
            self._commissions[report.execId] = report
            return
        known = None if fill is None else fill.commissionReport
        realized = 0.0 if report.realizedPNL == _UNSET else report.realizedPNL
        if known is None or (known.execId, known.commission, known.realizedPNL) != (
            report.execId,
            report.commission,
            realized,
        ):  # ignore a repeated report: it is not a second commission
            self._wrapper.read_commission(report)


def is_over(trade: Trade) -> bool:
    """Whether this order has ended, and can never be executed again."""
    return trade.orderStatus.status in _FINAL


def _is_leg(trade: Trade, contract: Contract) -> bool:
    """Whether an execution in this contract is an execution of one leg of a combination."""
    return trade.contract.secType == "BAG" != contract.secType


def _replace_corrected(fills: list[Fill], exec_id: str) -> bool:
    """Remove the executions that this execution corrects. Returns False if a later correction is there already."""
    root, number = revision(exec_id)
    others = [(each, *revision(each.execution.execId)) for each in fills]
    fills[:] = [each for each, its_root, its_number in others if its_root != root or its_number >= number]
    return all(its_root != root or its_number <= number for _, its_root, its_number in others)
