"""Overrides requests with one answer for which the library has a short timeout of its own.

The library returns ``None`` after 1 or 4 s, as if there was nothing. These methods wait until the deadline, and
raise ``TimeoutError`` then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from typing import TYPE_CHECKING

from ibkr.session.library.hooks import Answer

if TYPE_CHECKING:
    from ib_async import IB as _Base  # noqa: N811
    from ib_async import Contract, ContractDescription, HistoricalNews, OptionComputation, PriceIncrement, TagValue
    from typing_extensions import override
else:
    from ibkr.session.library.mixin_base import Base as _Base
    from ibkr.session.library.mixin_base import override


class SingleAnswers(_Base):
    """Each method begins a request, sends it, and awaits its answer."""

    @override
    async def reqMatchingSymbolsAsync(self, pattern: str) -> list[ContractDescription] | None:
        req_id = self.client.getReqId()
        future = self._begin(req_id)
        self.client.reqMatchingSymbols(req_id, pattern)
        found: list[ContractDescription] = await future
        return found

    @override
    async def reqMarketRuleAsync(self, marketRuleId: int) -> list[PriceIncrement] | None:
        future = self._begin(f"marketRule-{marketRuleId}")
        self.client.reqMarketRule(marketRuleId)
        found: list[PriceIncrement] = await future
        return found

    @override
    async def reqHistoricalNewsAsync(
        self,
        conId: int,
        providerCodes: str,
        startDateTime: str | dt.date,
        endDateTime: str | dt.date,
        totalResults: int,
        historicalNewsOptions: list[TagValue] = [],  # noqa: B006 - as in the library
    ) -> HistoricalNews | None:
        req_id = self.client.getReqId()
        future = self._begin(req_id)
        start, end = _utc_text(startDateTime), _utc_text(endDateTime)
        self.client.reqHistoricalNews(req_id, conId, providerCodes, start, end, totalResults, historicalNewsOptions)
        news: HistoricalNews = await future
        return news

    @override
    async def calculateImpliedVolatilityAsync(
        self,
        contract: Contract,
        optionPrice: float,
        underPrice: float,
        implVolOptions: list[TagValue] = [],  # noqa: B006 - as in the library
    ) -> OptionComputation | None:
        req_id = self.client.getReqId()
        future = self._begin(req_id, contract)
        self.client.calculateImpliedVolatility(req_id, contract, optionPrice, underPrice, implVolOptions)
        try:
            computation: OptionComputation = await future
            return computation
        finally:
            self.client.cancelCalculateImpliedVolatility(req_id)

    @override
    async def calculateOptionPriceAsync(
        self,
        contract: Contract,
        volatility: float,
        underPrice: float,
        optPrcOptions: list[TagValue] = [],  # noqa: B006 - as in the library
    ) -> OptionComputation | None:
        req_id = self.client.getReqId()
        future = self._begin(req_id, contract)
        self.client.calculateOptionPrice(req_id, contract, volatility, underPrice, optPrcOptions)
        try:
            computation: OptionComputation = await future
            return computation
        finally:
            self.client.cancelCalculateOptionPrice(req_id)

    @override
    async def requestFAAsync(self, faDataType: int) -> str:
        future = self._begin("requestFA")
        self.client.requestFA(faDataType)
        text: str = await future
        return text

    def _begin(self, key: Hashable, contract: Contract | None = None) -> Answer:
        future: Answer = self.wrapper.startReq(key, contract)
        return future


def _utc_text(moment: str | dt.date | None) -> str:
    """A time in IB's format. A date means the end of this day, as in the library."""
    if isinstance(moment, str) or moment is None:
        return moment or ""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day, 23, 59, 59)
    return f"{moment.astimezone(dt.UTC):%Y%m%d %H:%M:%S UTC}"
