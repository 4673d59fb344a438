"""Lists what we rely on in the client library, and checks that the installed version has it.

So a difference causes an error when a connector is created, and not a hang or a lost subscription later.

This file has over 300 lines because of the tables.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ibkr.core.errors import ConfigError
from ibkr.session.library.packages import Package

if TYPE_CHECKING:
    from ib_async import IB

logger = logging.getLogger("ibkr.session")

METHODS = {
    "client.Client": {
        "reset": "",
        "isReady": "",
        "isConnected": "",
        "serverVersion": "",
        "connectAsync": "host port clientId timeout",
        "disconnect": "",
        "getReqId": "",
        "updateReqId": "minReqId",
        "getAccounts": "",
        "send": "fields makeEmpty",
        "sendMsg": "msg",
        "startApi": "",
        "connectionStats": "",
        "reqMktData": "reqId contract genericTickList snapshot regulatorySnapshot mktDataOptions",
        "cancelMktData": "reqId",
        "reqTickByTickData": "reqId contract tickType numberOfTicks ignoreSize",
        "cancelTickByTickData": "reqId",
        "reqMktDepth": "reqId contract numRows isSmartDepth mktDepthOptions",
        "cancelMktDepth": "reqId isSmartDepth",
        "reqRealTimeBars": "reqId contract barSize whatToShow useRTH realTimeBarsOptions",
        "cancelRealTimeBars": "reqId",
        "reqHistoricalData": "reqId contract endDateTime durationStr barSizeSetting "
        "whatToShow useRTH formatDate keepUpToDate chartOptions",
        "cancelHistoricalData": "reqId",
        "reqScannerSubscription": "reqId subscription scannerSubscriptionOptions scannerSubscriptionFilterOptions",
        "cancelScannerSubscription": "reqId",
        "reqPnL": "reqId account modelCode",
        "cancelPnL": "reqId",
        "reqPnLSingle": "reqId account modelCode conid",
        "cancelPnLSingle": "reqId",
        "reqAccountUpdates": "subscribe acctCode",
        "reqAccountUpdatesMulti": "reqId account modelCode ledgerAndNLV",
        "cancelAccountUpdatesMulti": "reqId",
        "reqAccountSummary": "reqId groupName tags",
        "cancelAccountSummary": "reqId",
        "reqNewsBulletins": "allMsgs",
        "cancelNewsBulletins": "",
        "reqWshMetaData": "reqId",
        "cancelWshMetaData": "reqId",
        "reqWshEventData": "reqId data",
        "cancelWshEventData": "reqId",
        "subscribeToGroupEvents": "reqId groupId",
        "unsubscribeFromGroupEvents": "reqId",
        "reqAutoOpenOrders": "bAutoBind",
        "reqMarketDataType": "marketDataType",
        "placeOrder": "orderId contract order",
        "cancelOrder": "orderId manualCancelOrderTime",
        "exerciseOptions": "reqId contract exerciseAction exerciseQuantity account override",
        "reqGlobalCancel": "",
        "reqCurrentTime": "",
        "reqPositions": "",
        "reqOpenOrders": "",
        "reqAllOpenOrders": "",
        "reqCompletedOrders": "apiOnly",
        "reqExecutions": "reqId execFilter",
        "_onSocketHasData": "data",
        "_onSocketDisconnected": "msg",
        "reqMatchingSymbols": "reqId pattern",
        "reqMarketRule": "marketRuleId",
        "reqHistoricalNews": "reqId conId providerCodes startDateTime endDateTime totalResults historicalNewsOptions",
        "calculateImpliedVolatility": "reqId contract optionPrice underPrice implVolOptions",
        "cancelCalculateImpliedVolatility": "reqId",
        "calculateOptionPrice": "reqId contract volatility underPrice optPrcOptions",
        "cancelCalculateOptionPrice": "reqId",
        "requestFA": "faData",
        "cancelFundamentalData": "reqId",
        "cancelHeadTimeStamp": "reqId",
        "cancelHistogramData": "tickerId",
        "_prefix": "msg",
    },
    "connection.Connection": {
        "reset": "",
        "connectAsync": "host port",
        "disconnect": "",
        "isConnected": "",
        "sendMsg": "msg",
        "connection_lost": "exc",
        "data_received": "data",
    },
    "wrapper.Wrapper": {
        "reset": "",
        "setEventsDone": "",
        "connectionClosed": "",
        "startReq": "key contract container",
        "_endReq": "key result success",
        "startTicker": "reqId contract tickType",
        "endTicker": "ticker tickType",
        "startSubscription": "reqId subscriber contract",
        "endSubscription": "subscriber",
        "orderKey": "clientId orderId permId",
        "setTimeout": "timeout",
        "_setTimer": "delay",
        "error": "reqId errorCode errorString advancedOrderRejectJson",
        "openOrder": "orderId contract order orderState",
        "orderStatus": "orderId status filled remaining avgFillPrice "
        "permId parentId lastFillPrice clientId whyHeld mktCapPrice",
        "completedOrder": "contract order orderState",
        "execDetails": "reqId contract execution",
        "commissionReport": "commissionReport",
        "updateMktDepthL2": "reqId position marketMaker operation side price size isSmartDepth",
        "accountDownloadEnd": "_account",
        "priceSizeTick": "reqId tickType price size",
        "tickSize": "reqId tickType size",
        "updateAccountValue": "tag val currency account",
        "accountUpdateMulti": "reqId account modelCode tag val currency",
        "position": "account contract posSize avgCost",
        "updatePortfolio": "contract posSize marketPrice marketValue averageCost unrealizedPNL realizedPNL account",
        "connectAck": "",
        "tcpDataArrived": "",
        "tcpDataProcessed": "",
        "positionEnd": "",
    },
    "decoder.Decoder": {
        "interpret": "fields",
        "wrap": "methodName types skip",
        "priceSizeTick": "fields",
        "position": "fields",
        "updatePortfolio": "fields",
        "openOrder": "fields",
        "execDetails": "fields",
        "completedOrder": "fields",
        "parse": "obj",
    },
    "ib.IB": {
        "disconnect": "",
        "run": "awaitables timeout",
        "_run": "awaitables",
        "sleep": "secs",
        "waitUntil": "t",
        "timeRange": "start end step",
        "timeRangeAsync": "start end step",
        "waitOnUpdate": "timeout",
        "placeOrder": "contract order",
        "cancelOrder": "order manualCancelOrderTime",
        "exerciseOptions": "contract exerciseAction exerciseQuantity account override",
        "reqGlobalCancel": "",
        "bracketOrder": "action quantity limitPrice takeProfitPrice stopLossPrice kwargs",
        "whatIfOrderAsync": "contract order",
        "reqCurrentTimeAsync": "",
        "_onError": "reqId errorCode errorString contract",
        "reqHistoricalData": "contract endDateTime durationStr barSizeSetting whatToShow useRTH "
        "formatDate keepUpToDate chartOptions timeout",
        "reqHistoricalDataAsync": "contract endDateTime durationStr barSizeSetting whatToShow useRTH "
        "formatDate keepUpToDate chartOptions timeout",
        "reqMatchingSymbolsAsync": "pattern",
        "reqMarketRuleAsync": "marketRuleId",
        "reqHistoricalNewsAsync": "conId providerCodes startDateTime endDateTime totalResults historicalNewsOptions",
        "calculateImpliedVolatilityAsync": "contract optionPrice underPrice implVolOptions",
        "calculateOptionPriceAsync": "contract volatility underPrice optPrcOptions",
        "requestFAAsync": "faDataType",
        "reqAutoOpenOrders": "autoBind",
        "reqPositionsAsync": "",
        "reqOpenOrdersAsync": "",
        "reqCompletedOrdersAsync": "apiOnly",
        "reqAllOpenOrdersAsync": "",
        "reqAccountUpdatesAsync": "account",
        "reqAccountUpdatesMultiAsync": "account modelCode",
        "reqExecutionsAsync": "execFilter",
        "reqCurrentTime": "",
    },
}
"""The methods that we call or override, by class, with the names of their parameters."""

ATTRIBUTES = {
    "ib.IB": """
        client wrapper RequestTimeout RaiseRequestErrors
        connectedEvent disconnectedEvent errorEvent timeoutEvent updateEvent orderStatusEvent execDetailsEvent
        barUpdateEvent positionEvent updatePortfolioEvent accountValueEvent newOrderEvent orderModifyEvent _logger
        """,
    "client.Client": """
        wrapper decoder conn host port clientId connectOptions connState DISCONNECTED CONNECTING CONNECTED
        MinClientVersion MaxClientVersion apiStart apiEnd throttleStart throttleEnd
        _apiReady _serverVersion _hasReqId _reqIdSeq _accounts _numBytesRecv _numMsgRecv _isThrottling _logger
        """,
    "connection.Connection": "transport numBytesSent numMsgSent hasData disconnected",
    "wrapper.Wrapper": """
        ib clientId accountValues acctSummary portfolio positions trades permId2Trade fills tickers pendingTickers
        reqId2Ticker ticker2ReqId reqId2Subscriber reqId2PnL reqId2PnlSingle pnlKey2ReqId pnlSingleKey2ReqId
        newsTicks msgId2NewsBulletin
        wshMetaReqId wshEventReqId lastTime _futures _results _reqId2Contract _timeout _timeoutHandle _logger
        """,
    "decoder.Decoder": "wrapper serverVersion handlers",
    "ticker.Ticker": """
        contract updateEvent ticks domBids domAsks bid bidSize ask askSize last lastSize close
        prevBid prevBidSize prevAsk prevAskSize prevLast prevLastSize
        """,
    "order.Trade": """
        contract order orderStatus fills log advancedError isDone filled
        statusEvent fillEvent filledEvent cancelledEvent
        """,
    "order.Order": """
        orderId clientId permId account action totalQuantity orderType lmtPrice auxPrice orderRef whatIf filledQuantity
        """,
    "order.OrderStatus": "status filled remaining avgFillPrice permId parentId lastFillPrice mktCapPrice",
    "order.OrderState": "status completedTime",
    "objects.Execution": "execId time acctNumber side shares price permId clientId orderId cumQty avgPrice orderRef",
    "objects.CommissionReport": "execId commission realizedPNL",
    "contract.Contract": """
        conId symbol secType lastTradeDateOrContractMonth strike right multiplier exchange primaryExchange currency
        localSymbol tradingClass
        """,
}
"""The attributes that a new object has, by class."""


_WRAPPED_ARGUMENTS = "args kwargs"
"""The parameters of a method that a program has wrapped."""


def check_library(package: Package) -> bool:
    """Check the installed version. Returns whether it is the one that our subclasses were written for.

    If the installed version is another one without such differences, one warning is logged per process.

    Raises:
        ConfigError: The installed version differs in something that we rely on.
    """
    found = differences(package.name)
    if found:
        named = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
        raise ConfigError(
            "ibkr.backend",
            package.name,
            f"the installed {package.name} {package.version} differs from what ibkr relies on: {named}."
            f" Install the version that ibkr was written for: python -m pip install '{package.name}=={package.known}'",
        )
    if package.version != package.known:
        _warn_unknown(package)
        return False
    return True


@cache  # once per process
def _warn_unknown(package: Package) -> None:
    logger.warning(
        "ibkr was written for %s %s, and %s is installed. It has everything that ibkr relies on. Prices and account"
        " values are read by the library's own code, which is slower in bursts",
        package.name,
        package.known,
        package.version,
    )


@cache
def differences(name: str) -> tuple[str, ...]:
    """How the imported library with this name differs from the tables, in words."""
    methods = tuple(_differing_methods(name))
    return methods or tuple(_missing_attributes(name))  # without the methods, objects cannot be created


def _differing_methods(name: str) -> Iterator[str]:
    for path, methods in METHODS.items():
        module, _, cls_name = path.partition(".")
        cls = getattr(import_module(f"{name}.{module}"), cls_name, None)
        if cls is None:
            yield f"{name}.{path} is missing"
            continue
        for method, expected in methods.items():
            found = inspect.getattr_static(cls, method, None)
            if found is None:
                yield f"{name}.{path}.{method}() is missing"
            elif not _is_same(taken := _parameters(getattr(cls, method)), expected):
                yield f"{name}.{path}.{method}() takes ({_comma_list(taken)}), not ({_comma_list(expected)})"


def _missing_attributes(name: str) -> Iterator[str]:
    for path, obj in _objects(name):
        for attribute in ATTRIBUTES[path].split():
            if not hasattr(obj, attribute):
                yield f"{name}.{path}.{attribute} is missing"


def _objects(name: str) -> Iterator[tuple[str, object]]:
    """An object of each class in ``ATTRIBUTES``."""
    ib: IB = import_module(name).IB()
    client = ib.client
    parts = (ib, client, client.conn, ib.wrapper, client.decoder)
    for path, part in zip(ATTRIBUTES, (*parts, *[None] * len(ATTRIBUTES)), strict=False):
        module, _, cls_name = path.partition(".")
        yield path, getattr(import_module(f"{name}.{module}"), cls_name)() if part is None else part


def _parameters(method: Callable[..., object]) -> str:
    code = getattr(method, "__code__", None)
    if code is None or hasattr(method, "__wrapped__"):
        names = list(inspect.signature(method).parameters)
    else:  # the same result, a hundred times faster
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
        names = list(code.co_varnames[: count + bool(code.co_flags & inspect.CO_VARKEYWORDS)])
    return " ".join(name for name in names if name != "self")


def _is_same(taken: str, expected: str) -> bool:
    """Whether the names are the same. Their order does not matter, because arguments are passed by name."""
    return taken == _WRAPPED_ARGUMENTS or sorted(taken.split()) == sorted(expected.split())


def _comma_list(parameters: str) -> str:
    return ", ".join(parameters.split())
