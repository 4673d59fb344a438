"""The messages of the API: their names and layouts, how to identify them, and which messages answer which request."""

from typing import NamedTuple

from ibkr.wire import data_messages, messages, order_messages, request_layouts
from ibkr.wire.frame import BINARY_IDS, PROTOBUF_IDS, binary_id, split_id
from ibkr.wire.layout import Layout
from ibkr.wire.message_names import message_name

GATEWAY_MESSAGES: dict[str, Layout] = {**messages.LAYOUTS, **data_messages.LAYOUTS, **order_messages.LAYOUTS}
"""What a gateway sends, by name."""

REQUESTS = request_layouts.LAYOUTS
"""What a client sends, by name."""

_REQUESTS_BY_ID = {layout.message_id: layout for layout in REQUESTS.values()}

STREAM_MESSAGES = frozenset(
    {
        *("tickPrice", "tickSize", "tickGeneric", "tickString", "tickEFP", "tickOptionComputation", "tickReqParams"),
        *("tickByTickAllLast", "tickByTickBidAsk", "tickByTickMidPoint", "updateMktDepth", "updateMktDepthL2"),
        *("realtimeBar", "historicalDataUpdate", "tickNews", "pnl", "pnlSingle", "marketDataType"),
    }
)
"""Messages of streams, which come as often as the market moves."""

_IDS = frozenset(layout.message_id for name, layout in GATEWAY_MESSAGES.items() if name in STREAM_MESSAGES) | {47}
_HEADS = frozenset((b"%d\0" % number)[:2] for number in _IDS)
_BINARY_HEADS = frozenset(binary_id(number + added) for number in _IDS for added in (0, PROTOBUF_IDS))


def drop_stream_messages(bodies: list[bytes]) -> list[bytes]:
    """Return the bodies that are not `STREAM_MESSAGES`. Ids of three digits never begin with the bytes in `_HEADS`."""
    return [body for body in bodies if body[:2] not in _HEADS and body[:4] not in _BINARY_HEADS]


ORDER_MESSAGES = frozenset(
    {
        *("placeOrder", "cancelOrder", "reqOpenOrders", "reqAutoOpenOrders", "reqAllOpenOrders", "reqExecutions"),
        *("exerciseOptions", "reqGlobalCancel", "reqCompletedOrders", "orderStatus", "openOrder", "openOrderEnd"),
        *("execDetails", "execDetailsEnd", "commissionReport", "completedOrder", "completedOrdersEnd", "orderBound"),
        *("nextValidId", "reqIds"),
    }
)


class MessageInfo(NamedTuple):
    """The name of a message, its layout (None if unknown), its id, and the rest of its body after the id."""

    name: str
    layout: Layout | None
    message_id: int
    is_protobuf: bool
    payload: bytes


def identify_message(body: bytes, server_version: int, *, is_request: bool) -> MessageInfo:
    """Identify the message of a body. Never raises; the name of an unknown message is `unknown(ID)`."""
    number, is_protobuf, rest = split_id(body, server_version)
    if is_request:
        layout = _REQUESTS_BY_ID.get(number)
        name = layout.name if layout else f"unknown({number})"
    else:
        name = message_name(body)
        layout = GATEWAY_MESSAGES.get(name)
        name = f"unknown({number})" if name == "unknown" else name
    return MessageInfo(name, layout, number, is_protobuf, rest)


def text_id_bytes(number: int, server_version: int) -> bytes:
    """Return the id of a text message as bytes, in the form that the server version uses."""
    return binary_id(number) if server_version >= BINARY_IDS else b"%d\0" % number


_ORDER = "openOrder orderStatus execDetails commissionReport orderBound"
_OPEN_ORDERS = "openOrder orderStatus openOrderEnd"
_TICKS = "tickPrice tickSize tickGeneric tickString tickEFP tickOptionComputation tickReqParams tickSnapshotEnd"

