"""`REQUESTS`: the requests of the API by id and name, as in ibapi's `EClient`. `parse_request` reads one."""

from dataclasses import dataclass

from ibkr.simulator.requests.field_reader import FieldReader, ProtobufReader, UnreadableRequest, printable
from ibkr.wire import decode_fields, protobuf_schema
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.layout import LayoutError

START_API = "startApi"


@dataclass(frozen=True, slots=True)
class Request:
    """A kind of request. `protobuf` is its protobuf message. `id_at` is the index of its request or order id in text.

    `id_at` is `None` if the request has no id. `moved` is a server version and the index from that version on. `since`
    is the first server version that has the request.
    """

    message_id: int
    name: str
    protobuf: str
    id_at: int | None = None
    is_order: bool = False
    moved: tuple[int, int] | None = None
    since: int = 0

    def req_id(self, fields: FieldReader, default: int, server_version: int) -> int:
        """Return the request's own id, or the default if it cannot be read."""
        id_at = self.moved[1] if self.moved and server_version >= self.moved[0] else self.id_at
        text = "" if id_at is None else fields.id_text(id_at)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


_ALL = (
    Request(1, "reqMktData", "MarketDataRequest", 2),
    Request(2, "cancelMktData", "CancelMarketData", 2),
    Request(3, "placeOrder", "PlaceOrderRequest", 1, is_order=True),
    Request(4, "cancelOrder", "CancelOrderRequest", 2, is_order=True, moved=(192, 1)),
    Request(5, "reqOpenOrders", "OpenOrdersRequest", is_order=True),
    Request(6, "reqAccountUpdates", "AccountDataRequest"),
    Request(7, "reqExecutions", "ExecutionRequest", 2),
    Request(8, "reqIds", "IdsRequest"),
    Request(9, "reqContractDetails", "ContractDataRequest", 2),
    Request(10, "reqMktDepth", "MarketDepthRequest", 2),
    Request(11, "cancelMktDepth", "CancelMarketDepth", 2),
    Request(12, "reqNewsBulletins", "NewsBulletinsRequest"),
    Request(13, "cancelNewsBulletins", "CancelNewsBulletins"),
    Request(14, "setServerLogLevel", "SetServerLogLevelRequest"),
    Request(15, "reqAutoOpenOrders", "AutoOpenOrdersRequest", is_order=True),
    Request(16, "reqAllOpenOrders", "AllOpenOrdersRequest", is_order=True),
    Request(17, "reqManagedAccts", "ManagedAccountsRequest"),
    Request(18, "requestFA", "FARequest"),
    Request(19, "replaceFA", "FAReplace", 4),
    Request(20, "reqHistoricalData", "HistoricalDataRequest", 1),
    Request(21, "exerciseOptions", "ExerciseOptionsRequest", 2, is_order=True),
    Request(22, "reqScannerSubscription", "ScannerSubscriptionRequest", 1),
    Request(23, "cancelScannerSubscription", "CancelScannerSubscription", 2),
    Request(24, "reqScannerParameters", "ScannerParametersRequest"),
    Request(25, "cancelHistoricalData", "CancelHistoricalData", 2),
    Request(49, "reqCurrentTime", "CurrentTimeRequest"),
    Request(50, "reqRealTimeBars", "RealTimeBarsRequest", 2),
    Request(51, "cancelRealTimeBars", "CancelRealTimeBars", 2),
    Request(52, "reqFundamentalData", "FundamentalsDataRequest", 2),
    Request(53, "cancelFundamentalData", "CancelFundamentalsData", 2),
    Request(54, "calculateImpliedVolatility", "CalculateImpliedVolatilityRequest", 2),
    Request(55, "calculateOptionPrice", "CalculateOptionPriceRequest", 2),
    Request(56, "cancelCalculateImpliedVolatility", "CancelCalculateImpliedVolatility", 2),
    Request(57, "cancelCalculateOptionPrice", "CancelCalculateOptionPrice", 2),
    Request(58, "reqGlobalCancel", "GlobalCancelRequest", is_order=True),
    Request(59, "reqMarketDataType", "MarketDataTypeRequest"),
    Request(61, "reqPositions", "PositionsRequest"),
    Request(62, "reqAccountSummary", "AccountSummaryRequest", 2),
    Request(63, "cancelAccountSummary", "CancelAccountSummary", 2),
    Request(64, "cancelPositions", "CancelPositions"),
    Request(67, "queryDisplayGroups", "QueryDisplayGroupsRequest", 2),
    Request(68, "subscribeToGroupEvents", "SubscribeToGroupEventsRequest", 2),
    Request(69, "updateDisplayGroup", "UpdateDisplayGroupRequest", 2),
    Request(70, "unsubscribeFromGroupEvents", "UnsubscribeFromGroupEventsRequest", 2),
    Request(71, START_API, "StartApiRequest"),
    Request(74, "reqPositionsMulti", "PositionsMultiRequest", 2),
    Request(75, "cancelPositionsMulti", "CancelPositionsMulti", 2),
    Request(76, "reqAccountUpdatesMulti", "AccountUpdatesMultiRequest", 2),
    Request(77, "cancelAccountUpdatesMulti", "CancelAccountUpdatesMulti", 2),
    Request(78, "reqSecDefOptParams", "SecDefOptParamsRequest", 1),
    Request(79, "reqSoftDollarTiers", "SoftDollarTiersRequest", 1),
    Request(80, "reqFamilyCodes", "FamilyCodesRequest"),
    Request(81, "reqMatchingSymbols", "MatchingSymbolsRequest", 1),
    Request(82, "reqMktDepthExchanges", "MarketDepthExchangesRequest"),
    Request(83, "reqSmartComponents", "SmartComponentsRequest", 1),
    Request(84, "reqNewsArticle", "NewsArticleRequest", 1),
    Request(85, "reqNewsProviders", "NewsProvidersRequest"),
    Request(86, "reqHistoricalNews", "HistoricalNewsRequest", 1),
    Request(87, "reqHeadTimeStamp", "HeadTimestampRequest", 1),
    Request(88, "reqHistogramData", "HistogramDataRequest", 1),
    Request(89, "cancelHistogramData", "CancelHistogramData", 1),
    Request(90, "cancelHeadTimeStamp", "CancelHeadTimestamp", 1),
    Request(91, "reqMarketRule", "MarketRuleRequest"),
    Request(92, "reqPnL", "PnLRequest", 1),
    Request(93, "cancelPnL", "CancelPnL", 1),
    Request(94, "reqPnLSingle", "PnLSingleRequest", 1),
    Request(95, "cancelPnLSingle", "CancelPnLSingle", 1),
    Request(96, "reqHistoricalTicks", "HistoricalTicksRequest", 1),
    Request(97, "reqTickByTickData", "TickByTickRequest", 1),
    Request(98, "cancelTickByTickData", "CancelTickByTick", 1),
    Request(99, "reqCompletedOrders", "CompletedOrdersRequest", is_order=True),
    Request(100, "reqWshMetaData", "WshMetaDataRequest", 1),
    Request(101, "cancelWshMetaData", "CancelWshMetaData", 1),
    Request(102, "reqWshEventData", "WshEventDataRequest", 1),
    Request(103, "cancelWshEventData", "CancelWshEventData", 1),
    Request(104, "reqUserInfo", "UserInfoRequest", 1),
    Request(105, "reqCurrentTimeInMillis", "CurrentTimeInMillisRequest", since=197),
    Request(106, "cancelContractData", "CancelContractData", 1, since=215),
    Request(107, "cancelHistoricalTicks", "CancelHistoricalTicks", 1, since=215),
    Request(108, "reqConfig", "ConfigRequest", 1, since=219),
    Request(109, "updateConfig", "UpdateConfigRequest", 1, since=221),
)

