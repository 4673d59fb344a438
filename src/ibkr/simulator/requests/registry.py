"""What answers each request of the API. One that is not here is known, but not simulated yet."""

from collections.abc import Callable

from ibkr.simulator.accounts import account
from ibkr.simulator.history import historical, past_ticks
from ibkr.simulator.orders import orders
from ibkr.simulator.requests import calculations, contracts, display_groups, scripted, session
from ibkr.simulator.requests.asking import refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.requests.table import REQUESTS, START_API
from ibkr.simulator.session import Session
from ibkr.simulator.streams import bars, depth, market_data, scanner, tick_by_tick

NO_REQUEST_ID = 2147483647
"""What TWS gives as the id of a 321 when the request has none (ib_insync issue 1)."""

_READ_ONLY = "The API interface is currently in Read-Only mode."

ANSWERS: dict[str, Callable[[Session, FieldReader], None]] = {
    "reqMktData": market_data.subscribe,
    "cancelMktData": market_data.cancel,
    "placeOrder": orders.place,
    "cancelOrder": orders.cancel,
    "reqOpenOrders": orders.open_orders,
    "reqAccountUpdates": account.updates,
    "reqExecutions": orders.executions,
    "reqIds": session.next_valid_id,
    "reqContractDetails": contracts.details,
    "reqMktDepth": depth.subscribe,
    "cancelMktDepth": depth.cancel,
    "reqNewsBulletins": scripted.bulletins,
    "cancelNewsBulletins": scripted.accept_cancel,
    "setServerLogLevel": session.accept,
    "reqAutoOpenOrders": orders.auto_open_orders,
    "reqAllOpenOrders": orders.all_open_orders,
    "reqManagedAccts": session.managed_accounts,
    "requestFA": scripted.request_fa,
    "replaceFA": scripted.replace_fa,
    "reqHistoricalData": historical.request,
    "exerciseOptions": orders.exercise,
    "reqScannerSubscription": scanner.subscribe,
    "cancelScannerSubscription": scanner.cancel,
    "reqScannerParameters": scripted.scanner_parameters,
    "cancelHistoricalData": historical.cancel,
    "reqCurrentTime": session.current_time,
    "reqRealTimeBars": bars.subscribe,
    "cancelRealTimeBars": bars.cancel,
    "reqFundamentalData": scripted.fundamental_data,
    "cancelFundamentalData": scripted.accept_cancel,
    "calculateImpliedVolatility": calculations.volatility,
    "calculateOptionPrice": calculations.price,
    "cancelCalculateImpliedVolatility": calculations.accept_cancel,
    "cancelCalculateOptionPrice": calculations.accept_cancel,
    "reqGlobalCancel": orders.cancel_all,
    "reqMarketDataType": market_data.market_data_type,
    "reqPositions": account.positions,
    "reqAccountSummary": account.summary,
    "cancelAccountSummary": account.cancel_summary,
    "cancelPositions": account.cancel_positions,
    "queryDisplayGroups": display_groups.query,
    "subscribeToGroupEvents": display_groups.subscribe,
    "updateDisplayGroup": display_groups.update,
    "unsubscribeFromGroupEvents": display_groups.unsubscribe,
    START_API: session.start_again,
    "reqPositionsMulti": account.positions_multi,
    "cancelPositionsMulti": account.cancel_positions_multi,
    "reqAccountUpdatesMulti": account.updates_multi,
    "cancelAccountUpdatesMulti": account.cancel_updates_multi,
    "reqSecDefOptParams": contracts.option_parameters,
    "reqSoftDollarTiers": scripted.soft_dollar_tiers,
    "reqFamilyCodes": scripted.family_codes,
    "reqMatchingSymbols": contracts.matching_symbols,
    "reqMktDepthExchanges": scripted.depth_exchanges,
    "reqSmartComponents": scripted.smart_components,
    "reqNewsArticle": scripted.news_article,
    "reqNewsProviders": scripted.news_providers,
    "reqHistoricalNews": scripted.historical_news,
    "reqHeadTimeStamp": past_ticks.head_timestamp,
    "reqHistogramData": past_ticks.histogram,
    "cancelHistogramData": past_ticks.accept_cancel,
    "cancelHeadTimeStamp": past_ticks.accept_cancel,
    "reqMarketRule": contracts.market_rule,
    "reqPnL": account.pnl,
    "cancelPnL": account.cancel_pnl,
    "reqPnLSingle": account.pnl_single,
    "cancelPnLSingle": account.cancel_pnl_single,
    "reqHistoricalTicks": past_ticks.ticks,
    "reqTickByTickData": tick_by_tick.subscribe,
    "cancelTickByTickData": tick_by_tick.cancel,
    "reqCompletedOrders": orders.completed_orders,
    "reqWshMetaData": scripted.wsh_meta_data,
    "cancelWshMetaData": scripted.accept_cancel,
    "reqWshEventData": scripted.wsh_event_data,
    "cancelWshEventData": scripted.accept_cancel,
    "reqUserInfo": scripted.user_info,
    "reqCurrentTimeInMillis": session.current_time_in_millis,
    "cancelContractData": past_ticks.accept_cancel,
    "cancelHistoricalTicks": past_ticks.accept_cancel,
    "reqConfig": session.configuration,
}
"""What answers each request, by its name."""


def answer(client: Session, name: str, fields: FieldReader) -> None:
    """Answer one request of a session. Raises `Malformed` if it cannot be read."""
    conditions = client.hub.conditions
    request = REQUESTS.get(name)
    if request is None or client.server_version < request.since:
        client.hub.log_once(f"request {name} is not one of the API's, answered with 321")
        refuse(client, -1, 321, f"{name}: no such request")
    elif conditions.read_only and request.is_order:
        refuse(client, request.req_id(fields, NO_REQUEST_ID, client.server_version), 321, _READ_ONLY)
    elif (reply := ANSWERS.get(name)) is None:
        # 322 ends the waiting request in the client libraries, 321 would leave it waiting.
        client.hub.log_once(f"request {name} is not simulated, answered with 322")
        refuse(client, request.req_id(fields, -1, client.server_version), 322, f"{name} is not simulated")
    else:
        reply(client, fields)