_TABLE = {
    "startApi": "managedAccounts nextValidId",
    "reqMktData": f"{_TICKS} marketDataType tickNews rerouteMktDataReq deltaNeutralValidation",
    "placeOrder": _ORDER,
    "cancelOrder": _ORDER,
    "exerciseOptions": _ORDER,
    "reqGlobalCancel": _ORDER,
    "reqOpenOrders": _OPEN_ORDERS,
    "reqAutoOpenOrders": _OPEN_ORDERS,
    "reqAllOpenOrders": _OPEN_ORDERS,
    "reqAccountUpdates": "updateAccountValue updatePortfolio updateAccountTime accountDownloadEnd",
    "reqExecutions": "execDetails commissionReport execDetailsEnd",
    "reqIds": "nextValidId",
    "reqContractDetails": "contractDetails bondContractDetails contractDetailsEnd",
    "reqMktDepth": "updateMktDepth updateMktDepthL2 rerouteMktDepthReq",
    "reqNewsBulletins": "updateNewsBulletin",
    "reqManagedAccts": "managedAccounts",
    "requestFA": "receiveFA",
    "replaceFA": "replaceFAEnd",
    "reqHistoricalData": "historicalData historicalDataEnd historicalDataUpdate historicalSchedule",
    "reqScannerSubscription": "scannerData",
    "reqScannerParameters": "scannerParameters",
    "reqCurrentTime": "currentTime",
    "reqCurrentTimeInMillis": "currentTimeInMillis",
    "reqRealTimeBars": "realtimeBar",
    "reqFundamentalData": "fundamentalData",
    "calculateImpliedVolatility": "tickOptionComputation",
    "calculateOptionPrice": "tickOptionComputation",
    "reqPositions": "position positionEnd",
    "reqAccountSummary": "accountSummary accountSummaryEnd",
    "queryDisplayGroups": "displayGroupList",
    "subscribeToGroupEvents": "displayGroupUpdated",
    "reqPositionsMulti": "positionMulti positionMultiEnd",
    "reqAccountUpdatesMulti": "accountUpdateMulti accountUpdateMultiEnd",
    "reqSecDefOptParams": "securityDefinitionOptionParameter securityDefinitionOptionParameterEnd",
    "reqSoftDollarTiers": "softDollarTiers",
    "reqFamilyCodes": "familyCodes",
    "reqMatchingSymbols": "symbolSamples",
    "reqMktDepthExchanges": "mktDepthExchanges",
    "reqSmartComponents": "smartComponents",
    "reqNewsArticle": "newsArticle",
    "reqNewsProviders": "newsProviders",
    "reqHistoricalNews": "historicalNews historicalNewsEnd",
    "reqHeadTimeStamp": "headTimestamp",
    "reqHistogramData": "histogramData",
    "reqMarketRule": "marketRule",
    "reqPnL": "pnl",
    "reqPnLSingle": "pnlSingle",
    "reqHistoricalTicks": "historicalTicks historicalTicksBidAsk historicalTicksLast",
    "reqTickByTickData": "tickByTickAllLast tickByTickBidAsk tickByTickMidPoint historicalTicks historicalTicksBidAsk"
    " historicalTicksLast",
    "reqCompletedOrders": "completedOrder completedOrdersEnd",
    "reqWshMetaData": "wshMetaData",
    "reqWshEventData": "wshEventData",
    "reqUserInfo": "userInfo",
    "reqConfig": "configResponse",
    "updateConfig": "updateConfigResponse",
}

ANSWERS_BY_REQUEST: dict[str, tuple[str, ...]] = {name: tuple(_TABLE.get(name, "").split()) for name in REQUESTS}
"""The names of the messages that answer a request, without errors."""

REQUESTS_BY_ANSWER: dict[str, tuple[str, ...]] = {
    answer: tuple(name for name, answers in ANSWERS_BY_REQUEST.items() if answer in answers)
    for answer in GATEWAY_MESSAGES
}
"""The names of the requests that a message may answer."""

CANCELLED_REQUEST: dict[str, str] = {
    "cancelHeadTimeStamp": "reqHeadTimeStamp",
    "cancelContractData": "reqContractDetails",
    "cancelTickByTickData": "reqTickByTickData",
    "unsubscribeFromGroupEvents": "subscribeToGroupEvents",
    "cancelCalculateImpliedVolatility": "calculateImpliedVolatility",
    "cancelCalculateOptionPrice": "calculateOptionPrice",
    **{
        name: name.replace("cancel", "req", 1)
        for name in REQUESTS
        if name.startswith("cancel") and name.replace("cancel", "req", 1) in REQUESTS
    },
}
"""The request that a request of this name cancels."""
