"""`ANSWERS`: the handler of each request of the API. To answer another request, add its handler here."""

from collections.abc import Callable

from ibkr.simulator.accounts import account_requests
from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.history import historical_bars, historical_ticks
from ibkr.simulator.orders import order_requests
from ibkr.simulator.requests import contract_requests, file_answers, session_requests
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import refuse
from ibkr.simulator.requests.request_names import REQUESTS, START_API
from ibkr.simulator.streams import market_data_requests, market_depth, real_time_bars, scanner, tick_by_tick

NO_REQUEST_ID = 2147483647
"""The id that TWS uses in a 321 if the request has none (ib_insync issue 1)."""

_READ_ONLY = "The API interface is currently in Read-Only mode."

ANSWERS: dict[str, Callable[[ClientSession, FieldReader], None]] = {
    "reqMktData": market_data_requests.subscribe,
    "cancelMktData": market_data_requests.cancel,
    "placeOrder": order_requests.place,
    "cancelOrder": order_requests.cancel,
    "reqOpenOrders": order_requests.open_orders,
    "reqAccountUpdates": account_requests.updates,
    "reqExecutions": order_requests.executions,
    "reqIds": session_requests.next_valid_id,
    "reqContractDetails": contract_requests.details,
    "reqMktDepth": market_depth.subscribe,
    "cancelMktDepth": market_depth.cancel,
    "reqNewsBulletins": file_answers.bulletins,
    "cancelNewsBulletins": file_answers.accept_cancel,
    "setServerLogLevel": session_requests.accept,
    "reqAutoOpenOrders": order_requests.auto_open_orders,
    "reqAllOpenOrders": order_requests.all_open_orders,
    "reqManagedAccts": session_requests.managed_accounts,
    "requestFA": file_answers.request_fa,
    "replaceFA": file_answers.replace_fa,
    "reqHistoricalData": historical_bars.request,
    "exerciseOptions": order_requests.exercise,
    "reqScannerSubscription": scanner.subscribe,
    "cancelScannerSubscription": scanner.cancel,
    "reqScannerParameters": file_answers.scanner_parameters,
    "cancelHistoricalData": historical_bars.cancel,
    "reqCurrentTime": session_requests.current_time,
    "reqRealTimeBars": real_time_bars.subscribe,
    "cancelRealTimeBars": real_time_bars.cancel,
    "reqFundamentalData": file_answers.fundamental_data,
    "cancelFundamentalData": file_answers.accept_cancel,
    "calculateImpliedVolatility": contract_requests.implied_volatility,
    "calculateOptionPrice": contract_requests.option_price,
    "cancelCalculateImpliedVolatility": contract_requests.accept_cancel,
    "cancelCalculateOptionPrice": contract_requests.accept_cancel,
    "reqGlobalCancel": order_requests.cancel_all,
    "reqMarketDataType": market_data_requests.market_data_type,
    "reqPositions": account_requests.positions,
    "reqAccountSummary": account_requests.summary,
    "cancelAccountSummary": account_requests.cancel_summary,
    "cancelPositions": account_requests.cancel_positions,
    "queryDisplayGroups": session_requests.display_groups,
    "subscribeToGroupEvents": session_requests.subscribe_group,
    "updateDisplayGroup": session_requests.update_group,
    "unsubscribeFromGroupEvents": session_requests.unsubscribe_group,
    START_API: session_requests.repeated_start_api,
    "reqPositionsMulti": account_requests.positions_multi,
    "cancelPositionsMulti": account_requests.cancel_positions_multi,
    "reqAccountUpdatesMulti": account_requests.updates_multi,
    "cancelAccountUpdatesMulti": account_requests.cancel_updates_multi,
    "reqSecDefOptParams": contract_requests.option_parameters,
    "reqSoftDollarTiers": file_answers.soft_dollar_tiers,
    "reqFamilyCodes": file_answers.family_codes,
    "reqMatchingSymbols": contract_requests.matching_symbols,
    "reqMktDepthExchanges": file_answers.depth_exchanges,
    "reqSmartComponents": file_answers.smart_components,
    "reqNewsArticle": file_answers.news_article,
    "reqNewsProviders": file_answers.news_providers,
    "reqHistoricalNews": file_answers.historical_news,
    "reqHeadTimeStamp": historical_ticks.head_timestamp,
    "reqHistogramData": historical_ticks.histogram,
    "cancelHistogramData": historical_ticks.accept_cancel,
    "cancelHeadTimeStamp": historical_ticks.accept_cancel,
    "reqMarketRule": contract_requests.market_rule,
    "reqPnL": account_requests.pnl,
    "cancelPnL": account_requests.cancel_pnl,
    "reqPnLSingle": account_requests.pnl_single,
    "cancelPnLSingle": account_requests.cancel_pnl_single,
    "reqHistoricalTicks": historical_ticks.ticks,
    "reqTickByTickData": tick_by_tick.subscribe,
    "cancelTickByTickData": tick_by_tick.cancel,
    "reqCompletedOrders": order_requests.completed_orders,
    "reqWshMetaData": file_answers.wsh_meta_data,
    "cancelWshMetaData": file_answers.accept_cancel,
    "reqWshEventData": file_answers.wsh_event_data,
    "cancelWshEventData": file_answers.accept_cancel,
    "reqUserInfo": file_answers.user_info,
    "reqCurrentTimeInMillis": session_requests.current_time_in_millis,
    "cancelContractData": historical_ticks.accept_cancel,
    "cancelHistoricalTicks": historical_ticks.accept_cancel,
    "reqConfig": session_requests.configuration,
}
"""The handlers by name of request. A request without a handler gets error 322."""


def answer(client: ClientSession, name: str, fields: FieldReader) -> None:
    """Answer one request of a session. Raises `MalformedField` if the request cannot be read."""
    conditions = client.state.conditions
    request = REQUESTS.get(name)
    if request is None or client.server_version < request.since:
        client.state.log_once(f"request {name} is not a request of the API, answered with 321")
        refuse(client, -1, 321, f"{name}: no such request")
    elif conditions.read_only and request.is_order:
        refuse(client, request.req_id(fields, NO_REQUEST_ID, client.server_version), 321, _READ_ONLY)
    elif (reply := ANSWERS.get(name)) is None:
        # After error 322, the client libraries end the request. After 321, the request would wait forever.
        client.state.log_once(f"request {name} is not simulated, answered with 322")
        refuse(client, request.req_id(fields, -1, client.server_version), 322, f"{name} is not simulated")
    else:
        reply(client, fields)
