"""Overrides the library's wrapper: what the decoder calls for each message, and the library's maps of its state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ibkr.session.library.hooks import Answer, StatusRow
from ibkr.session.library.trade_rows import make_trade, take_execution, take_status

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Execution, Order, OrderState, Ticker
    from ib_async.wrapper import Wrapper as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from ibkr.session.library.mixin_base import Base as _Base
    from ibkr.session.library.mixin_base import override

_MOST_BOOK_ROWS = 1_000
"""The most rows on each side of an order book."""


class WrapperOverrides(_Base):
    """Passes rows about orders and errors to the session first.

    The ``read_...`` methods are the library's own reaction.
    """

    hooks: Hooks
    _keys_are_ids: bool
    _is_fast: bool

    def adopt(self, hooks: Hooks, *, keys_are_ids: bool, is_fast: bool) -> None:
        """Set what the constructor of the library's class does not set.

        Args:
            hooks: The session.
            keys_are_ids: Whether the keys of ``tickers`` are the ``id()`` of a contract, as in ib_insync, and not its
                hash.
            is_fast: Whether ``trade_rows`` reads orders and executions.
        """
        self.hooks = hooks
        self._keys_are_ids = keys_are_ids
        self._is_fast = is_fast

    # Pending requests.

    @property
    def futures(self) -> dict[Any, asyncio.Future[Any]]:
        """The future of each pending request, by request id or, if it has none, by a name."""
        return self._futures

    @property
    def results(self) -> dict[Any, Any]:
        """The rows of each answer that have arrived, by the same keys."""
        return self._results

    @property
    def contracts(self) -> dict[int, Contract]:
        """The contract of each request."""
        return self._reqId2Contract

    @property
    def logger(self) -> logging.Logger:
        """The library's logger for incoming messages."""
        return self._logger

    @override
    def startReq(self, key: Hashable, contract: Contract | None = None, container: Any = None) -> Answer:
        """Begin a request.

        If the request has no id and the same request is already pending, the next answer ends both. The library itself
        would forget the first caller.
        """
        self.hooks.check_thread()
        pending = None if isinstance(key, int) else self._futures.get(key)
        if pending is not None and not pending.done():
            container = self._results.get(key)  # some of its rows may have come
        future: Answer = super().startReq(key, contract, container)
        self.hooks.incoming.request_begun(key, future)
        if pending is None or pending.done():
            return future
        # No caller gets the shared future, because a caller may cancel its own.
        caller: Answer = future.get_loop().create_future()
        for each in (pending, caller):
            future.add_done_callback(partial(_pass_on, each))
        return caller

    @override
    def _endReq(self, key: Hashable, result: Any = None, success: bool = True) -> None:
        if not isinstance(key, int) and self.hooks.incoming.is_late_answer(key):  # errors have ids: this is an answer
            self._results[key] = []
            return
        self._end_request(key, result, success)

    def _end_request(self, key: Hashable, result: Any, success: bool) -> None:
        is_known = key in self._futures
        super()._endReq(key, result, success)
        if is_known:  # the library keeps results that nobody awaited
            self._results.pop(key, None)
        self.hooks.incoming.request_ended(key, is_answer=is_known and success)

    def end_request(self, key: Hashable, result: Any = None) -> None:
        """End a request with this result. Without a result, end it with the rows that have arrived."""
        self._end_request(key, result, success=True)

    def forget(self, key: Any) -> None:
        """Forget a request that nobody awaits."""
        self._futures.pop(key, None)
        self._results.pop(key, None)
        self._reqId2Contract.pop(key, None)

    def forget_all(self) -> None:
        """Forget the session without a call in its event loop, which is gone."""
        self._futures.clear()
        self._timeoutHandle = None
        self.reset()

    # Orders.

    def own_order_key(self, order_id: int) -> int | tuple[int, int]:
        """The key in ``trades`` of an order with this client's id.

        Client 0 takes over orders that were entered in TWS. They have ids below 0, and their key is the permanent id.
        TWS may give the id of an ended order to another order, so live orders come first.
        """
        ids = (self.ib.client.clientId, order_id)
        if order_id >= 0:
            return ids
        bound = {key: each for key, each in self.trades.items() if (each.order.clientId, each.order.orderId) == ids}
        return max(bound, key=lambda key: not bound[key].isDone(), default=ids)

    # Tickers.

    def ticker_key(self, ticker: Ticker, contract: Contract) -> int:
        """The key in ``tickers`` of a ticker that was requested with this contract."""
        # ib_insync uses the request's contract object itself: ib.ticker() and cancelMktData() look for this object.
        return id(ticker.contract) if self._keys_are_ids else hash(contract)

    def clear_book(self, ticker: Ticker) -> None:
        """Remove all rows of a ticker's order book."""
        for name in ("domBids", "domAsks", "domBidsDict", "domAsksDict"):
            side = getattr(ticker, name, None)  # ib_insync has no dictionaries
            if side is not None:
                side.clear()

    @override
    def updateMktDepthL2(
        self,
        reqId: int,
        position: int,
        marketMaker: str,
        operation: int,
        side: int,
        price: float,
        size: float,
        isSmartDepth: bool = False,
    ) -> None:
        """Ignore late rows of a cancelled book, for which the library raises ``KeyError``, and surplus rows."""
        ticker = self.reqId2Ticker.get(reqId)
        if ticker is None or self.ticker2ReqId["mktDepth"].get(ticker) != reqId:
            return
        rows = len(ticker.domBids if side else ticker.domAsks)
        if not 0 <= position < _MOST_BOOK_ROWS or (operation == 0 and rows >= _MOST_BOOK_ROWS):
            self.hooks.incoming.limit_reached(f"more than {_MOST_BOOK_ROWS:,} rows of an order book were sent")
        else:
            super().updateMktDepthL2(reqId, position, marketMaker, operation, side, price, size, isSmartDepth)

    # Rows.

    @override
    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str = "") -> None:
        self.hooks.incoming.error(reqId, errorCode, errorString, advancedOrderRejectJson)

    def read_error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """Let the library handle an error."""
        super().error(req_id, code, text, advanced)

    @override
    def openOrder(self, orderId: int, contract: Contract, order: Order, orderState: OrderState) -> None:
        self.hooks.incoming.open_order(orderId, contract, order, orderState)

    def read_open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        """Let the library read a row about an open order."""
        if self._is_fast:
            make_trade(self, order_id, contract, order, state)
        super().openOrder(order_id, contract, order, state)

    @override
    def orderStatus(
        self,
        orderId: int,
        status: str,
        filled: float,
        remaining: float,
        avgFillPrice: float,
        permId: int,
        parentId: int,
        lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        mktCapPrice: float = 0.0,
    ) -> None:
        self.hooks.incoming.order_status(
            StatusRow(
                orderId,
                status,
                filled,
                remaining,
                avgFillPrice,
                permId,
                parentId,
                lastFillPrice,
                clientId,
                whyHeld,
                mktCapPrice,
            )
        )

    def read_order_status(self, row: StatusRow) -> None:
        """Let the library read a row about an order's status."""
        if self._is_fast:
            take_status(self, row)
        else:
            super().orderStatus(*row)

    @override
    def completedOrder(self, contract: Contract, order: Order, orderState: OrderState) -> None:
        self.hooks.incoming.completed_order(contract, order, orderState)

    def read_completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """Let the library read a row about a completed order. Without a request for them, it would raise an error."""
        if "completedOrders" in self._results:
            super().completedOrder(contract, order, state)

    @override
    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        self.hooks.incoming.execution(reqId, contract, execution)

    def read_execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        """Let the library read a row about an execution."""
        if self._is_fast:
            take_execution(self, req_id, contract, execution)
        else:
            super().execDetails(req_id, contract, execution)

    @override
    def commissionReport(self, commissionReport: CommissionReport) -> None:
        self.hooks.incoming.commission(commissionReport)

    def read_commission(self, report: CommissionReport) -> None:
        """Let the library read a row about a commission."""
        super().commissionReport(report)

    @override
    def accountDownloadEnd(self, _account: str) -> None:
        self.hooks.incoming.portfolio_complete(_account)
        super().accountDownloadEnd(_account)

    # ib.setTimeout().

    @override
    def _setTimer(self, delay: float = 0) -> None:
        """Start the timer in the running loop. The libraries ask the event-loop policy, which may name another loop."""
        silence = (datetime.now(self.lastTime.tzinfo) - self.lastTime).total_seconds()
        delay = delay or self._timeout - silence
        if delay > 0:
            self._timeoutHandle = asyncio.get_event_loop().call_later(delay, self._setTimer)
        else:
            self.setTimeout(0)
            self.ib.timeoutEvent.emit(silence)


def _pass_on(caller: Answer, shared: Answer) -> None:
    """End a shared request for this caller, too."""
    if caller.done():
        return
    if shared.cancelled():
        caller.cancel()
    elif (error := shared.exception()) is not None:
        caller.set_exception(error)
        caller.exception()  # mark the error as retrieved: maybe nobody awaits it
    else:
        caller.set_result(shared.result())
