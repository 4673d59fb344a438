"""The requests of the API by message id, and what answers each of them.

Names are those of ibapi's `EClient`; a request without an answer is known, but not simulated yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibkr.simulator.accounts import account
from ibkr.simulator.history import historical, past_ticks
from ibkr.simulator.orders import orders
from ibkr.simulator.requests import calculations, contracts, display_groups, scripted, session
from ibkr.simulator.requests.asking import refuse
from ibkr.simulator.requests.reader import FieldReader, printable
from ibkr.simulator.streams import bars, depth, market_data, scanner, tick_by_tick

if TYPE_CHECKING:
    from ibkr.simulator.connection.client import Client

START_API = "startApi"
NO_REQUEST_ID = 2147483647
"""What TWS gives as the id of a 321 when the request has none (ib_insync issue 1)."""

_READ_ONLY = "The API interface is currently in Read-Only mode."


@dataclass(frozen=True, slots=True)
class Request:
    """A kind of request: `id_at` is the index of its request or order id, None if it has none.

    `moved` is a server version and the index from there on.
    """

    message_id: int
    name: str
    id_at: int | None = None
    answer: "Callable[[Client, FieldReader], None] | None" = None
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
    Request(1, "reqMktData", 2, market_data.subscribe),
    Request(2, "cancelMktData", 2, market_data.cancel),
    Request(3, "placeOrder", 1, orders.place, is_order=True),
    Request(4, "cancelOrder", 2, orders.cancel, is_order=True, moved=(192, 1)),
    Request(5, "reqOpenOrders", None, orders.open_orders, is_order=True),
    Request(6, "reqAccountUpdates", None, account.updates),
    Request(7, "reqExecutions", 2, orders.executions),
    Request(8, "reqIds", None, session.next_valid_id),
    Request(9, "reqContractDetails", 2, contracts.details),
    Request(10, "reqMktDepth", 2, depth.subscribe),
    Request(11, "cancelMktDepth", 2, depth.cancel),
    Request(12, "reqNewsBulletins", None, scripted.bulletins),
    Request(13, "cancelNewsBulletins", None, scripted.accept_cancel),
    Request(14, "setServerLogLevel", None, session.accept),
    Request(15, "reqAutoOpenOrders", None, orders.auto_open_orders, is_order=True),
    Request(16, "reqAllOpenOrders", None, orders.all_open_orders, is_order=True),
    Request(17, "reqManagedAccts", None, session.managed_accounts),
    Request(18, "requestFA", None, scripted.request_fa),
    Request(19, "replaceFA", 4, scripted.replace_fa),
    Request(20, "reqHistoricalData", 1, historical.request),
    Request(21, "exerciseOptions", 2, orders.exercise, is_order=True),
    Request(22, "reqScannerSubscription", 1, scanner.subscribe),
    Request(23, "cancelScannerSubscription", 2, scanner.cancel),
    Request(24, "reqScannerParameters", None, scripted.scanner_parameters),
    Request(25, "cancelHistoricalData", 2, historical.cancel),
    Request(49, "reqCurrentTime", None, session.current_time),
    Request(50, "reqRealTimeBars", 2, bars.subscribe),
    Request(51, "cancelRealTimeBars", 2, bars.cancel),
    Request(52, "reqFundamentalData", 2, scripted.fundamental_data),
    Request(53, "cancelFundamentalData", 2, scripted.accept_cancel),
    Request(54, "calculateImpliedVolatility", 2, calculations.volatility),
    Request(55, "calculateOptionPrice", 2, calculations.price),
    Request(56, "cancelCalculateImpliedVolatility", 2, calculations.accept_cancel),
    Request(57, "cancelCalculateOptionPrice", 2, calculations.accept_cancel),
    Request(58, "reqGlobalCancel", None, orders.cancel_all, is_order=True),
    Request(59, "reqMarketDataType", None, market_data.market_data_type),
    Request(61, "reqPositions", None, account.positions),
    Request(62, "reqAccountSummary", 2, account.summary),
    Request(63, "cancelAccountSummary", 2, account.cancel_summary),
    Request(64, "cancelPositions", None, account.cancel_positions),
    Request(67, "queryDisplayGroups", 2, display_groups.query),
    Request(68, "subscribeToGroupEvents", 2, display_groups.subscribe),
    Request(69, "updateDisplayGroup", 2, display_groups.update),
    Request(70, "unsubscribeFromGroupEvents", 2, display_groups.unsubscribe),
    Request(71, START_API, None, session.start_again),
    Request(74, "reqPositionsMulti", 2, account.positions_multi),
    Request(75, "cancelPositionsMulti", 2, account.cancel_positions_multi),
    Request(76, "reqAccountUpdatesMulti", 2, account.updates_multi),
    Request(77, "cancelAccountUpdatesMulti", 2, account.cancel_updates_multi),
    Request(78, "reqSecDefOptParams", 1, contracts.option_parameters),
    Request(79, "reqSoftDollarTiers", 1, scripted.soft_dollar_tiers),
    Request(80, "reqFamilyCodes", None, scripted.family_codes),
    Request(81, "reqMatchingSymbols", 1, contracts.matching_symbols),
    Request(82, "reqMktDepthExchanges", None, scripted.depth_exchanges),
    Request(83, "reqSmartComponents", 1, scripted.smart_components),
    Request(84, "reqNewsArticle", 1, scripted.news_article),
    Request(85, "reqNewsProviders", None, scripted.news_providers),
    Request(86, "reqHistoricalNews", 1, scripted.historical_news),
    Request(87, "reqHeadTimeStamp", 1, past_ticks.head_timestamp),
    Request(88, "reqHistogramData", 1, past_ticks.histogram),
    Request(89, "cancelHistogramData", 1, past_ticks.accept_cancel),
    Request(90, "cancelHeadTimeStamp", 1, past_ticks.accept_cancel),
    Request(91, "reqMarketRule", None, contracts.market_rule),
    Request(92, "reqPnL", 1, account.pnl),
    Request(93, "cancelPnL", 1, account.cancel_pnl),
    Request(94, "reqPnLSingle", 1, account.pnl_single),
    Request(95, "cancelPnLSingle", 1, account.cancel_pnl_single),
    Request(96, "reqHistoricalTicks", 1, past_ticks.ticks),
    Request(97, "reqTickByTickData", 1, tick_by_tick.subscribe),
    Request(98, "cancelTickByTickData", 1, tick_by_tick.cancel),
    Request(99, "reqCompletedOrders", None, orders.completed_orders, is_order=True),
    Request(100, "reqWshMetaData", 1, scripted.wsh_meta_data),
    Request(101, "cancelWshMetaData", 1, scripted.accept_cancel),
    Request(102, "reqWshEventData", 1, scripted.wsh_event_data),
    Request(103, "cancelWshEventData", 1, scripted.accept_cancel),
    Request(104, "reqUserInfo", 1, scripted.user_info),
    Request(105, "reqCurrentTimeInMillis", None, session.current_time_in_millis),
)

REQUESTS: dict[str, Request] = {request.name: request for request in _ALL}
_NAMES: dict[str, str] = {str(request.message_id): request.name for request in _ALL}


def request_name(fields: Sequence[str]) -> str:
    """The request's name, or `unknown(ID)`."""
    message_id = fields[0] if fields else ""
    return _NAMES.get(message_id) or f"unknown({printable(message_id[:20])})"


def answer(client: "Client", name: str, fields: Sequence[str]) -> None:
    """Answer one request of a session. Raises `Malformed` if it cannot be read."""
    conditions = client.hub.conditions
    request = REQUESTS.get(name)
    if request is None:
        client.hub.log_once(f"request {name} is not one of the API's, answered with 321")
        refuse(client, -1, 321, f"{name}: no such request")
    elif conditions.read_only and request.is_order:
        refuse(client, request.req_id(fields, NO_REQUEST_ID, client.server_version), 321, _READ_ONLY)
    elif request.answer is None:
        # 322 ends the waiting request in the client libraries, 321 would leave it waiting.
        client.hub.log_once(f"request {name} is not simulated, answered with 322")
        refuse(client, request.req_id(fields, -1, client.server_version), 322, f"{name} is not simulated")
    else:
        request.answer(client, FieldReader(fields))