REQUESTS: dict[str, Request] = {request.name: request for request in _ALL}
_BY_ID: dict[str, Request] = {str(request.message_id): request for request in _ALL}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A received request: its name, or `unknown(ID)`; its fields as texts, with the id first; and their reader."""

    name: str
    texts: list[str]
    fields: FieldReader


def parse_request(body: bytes, server_version: int) -> ReceivedRequest:
    """Parse a request. If its fields cannot be parsed, reading them raises `MalformedField`."""
    number, is_protobuf, rest = split_id(body, server_version)
    if server_version < BINARY_IDS:
        texts = decode_fields(body)
    else:
        texts = [str(number), *([] if is_protobuf else decode_fields(rest))]
    request = _BY_ID.get(texts[0] if texts else "")
    if request is None:
        return ReceivedRequest(f"unknown({printable(texts[0][:20] if texts else '')})", texts, FieldReader(texts))
    if not is_protobuf:
        return ReceivedRequest(request.name, texts, FieldReader(texts))
    try:
        message = protobuf_schema.parse(request.protobuf, rest)
    except LayoutError as error:
        return ReceivedRequest(request.name, texts, UnreadableRequest(str(error)))
    return ReceivedRequest(request.name, [*texts, *protobuf_schema.texts(message)], ProtobufReader(message))
