"""The requests of the API by message id, and what answers each of them.

Names are those of ibapi's `EClient`; a request without an answer is known, but not simulated yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibkr.simulator import account, contracts, market_data, orders, session
from ibkr.simulator.reader import FieldReader

if TYPE_CHECKING:
    from ibkr.simulator.client import Client

START_API = "startApi"
NO_REQUEST_ID = 2147483647
"""What TWS gives as the id of a 321 when the request has none (ib_insync issue 1)."""

_READ_ONLY = "Error validating request.-'bN' : cause - The API interface is currently in Read-Only mode."


@dataclass(frozen=True, slots=True)
class Request:
    """A kind of request: `id_at` is the index of its request or order id, None if it has none."""

    message_id: int
    name: str
    id_at: int | None = None
    answer: "Callable[[Client, FieldReader], None] | None" = None
    is_order: bool = False

    def req_id(self, fields: Sequence[str], default: int) -> int:
        """The request's own id, as far as it can be read."""
        if self.id_at is None or self.id_at >= len(fields):
            return default
        text = fields[self.id_at]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


_ALL = (
    Request(1, "reqMktData", 2, market_data.subscribe),
    Request(2, "cancelMktData", 2, market_data.cancel),
    Request(3, "placeOrder", 1, is_order=True),
    Request(4, "cancelOrder", 2, is_order=True),
    Request(5, "reqOpenOrders", None, orders.open_orders, is_order=True),
    Request(6, "reqAccountUpdates", None, account.updates),
    Request(7, "reqExecutions", 2, orders.executions),
    Request(8, "reqIds", None, session.next_valid_id),
    Request(9, "reqContractDetails", 2, contracts.details),
    Request(10, "reqMktDepth", 2),
    Request(11, "cancelMktDepth", 2),
    Request(12, "reqNewsBulletins"),
    Request(13, "cancelNewsBulletins"),
    Request(14, "setServerLogLevel", None, session.accept),
    Request(15, "reqAutoOpenOrders", None, orders.auto_open_orders, is_order=True),
    Request(16, "reqAllOpenOrders", None, orders.open_orders, is_order=True),
    Request(17, "reqManagedAccts", None, session.managed_accounts),
    Request(18, "requestFA"),
    Request(19, "replaceFA", 4),
    Request(20, "reqHistoricalData", 1),
    Request(21, "exerciseOptions", 2, is_order=True),
    Request(22, "reqScannerSubscription", 1),
    Request(23, "cancelScannerSubscription", 2),
    Request(24, "reqScannerParameters"),
    Request(25, "cancelHistoricalData", 2),
    Request(49, "reqCurrentTime", None, session.current_time),
    Request(50, "reqRealTimeBars", 2),
    Request(51, "cancelRealTimeBars", 2),
    Request(52, "reqFundamentalData", 2),
    Request(53, "cancelFundamentalData", 2),
    Request(54, "calculateImpliedVolatility", 2),
    Request(55, "calculateOptionPrice", 2),
    Request(56, "cancelCalculateImpliedVolatility", 2),
    Request(57, "cancelCalculateOptionPrice", 2),
    Request(58, "reqGlobalCancel", None, is_order=True),
    Request(59, "reqMarketDataType", None, session.market_data_type),
    Request(61, "reqPositions", None, account.positions),
    Request(62, "reqAccountSummary", 2, account.summary),
    Request(63, "cancelAccountSummary", 2, account.cancel_summary),
    Request(64, "cancelPositions", None, session.accept),
    Request(71, START_API, None, session.start_again),
    Request(74, "reqPositionsMulti", 2),
    Request(75, "cancelPositionsMulti", 2),
    Request(76, "reqAccountUpdatesMulti", 2, account.updates_multi),
    Request(77, "cancelAccountUpdatesMulti", 2, session.accept),
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
    Request(99, "reqCompletedOrders", None, orders.completed_orders, is_order=True),
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
    return _NAMES.get(message_id) or f"unknown({message_id[:20]})"


def answer(client: "Client", name: str, fields: Sequence[str]) -> None:
    """Answer one request of a session. Raises `Malformed` if it cannot be read."""
    conditions = client.hub.conditions
    request = REQUESTS.get(name)
    if request is None:
        client.hub.log_once(f"request {name} is not one of the API's, answered with 321")
        client.send_error(-1, 321, f"Error validating request.-'bN' : cause - {name}: no such request")
    elif conditions.read_only and request.is_order:
        client.send_error(request.req_id(fields, NO_REQUEST_ID), 321, _READ_ONLY)
    elif request.answer is None:
        # 322 ends the waiting request in the client libraries, 321 would leave it waiting.
        client.hub.log_once(f"request {name} is not simulated, answered with 322")
        text = f"Error processing request.-'bN' : cause - {name} is not simulated"
        client.send_error(request.req_id(fields, -1), 322, text)
    else:
        request.answer(client, FieldReader(fields))
