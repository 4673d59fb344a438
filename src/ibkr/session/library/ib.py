"""Overrides the library's ``IB``: the connector connects, blocking calls run in its event loop, orders are checked.

The library itself blocks with ``util.run``, which the process-wide ``globalErrorEvent`` interrupts. So the end of one
session would raise an error in a blocking call of any other ``IB``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from ibkr.session.library.trade_rows import place_order

if TYPE_CHECKING:
    from ib_async import (
        BarDataList,
        BracketOrder,
        Contract,
        Order,
        OrderState,
        PnL,
        PnLSingle,
        TagValue,
        Trade,
        WshEventData,
    )
    from typing_extensions import override

    from ibkr.session.library.client import ClientOverrides
    from ibkr.session.library.hooks import Hooks
    from ibkr.session.library.single_answers import SingleAnswers as _Base
    from ibkr.session.library.wrapper import WrapperOverrides
else:
    from ibkr.session.library.mixin_base import override
    from ibkr.session.library.single_answers import SingleAnswers as _Base

HAS_OWN_TIMEOUT: ContextVar[bool] = ContextVar("has_own_timeout", default=False)
"""Whether the program has passed a timeout with the current request."""

_Moment = dt.datetime | dt.time


class IBOverrides(_Base):
    """The program's ``connector.ib``."""

    client: ClientOverrides
    wrapper: WrapperOverrides
    hooks: Hooks
    _is_fast: bool

    def adopt(self, hooks: Hooks, *, is_fast: bool) -> None:
        """Set what the constructor of the library's class does not set. ``is_fast``: ``trade_rows`` places orders."""
        self.hooks = hooks
        self._is_fast = is_fast

    # Connecting.

    @override
    def connect(self, *_args: Any, **_options: Any) -> NoReturn:
        raise RuntimeError(
            "this IB object is kept connected by an IBConnector: call connector.connect() or, in a running loop,"
            " 'await connector.connect_async()' instead of ib.connect()"
        )

    @override
    def connectAsync(self, *_args: Any, **_options: Any) -> NoReturn:
        self.connect()

    @override
    def disconnect(self) -> bool:  # type: ignore[override] # the result is the connector's
        return self.hooks.disconnect()

    # Blocking calls.

    @override
    def run(self, *awaitables: Awaitable[Any], timeout: float | None = None) -> Any:
        if not awaitables:
            return self.hooks.run_until_over()

        async def work() -> Any:
            return await (awaitables[0] if len(awaitables) == 1 else asyncio.gather(*awaitables))

        try:
            return self.hooks.run_blocking(work, timeout or None)
        finally:
            for awaitable in awaitables:  # if the call is refused, nobody awaits them
                if asyncio.iscoroutine(awaitable):
                    awaitable.close()
                elif asyncio.isfuture(awaitable):
                    awaitable.cancel()

    @override
    def _run(self, *awaitables: Awaitable[Any]) -> Any:
        return self.run(*awaitables, timeout=self.RequestTimeout)

    @override
    def sleep(self, secs: float = 0.02) -> bool:
        return self.hooks.run_blocking(lambda: asyncio.sleep(secs, True), None)

    @override
    def waitUntil(self, t: _Moment) -> bool:
        moment = dt.datetime.combine(dt.date.today(), t) if isinstance(t, dt.time) else t
        return self.sleep((moment - dt.datetime.now(moment.tzinfo)).total_seconds())

    @override
    def timeRange(self, start: _Moment, end: _Moment, step: float) -> Iterator[dt.datetime]:
        moments = self.timeRangeAsync(start, end, step)
        while (moment := self.hooks.run_blocking(lambda: anext(moments, None), None)) is not None:
            yield moment

    @override
    def waitOnUpdate(self, timeout: float = 0) -> bool:
        async def update() -> None:
            await self.updateEvent

        try:
            self.hooks.run_blocking(update, timeout or None)
        except TimeoutError:
            return False
        return True

    @override
    def reqCurrentTimeAsync(self) -> Awaitable[dt.datetime]:
        return self.hooks.current_time_answer()

    # Historical data: the library's default timeout of 60 s would return an empty list, as if there was no data.

    @override
    def reqHistoricalData(
        self,
        contract: Contract,
        endDateTime: dt.datetime | dt.date | str | None,
        durationStr: str,
        barSizeSetting: str,
        whatToShow: str,
        useRTH: bool,
        formatDate: int = 1,
        keepUpToDate: bool = False,
        chartOptions: list[TagValue] = [],  # noqa: B006 - as in the library
        timeout: float | None = None,
    ) -> BarDataList:
        request = self.reqHistoricalDataAsync(
            contract,
            endDateTime,
            durationStr,
            barSizeSetting,
            whatToShow,
            useRTH,
            formatDate,
            keepUpToDate,
            chartOptions,
            timeout,
        )
        bars: BarDataList = self._run(request)
        return bars

    @override
    async def reqHistoricalDataAsync(
        self,
        contract: Contract,
        endDateTime: dt.datetime | dt.date | str | None,
        durationStr: str,
        barSizeSetting: str,
        whatToShow: str,
        useRTH: bool,
        formatDate: int = 1,
        keepUpToDate: bool = False,
        chartOptions: list[TagValue] = [],  # noqa: B006 - as in the library
        timeout: float | None = None,  # noqa: ASYNC109 - the library's name
    ) -> BarDataList:
        """Without a ``timeout``, ``TimeoutError`` is raised after the deadline for history. 0 means no limit."""
        token = HAS_OWN_TIMEOUT.set(timeout is not None)
        try:
            bars = await super().reqHistoricalDataAsync(
                contract,
                endDateTime,
                durationStr,
                barSizeSetting,
                whatToShow,
                useRTH,
                formatDate,
                keepUpToDate,
                chartOptions,
                timeout or 0,
            )
        finally:
            HAS_OWN_TIMEOUT.reset(token)
        error = self.hooks.incoming.take_timeout(bars.reqId)
        if error is not None:
            raise error
        return bars

    # Subscriptions of which the library has only one, and refuses a second. The connector has restored those of the
    # last session, but a handler of connectedEvent may request them in each session, as with the bare library.

    @override
    def reqPnL(self, account: str, modelCode: str = "") -> PnL:
        key = self.wrapper.pnlKey2ReqId.get((account, modelCode), 0)
        return self.wrapper.reqId2PnL[key] if self.hooks.may_repeat(key) else super().reqPnL(account, modelCode)

    @override
    def reqPnLSingle(self, account: str, modelCode: str, conId: int) -> PnLSingle:
        key = self.wrapper.pnlSingleKey2ReqId.get((account, modelCode, conId), 0)
        if self.hooks.may_repeat(key):
            return self.wrapper.reqId2PnlSingle[key]
        return super().reqPnLSingle(account, modelCode, conId)

    @override
    def reqWshMetaData(self) -> None:
        if self.hooks.may_repeat(self.wrapper.wshMetaReqId):
            self.wrapper.wshMetaReqId = 0
        super().reqWshMetaData()

    @override
    def reqWshEventData(self, data: WshEventData) -> None:
        if self.hooks.may_repeat(self.wrapper.wshEventReqId):
            self.wrapper.wshEventReqId = 0
        super().reqWshEventData(data)

    # Orders. Some of these calls use order ids before they send anything, or without sending anything.

    @override
    def placeOrder(self, contract: Contract, order: Order) -> Trade:
        with self.hooks.sending_orders():
            self.hooks.check_order(order)
            is_known = self.wrapper.own_order_key(order.orderId) in self.wrapper.trades
            trade = place_order(self, contract, order) if self._is_fast else super().placeOrder(contract, order)
            if order.whatIf and not is_known:  # the gateway keeps no such order: its id is still new
                self.wrapper.trades.pop(self.wrapper.own_order_key(order.orderId), None)
            return trade

    @override
    def cancelOrder(self, order: Order, manualCancelOrderTime: str = "") -> Trade | None:
        with self.hooks.sending_orders():
            return super().cancelOrder(order, manualCancelOrderTime)

    @override
    def reqGlobalCancel(self) -> None:
        with self.hooks.sending_orders():
            super().reqGlobalCancel()

    @override
    def exerciseOptions(
        self,
        contract: Contract,
        exerciseAction: int,
        exerciseQuantity: int,
        account: str,
        override: int,
    ) -> None:
        with self.hooks.sending_orders():
            self.hooks.check_order(None)
            super().exerciseOptions(contract, exerciseAction, exerciseQuantity, account, override)

    @override
    def bracketOrder(
        self,
        action: str,
        quantity: float,
        limitPrice: float,
        takeProfitPrice: float,
        stopLossPrice: float,
        **kwargs: Any,
    ) -> BracketOrder:
        self.hooks.check_order(None)
        return super().bracketOrder(action, quantity, limitPrice, takeProfitPrice, stopLossPrice, **kwargs)

    @override
    def whatIfOrderAsync(self, contract: Contract, order: Order) -> Awaitable[OrderState]:
        self.hooks.check_what_if()
        return super().whatIfOrderAsync(contract, order)
