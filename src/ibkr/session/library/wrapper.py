"""What the decoder calls for each message, and the library's maps of what it knows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ibkr.session.library.hooks import StatusRow

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Execution, Order, OrderState, Ticker
    from ib_async.wrapper import Wrapper as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from ibkr.session.library.unbound import Base as _Base
    from ibkr.session.library.unbound import override


class WrapperOverrides(_Base):
    """Rows about orders and errors go to the session first; ``read_...`` is how the library itself reads them."""

    hooks: Hooks
    _keys_are_ids: bool

    def adopt(self, hooks: Hooks, *, keys_are_ids: bool) -> None:
        """Set what the constructor of the library's class does not.

        ``keys_are_ids``: the key of ``tickers`` is the ``id()`` of a contract, as in ib_insync, and not its hash.
        """
        self.hooks = hooks
        self._keys_are_ids = keys_are_ids

    # Requests that somebody waits for.

    @property
    def futures(self) -> dict[Any, asyncio.Future[Any]]:
        """The future of each request that somebody waits for, by request id or, where there is none, by a name."""
        return self._futures

    @property
    def results(self) -> dict[Any, Any]:
        """What has arrived of each answer, by the same keys."""
        return self._results

    @property
    def contracts(self) -> dict[int, Contract]:
        """The contract that each request is about."""
        return self._reqId2Contract

    @property
    def logger(self) -> logging.Logger:
        """The library's logger for what arrives."""
        return self._logger

    @override
    def startReq(self, key: Hashable, contract: Contract | None = None, container: Any = None) -> asyncio.Future[Any]:
        self.hooks.check_thread()
        future: asyncio.Future[Any] = super().startReq(key, contract, container)
        return future

    @override
    def _endReq(self, key: Hashable, result: Any = None, success: bool = True) -> None:
        is_known = key in self._futures
        super()._endReq(key, result, success)
        self.hooks.request_ended(key, is_answer=is_known and success)

    def end_request(self, key: Hashable, result: Any = None) -> None:
        """End a request with this result, or else with what has arrived."""
        self._endReq(key, result)

    def forget(self, key: Any) -> None:
        """Forget a request that nobody waits for any more."""
        self._futures.pop(key, None)
        self._results.pop(key, None)
        self._reqId2Contract.pop(key, None)

    def forget_all(self) -> None:
        """The event loop is gone: forget the session without calling anything in it."""
        self._futures.clear()
        self._timeoutHandle = None
        self.reset()

    # Tickers.

    def ticker_key(self, ticker: Ticker, contract: Contract) -> int:
        """The key of ``tickers`` for a ticker that was asked for with this contract."""
        # ib_insync: of the very object that the caller has asked with, for ib.ticker() and cancelMktData() want it.
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
        """Rows of a book that was cancelled a moment ago belong to no other, and raise ``KeyError`` in the library."""
        ticker = self.reqId2Ticker.get(reqId)
        if ticker is not None and self.ticker2ReqId["mktDepth"].get(ticker) == reqId:
            super().updateMktDepthL2(reqId, position, marketMaker, operation, side, price, size, isSmartDepth)

    # Rows.

    @override
    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str = "") -> None:
        self.hooks.error(reqId, errorCode, errorString, advancedOrderRejectJson)

    def read_error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """As the library takes an error."""
        super().error(req_id, code, text, advanced)

    @override
    def openOrder(self, orderId: int, contract: Contract, order: Order, orderState: OrderState) -> None:
        self.hooks.open_order(orderId, contract, order, orderState)

    def read_open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        """As the library takes a row about an open order."""
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
        self.hooks.order_status(
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
        """As the library takes a row about an order's status."""
        super().orderStatus(*row)

    @override
    def completedOrder(self, contract: Contract, order: Order, orderState: OrderState) -> None:
        self.hooks.completed_order(contract, order, orderState)

    def read_completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """As the library takes a row about an order that has ended; one that nobody has asked for raises there."""
        if "completedOrders" in self._results:
            super().completedOrder(contract, order, state)

    @override
    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        self.hooks.execution(reqId, contract, execution)

    def read_execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        """As the library takes a row about an execution."""
        super().execDetails(req_id, contract, execution)

    @override
    def commissionReport(self, commissionReport: CommissionReport) -> None:
        self.hooks.commission(commissionReport)

    def read_commission(self, report: CommissionReport) -> None:
        """As the library takes a row about a commission."""
        super().commissionReport(report)

    @override
    def accountDownloadEnd(self, _account: str) -> None:
        self.hooks.portfolio_complete(_account)
        super().accountDownloadEnd(_account)

    # ib.setTimeout().

    @override
    def _setTimer(self, delay: float = 0) -> None:
        """The libraries ask the event-loop policy for a loop, which need not be the one that runs."""
        silence = (datetime.now(self.lastTime.tzinfo) - self.lastTime).total_seconds()
        delay = delay or self._timeout - silence
        if delay > 0:
            self._timeoutHandle = asyncio.get_event_loop().call_later(delay, self._setTimer)
        else:
            self.setTimeout(0)
            self.ib.timeoutEvent.emit(silence)
