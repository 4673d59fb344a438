"""The requests of the API by message id, named as ibapi's `EClient` names them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ibkr.simulator.requests.reader import printable

START_API = "startApi"


@dataclass(frozen=True, slots=True)
class Request:
    """A kind of request: `id_at` is the index of its request or order id, None if it has none.

    `moved` is a server version and the index from there on.
    """

    message_id: int
    name: str
    id_at: int | None = None
    is_order: bool = False
    moved: tuple[int, int] | None = None

    def req_id(self, fields: Sequence[str], default: int, server_version: int) -> int:
        """The request's own id, as far as it can be read."""
        id_at = self.moved[1] if self.moved and server_version >= self.moved[0] else self.id_at
        if id_at is None or id_at >= len(fields):
            return default
        text = fields[id_at]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


_ALL = (
    Request(1, "reqMktData", 2),
    Request(2, "cancelMktData", 2),
    Request(3, "placeOrder", 1, is_order=True),
    Request(4, "cancelOrder", 2, is_order=True, moved=(192, 1)),
    Request(5, "reqOpenOrders", None, is_order=True),
    Request(6, "reqAccountUpdates"),
    Request(7, "reqExecutions", 2),
    Request(8, "reqIds"),
    Request(9, "reqContractDetails", 2),
    Request(10, "reqMktDepth", 2),
    Request(11, "cancelMktDepth", 2),
    Request(12, "reqNewsBulletins"),
    Request(13, "cancelNewsBulletins"),
    Request(14, "setServerLogLevel"),
    Request(15, "reqAutoOpenOrders", None, is_order=True),
    Request(16, "reqAllOpenOrders", None, is_order=True),
    Request(17, "reqManagedAccts"),
    Request(18, "requestFA"),
    Request(19, "replaceFA", 4),
    Request(20, "reqHistoricalData", 1),
    Request(21, "exerciseOptions", 2, is_order=True),
    Request(22, "reqScannerSubscription", 1),
    Request(23, "cancelScannerSubscription", 2),
    Request(24, "reqScannerParameters"),
    Request(25, "cancelHistoricalData", 2),
    Request(49, "reqCurrentTime"),
    Request(50, "reqRealTimeBars", 2),
    Request(51, "cancelRealTimeBars", 2),
    Request(52, "reqFundamentalData", 2),
    Request(53, "cancelFundamentalData", 2),
    Request(54, "calculateImpliedVolatility", 2),
    Request(55, "calculateOptionPrice", 2),
    Request(56, "cancelCalculateImpliedVolatility", 2),
    Request(57, "cancelCalculateOptionPrice", 2),
    Request(58, "reqGlobalCancel", None, is_order=True),
    Request(59, "reqMarketDataType"),
    Request(61, "reqPositions"),
    Request(62, "reqAccountSummary", 2),
    Request(63, "cancelAccountSummary", 2),
    Request(64, "cancelPositions"),
    Request(67, "queryDisplayGroups", 2),
    Request(68, "subscribeToGroupEvents", 2),
    Request(69, "updateDisplayGroup", 2),
    Request(70, "unsubscribeFromGroupEvents", 2),
    Request(71, START_API),
    Request(74, "reqPositionsMulti", 2),
    Request(75, "cancelPositionsMulti", 2),
    Request(76, "reqAccountUpdatesMulti", 2),
    Request(77, "cancelAccountUpdatesMulti", 2),
    Request(78, "reqSecDefOptParams", 1),
    Request(79, "reqSoftDollarTiers", 1),
    Request(80, "reqFamilyCodes"),
    Request(81, "reqMatchingSymbols", 1),
    Request(82, "reqMktDepthExchanges"),
    Request(83, "reqSmartComponents", 1),
    Request(84, "reqNewsArticle", 1),
    Request(85, "reqNewsProviders"),
    Request(86, "reqHistoricalNews", 1),
    Request(87, "reqHeadTimeStamp", 1),
    Request(88, "reqHistogramData", 1),
    Request(89, "cancelHistogramData", 1),
    Request(90, "cancelHeadTimeStamp", 1),
    Request(91, "reqMarketRule"),
    Request(92, "reqPnL", 1),
    Request(93, "cancelPnL", 1),
    Request(94, "reqPnLSingle", 1),
    Request(95, "cancelPnLSingle", 1),
    Request(96, "reqHistoricalTicks", 1),
    Request(97, "reqTickByTickData", 1),
    Request(98, "cancelTickByTickData", 1),
    Request(99, "reqCompletedOrders", None, is_order=True),
    Request(100, "reqWshMetaData", 1),
    Request(101, "cancelWshMetaData", 1),
    Request(102, "reqWshEventData", 1),
    Request(103, "cancelWshEventData", 1),
    Request(104, "reqUserInfo", 1),
    Request(105, "reqCurrentTimeInMillis"),
)

REQUESTS: dict[str, Request] = {request.name: request for request in _ALL}
_NAMES: dict[str, str] = {str(request.message_id): request.name for request in _ALL}


def request_name(fields: Sequence[str]) -> str:
    """The request's name, or `unknown(ID)`."""
    message_id = fields[0] if fields else ""
    return _NAMES.get(message_id) or f"unknown({printable(message_id[:20])})"
