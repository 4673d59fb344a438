"""The program's own calls: connecting is left to the connector, blocking calls run in its event loop, orders are
checked.

The library's own way to block, ``util.run``, is broken off by the process-wide ``globalErrorEvent``: the end of one
session raises in whatever call of any other ``IB`` blocks at that moment.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ib_async import IB as _Base  # noqa: N811
    from ib_async import BracketOrder, Contract, Order, OrderState, Trade
    from typing_extensions import override

    from ibkr.session.library.client import ClientOverrides
    from ibkr.session.library.hooks import Hooks
    from ibkr.session.library.wrapper import WrapperOverrides
else:
    from ibkr.session.library.unbound import Base as _Base
    from ibkr.session.library.unbound import override

_Moment = dt.datetime | dt.time


class IBOverrides(_Base):
    """The program holds it as ``connector.ib``."""

    client: ClientOverrides
    wrapper: WrapperOverrides
    hooks: Hooks

    def adopt(self, hooks: Hooks) -> None:
        """Set what the constructor of the library's class does not."""
        self.hooks = hooks

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
    def disconnect(self) -> bool:  # type: ignore[override] # as the connector's
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
            for awaitable in awaitables:  # one that was refused will never be awaited
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

    # Orders. Some of these calls take order ids before they send anything, or without sending anything.

    @override
    def placeOrder(self, contract: Contract, order: Order) -> Trade:
        with self.hooks.sending_orders():
            self.hooks.check_order(order)
            return super().placeOrder(contract, order)

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
