"""Overrides the client's methods that request and cancel streams. They pass their arguments to the session by name.

``ib.reqMktData(...)`` and similar methods call these methods, and so do programs that use the client directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from ib_async import Contract, ScannerSubscription, TagValue, WshEventData
    from ib_async.client import Client as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from ibkr.session.library.mixin_base import Base as _Base
    from ibkr.session.library.mixin_base import override


class StreamRequests(_Base):
    """Passes requests to the session, which sends them with ``ClientOverrides.call_library``."""

    hooks: Hooks

    @override
    def reqMktData(
        self,
        reqId: int,
        contract: Contract,
        genericTickList: str,
        snapshot: bool,
        regulatorySnapshot: bool,
        mktDataOptions: list[TagValue],
    ) -> None:
        self.hooks.request(
            "reqMktData",
            {
                "reqId": reqId,
                "contract": contract,
                "genericTickList": genericTickList,
                "snapshot": snapshot,
                "regulatorySnapshot": regulatorySnapshot,
                "mktDataOptions": mktDataOptions,
            },
        )

    @override
    def cancelMktData(self, reqId: int) -> None:
        self.hooks.cancel("cancelMktData", {"reqId": reqId})

    @override
    def reqTickByTickData(
        self, reqId: int, contract: Contract, tickType: str, numberOfTicks: int, ignoreSize: bool
    ) -> None:
        self.hooks.request(
            "reqTickByTickData",
            {
                "reqId": reqId,
                "contract": contract,
                "tickType": tickType,
                "numberOfTicks": numberOfTicks,
                "ignoreSize": ignoreSize,
            },
        )

    @override
    def cancelTickByTickData(self, reqId: int) -> None:
        self.hooks.cancel("cancelTickByTickData", {"reqId": reqId})

    @override
    def reqMktDepth(
        self, reqId: int, contract: Contract, numRows: int, isSmartDepth: bool, mktDepthOptions: list[TagValue]
    ) -> None:
        self.hooks.request(
            "reqMktDepth",
            {
                "reqId": reqId,
                "contract": contract,
                "numRows": numRows,
                "isSmartDepth": isSmartDepth,
                "mktDepthOptions": mktDepthOptions,
            },
        )

    @override
    def cancelMktDepth(self, reqId: int, isSmartDepth: bool) -> None:
        self.hooks.cancel("cancelMktDepth", {"reqId": reqId, "isSmartDepth": isSmartDepth})

    @override
    def reqRealTimeBars(
        self,
        reqId: int,
        contract: Contract,
        barSize: int,
        whatToShow: str,
        useRTH: bool,
        realTimeBarsOptions: list[TagValue],
    ) -> None:
        self.hooks.request(
            "reqRealTimeBars",
            {
                "reqId": reqId,
                "contract": contract,
                "barSize": barSize,
                "whatToShow": whatToShow,
                "useRTH": useRTH,
                "realTimeBarsOptions": realTimeBarsOptions,
            },
        )

    @override
    def cancelRealTimeBars(self, reqId: int) -> None:
        self.hooks.cancel("cancelRealTimeBars", {"reqId": reqId})

    @override
    def reqHistoricalData(
        self,
        reqId: int,
        contract: Contract,
        endDateTime: dt.datetime | dt.date | str | None,
        durationStr: str,
        barSizeSetting: str,
        whatToShow: str,
        useRTH: bool,
        formatDate: int,
        keepUpToDate: bool,
        chartOptions: list[TagValue],
    ) -> None:
        self.hooks.request(
            "reqHistoricalData",
            {
                "reqId": reqId,
                "contract": contract,
                "endDateTime": endDateTime,
                "durationStr": durationStr,
                "barSizeSetting": barSizeSetting,
                "whatToShow": whatToShow,
                "useRTH": useRTH,
                "formatDate": formatDate,
                "keepUpToDate": keepUpToDate,
                "chartOptions": chartOptions,
            },
        )

    @override
    def cancelHistoricalData(self, reqId: int) -> None:
        self.hooks.cancel("cancelHistoricalData", {"reqId": reqId})

    @override
    def reqScannerSubscription(
        self,
        reqId: int,
        subscription: ScannerSubscription,
        scannerSubscriptionOptions: list[TagValue],
        scannerSubscriptionFilterOptions: list[TagValue],
    ) -> None:
        self.hooks.request(
            "reqScannerSubscription",
            {
                "reqId": reqId,
                "subscription": subscription,
                "scannerSubscriptionOptions": scannerSubscriptionOptions,
                "scannerSubscriptionFilterOptions": scannerSubscriptionFilterOptions,
            },
        )

    @override
    def cancelScannerSubscription(self, reqId: int) -> None:
        self.hooks.cancel("cancelScannerSubscription", {"reqId": reqId})

    @override
    def reqPnL(self, reqId: int, account: str, modelCode: str) -> None:
        self.hooks.request("reqPnL", {"reqId": reqId, "account": account, "modelCode": modelCode})

    @override
    def cancelPnL(self, reqId: int) -> None:
        self.hooks.cancel("cancelPnL", {"reqId": reqId})

    @override
    def reqPnLSingle(self, reqId: int, account: str, modelCode: str, conid: int) -> None:
        self.hooks.request("reqPnLSingle", {"reqId": reqId, "account": account, "modelCode": modelCode, "conid": conid})

    @override
    def cancelPnLSingle(self, reqId: int) -> None:
        self.hooks.cancel("cancelPnLSingle", {"reqId": reqId})

    @override
    def reqAccountUpdates(self, subscribe: bool, acctCode: str) -> None:
        self.hooks.request("reqAccountUpdates", {"subscribe": subscribe, "acctCode": acctCode})

    @override
    def reqAccountUpdatesMulti(self, reqId: int, account: str, modelCode: str, ledgerAndNLV: bool) -> None:
        self.hooks.request(
            "reqAccountUpdatesMulti",
            {"reqId": reqId, "account": account, "modelCode": modelCode, "ledgerAndNLV": ledgerAndNLV},
        )

    @override
    def cancelAccountUpdatesMulti(self, reqId: int) -> None:
        self.hooks.cancel("cancelAccountUpdatesMulti", {"reqId": reqId})

    @override
    def reqAccountSummary(self, reqId: int, groupName: str, tags: str) -> None:
        self.hooks.request("reqAccountSummary", {"reqId": reqId, "groupName": groupName, "tags": tags})

    @override
    def cancelAccountSummary(self, reqId: int) -> None:
        self.hooks.cancel("cancelAccountSummary", {"reqId": reqId})

    @override
    def reqNewsBulletins(self, allMsgs: bool) -> None:
        self.hooks.request("reqNewsBulletins", {"allMsgs": allMsgs})

    @override
    def cancelNewsBulletins(self) -> None:
        self.hooks.cancel("cancelNewsBulletins", {})

    @override
    def reqWshMetaData(self, reqId: int) -> None:
        self.hooks.request("reqWshMetaData", {"reqId": reqId})

    @override
    def cancelWshMetaData(self, reqId: int) -> None:
        self.hooks.cancel("cancelWshMetaData", {"reqId": reqId})

    @override
    def reqWshEventData(self, reqId: int, data: WshEventData) -> None:
        self.hooks.request("reqWshEventData", {"reqId": reqId, "data": data})

    @override
    def cancelWshEventData(self, reqId: int) -> None:
        self.hooks.cancel("cancelWshEventData", {"reqId": reqId})

    @override
    def subscribeToGroupEvents(self, reqId: int, groupId: int) -> None:
        self.hooks.request("subscribeToGroupEvents", {"reqId": reqId, "groupId": groupId})

    @override
    def unsubscribeFromGroupEvents(self, reqId: int) -> None:
        self.hooks.cancel("unsubscribeFromGroupEvents", {"reqId": reqId})

    @override
    def reqAutoOpenOrders(self, bAutoBind: bool) -> None:
        self.hooks.request("reqAutoOpenOrders", {"bAutoBind": bAutoBind})

    @override
    def reqMarketDataType(self, marketDataType: int) -> None:
        self.hooks.market_data_type(marketDataType)
