"""The layouts of requests that a client sends, for server versions 100 to 226.

Requests about orders are in `order_request_layouts`. `messages` says how to add a request.

Sources: the clients of ib_async 2.1.0 and ibapi 10.46. They agree except that ib_async sends the number of options
before the options of `calculateImpliedVolatility` and `calculateOptionPrice`.

This file has over 300 lines because of its layouts.
"""

from ibkr.wire import order_request_layouts
from ibkr.wire.layout import Layout
from ibkr.wire.layout_items import (
    REQ_ID,
    TEXT_ONLY,
    Conditional,
    Field,
    Item,
    Repeat,
    fields,
    texts,
    version_field,
)
from ibkr.wire.order_parts import DELTA_NEUTRAL_CONTRACT, is_any

_V1 = version_field(1)
_CONTRACT = (
    Field("con_id", "int"),
    *texts("symbol sec_type"),
    Field("last_trade_date", proto="lastTradeDateOrContractMonth"),
    Field("strike", "float"),
    *texts("right multiplier exchange"),
    Field("primary_exchange", proto="primaryExch"),
    *texts("currency local_symbol trading_class"),
)
_EXPIRED = Field("include_expired", "bool")
_LEGS = Conditional(
    is_any("sec_type", "BAG"),
    (Repeat("combo_legs", (*fields("int", "con_id ratio"), *texts("action exchange")), proto="contract.comboLegs"),),
)
_RTH = Field("use_rth", "bool", proto="useRTH")
_WHAT = Field("what_to_show")
_SPAN = (Field("start", proto="startDateTime"), Field("end", proto="endDateTime"))
_OF_ACCOUNT = texts("account model_code")
_SCANNER = (
    Field("number_of_rows", "int"),
    *texts("instrument location_code scan_code"),
    *fields("float", "above_price below_price"),
    Field("above_volume", "int"),
    *fields("float", "market_cap_above market_cap_below"),
    *texts("moody_rating_above moody_rating_below sp_rating_above sp_rating_below"),
    *texts("maturity_date_above maturity_date_below"),
    *fields("float", "coupon_rate_above coupon_rate_below"),
    Field("exclude_convertible", "bool"),
    Field("average_option_volume_above", "int"),
    *texts("scanner_setting_pairs stock_type_filter"),
    Field("scanner_subscription_filter_options", since=143),
    Field("scanner_subscription_options"),
)


def _options(name: str, since: int = 0) -> Field:
    """Return the field with the options of a request, `tag=value;` each. It is a map in protobuf."""
    return Field(name, since=since)


def _versioned(name: str, message_id: int, version: int, protobuf: str, *items: Item) -> Layout:
    return Layout(name, message_id, (_V1, *items), protobuf=(version, protobuf))


def _unversioned(name: str, message_id: int, version: int, protobuf: str, *items: Item) -> Layout:
    return Layout(name, message_id, items, protobuf=(version, protobuf))


_ALL = (
    Layout(
        "reqMktData",
        1,
        (
            version_field(11),
            REQ_ID,
            *_CONTRACT,
            _LEGS,
            *DELTA_NEUTRAL_CONTRACT,
            Field("generic_tick_list"),
            Field("snapshot", "bool"),
            Field("regulatory_snapshot", "bool", since=114),
            _options("market_data_options"),
        ),
        protobuf=(206, "MarketDataRequest"),
    ),
    Layout("cancelMktData", 2, (version_field(2), REQ_ID), protobuf=(206, "CancelMarketData")),
    order_request_layouts.PLACE_ORDER,
    order_request_layouts.CANCEL_ORDER,
    _versioned("reqOpenOrders", 5, 204, "OpenOrdersRequest"),
    Layout(
        "reqAccountUpdates",
        6,
        (
            version_field(2),
            Field("subscribe", "bool"),
            Field("account", proto="acctCode"),
        ),
        protobuf=(207, "AccountDataRequest"),
    ),
    order_request_layouts.EXECUTIONS,
    _versioned("reqIds", 8, 213, "IdsRequest", Field("num_ids", "int")),
    Layout(
        "reqContractDetails",
        9,
        (
            version_field(8),
            REQ_ID,
            *_CONTRACT,
            _EXPIRED,
            *texts("sec_id_type sec_id"),
            Field("issuer_id", since=176),
        ),
        protobuf=(205, "ContractDataRequest"),
    ),
    Layout(
        "reqMktDepth",
        10,
        (
            version_field(5),
            REQ_ID,
            *_CONTRACT[:8],
            Field("primary_exchange", since=149, proto="primaryExch"),
            *_CONTRACT[9:],
            Field("num_rows", "int"),
            Field("is_smart_depth", "bool", since=146),
            _options("market_depth_options"),
        ),
        protobuf=(206, "MarketDepthRequest"),
    ),
    _versioned("cancelMktDepth", 11, 206, "CancelMarketDepth", REQ_ID, Field("is_smart_depth", "bool", since=146)),
    _versioned("reqNewsBulletins", 12, 209, "NewsBulletinsRequest", Field("all_messages", "bool")),
    _versioned("cancelNewsBulletins", 13, 209, "CancelNewsBulletins"),
    _versioned("setServerLogLevel", 14, 213, "SetServerLogLevelRequest", Field("log_level", "int")),
    _versioned("reqAutoOpenOrders", 15, 204, "AutoOpenOrdersRequest", Field("auto_bind", "bool")),
    _versioned("reqAllOpenOrders", 16, 204, "AllOpenOrdersRequest"),
    _versioned("reqManagedAccts", 17, 207, "ManagedAccountsRequest"),
    _versioned("requestFA", 18, 211, "FARequest", Field("kind", "int", proto="faDataType")),
    _versioned(
        "replaceFA",
        19,
        211,
        "FAReplace",
        Field("kind", "int", proto="faDataType"),
        Field("xml"),
        Field("req_id", "int", since=157),
    ),
    Layout(
        "reqHistoricalData",
        20,
        (
            version_field(6, before=124),
            REQ_ID,
            *_CONTRACT,
            _EXPIRED,
            Field("end", proto="endDateTime"),
            Field("bar_size", proto="barSizeSetting"),
            Field("duration"),
            _RTH,
            _WHAT,
            Field("format_date", "int"),
            _LEGS,
            Field("keep_up_to_date", "bool", since=124),
            _options("chart_options"),
        ),
        protobuf=(208, "HistoricalDataRequest"),
    ),
    order_request_layouts.EXERCISE_OPTIONS,
    Layout(
        "reqScannerSubscription",
        22,
        (
            version_field(4, before=143),
            REQ_ID,
            *_SCANNER,
        ),
        protobuf=(210, "ScannerSubscriptionRequest"),
    ),
    _versioned("cancelScannerSubscription", 23, 210, "CancelScannerSubscription", REQ_ID),
    _versioned("reqScannerParameters", 24, 210, "ScannerParametersRequest"),
    _versioned("cancelHistoricalData", 25, 208, "CancelHistoricalData", REQ_ID),
    _versioned("reqCurrentTime", 49, 213, "CurrentTimeRequest"),
    Layout(
        "reqRealTimeBars",
        50,
        (
            version_field(3),
            REQ_ID,
            *_CONTRACT,
            Field("bar_size", "int"),
            _WHAT,
            _RTH,
            _options("real_time_bars_options"),
        ),
        protobuf=(208, "RealTimeBarsRequest"),
    ),
    _versioned("cancelRealTimeBars", 51, 208, "CancelRealTimeBars", REQ_ID),
    Layout(
        "reqFundamentalData",
        52,
        (
            version_field(2),
            REQ_ID,
            *_CONTRACT[:3],
            *_CONTRACT[7:11],
            Field("report_type"),
            Field("options_count", "int", proto=TEXT_ONLY),
            _options("fundamentals_data_options"),
        ),
        protobuf=(210, "FundamentalsDataRequest"),
    ),
    _versioned("cancelFundamentalData", 53, 210, "CancelFundamentalsData", REQ_ID),
    Layout(
        "calculateImpliedVolatility",
        54,
        (
            version_field(3),
            REQ_ID,
            *_CONTRACT,
            *fields("float", "option_price under_price"),
            _options("implied_volatility_options"),
        ),
        protobuf=(211, "CalculateImpliedVolatilityRequest"),
    ),
    Layout(
        "calculateOptionPrice",
        55,
        (
            version_field(3),
            REQ_ID,
            *_CONTRACT,
            *fields("float", "volatility under_price"),
            _options("option_price_options"),
        ),
        protobuf=(211, "CalculateOptionPriceRequest"),
    ),
    _versioned("cancelCalculateImpliedVolatility", 56, 211, "CancelCalculateImpliedVolatility", REQ_ID),
    _versioned("cancelCalculateOptionPrice", 57, 211, "CancelCalculateOptionPrice", REQ_ID),
    order_request_layouts.GLOBAL_CANCEL,
    _versioned("reqMarketDataType", 59, 206, "MarketDataTypeRequest", Field("market_data_type", "int")),
    _versioned("reqPositions", 61, 207, "PositionsRequest"),
    _versioned("reqAccountSummary", 62, 207, "AccountSummaryRequest", REQ_ID, *texts("group tags")),
    _versioned("cancelAccountSummary", 63, 207, "CancelAccountSummary", REQ_ID),
    _versioned("cancelPositions", 64, 207, "CancelPositions"),
    _versioned("queryDisplayGroups", 67, 213, "QueryDisplayGroupsRequest", REQ_ID),
    _versioned("subscribeToGroupEvents", 68, 213, "SubscribeToGroupEventsRequest", REQ_ID, Field("group_id", "int")),
    _versioned(
        "updateDisplayGroup", 69, 213, "UpdateDisplayGroupRequest", REQ_ID, Field("contract", proto="contractInfo")
    ),
    _versioned("unsubscribeFromGroupEvents", 70, 213, "UnsubscribeFromGroupEventsRequest", REQ_ID),
    Layout(
        "startApi",
        71,
        (
            version_field(2),
            Field("client_id", "int"),
            Field("optional_capabilities"),
        ),
        protobuf=(213, "StartApiRequest"),
    ),
    _versioned("reqPositionsMulti", 74, 207, "PositionsMultiRequest", REQ_ID, *_OF_ACCOUNT),
    _versioned("cancelPositionsMulti", 75, 207, "CancelPositionsMulti", REQ_ID),
    _versioned(
        "reqAccountUpdatesMulti",
        76,
        207,
        "AccountUpdatesMultiRequest",
        REQ_ID,
        *_OF_ACCOUNT,
        Field("ledger_and_nlv", "bool", proto="ledgerAndNLV"),
    ),
    _versioned("cancelAccountUpdatesMulti", 77, 207, "CancelAccountUpdatesMulti", REQ_ID),
    _unversioned(
        "reqSecDefOptParams",
        78,
        212,
        "SecDefOptParamsRequest",
        REQ_ID,
        *texts("underlying_symbol fut_fop_exchange underlying_sec_type"),
        Field("underlying_con_id", "int"),
    ),
    _unversioned("reqSoftDollarTiers", 79, 212, "SoftDollarTiersRequest", REQ_ID),
    _unversioned("reqFamilyCodes", 80, 212, "FamilyCodesRequest"),
    _unversioned("reqMatchingSymbols", 81, 212, "MatchingSymbolsRequest", REQ_ID, Field("pattern")),
    _unversioned("reqMktDepthExchanges", 82, 213, "MarketDepthExchangesRequest"),
    _unversioned("reqSmartComponents", 83, 212, "SmartComponentsRequest", REQ_ID, Field("bbo_exchange")),
    _unversioned(
        "reqNewsArticle",
        84,
        209,
        "NewsArticleRequest",
        REQ_ID,
        *texts("provider_code article_id"),
        _options("news_article_options", since=128),
    ),
    _unversioned("reqNewsProviders", 85, 209, "NewsProvidersRequest"),
    _unversioned(
        "reqHistoricalNews",
        86,
        209,
        "HistoricalNewsRequest",
        REQ_ID,
        Field("con_id", "int"),
        Field("provider_codes"),
        *_SPAN,
        Field("total_results", "int"),
        _options("historical_news_options", since=128),
    ),
    _unversioned(
        "reqHeadTimeStamp",
        87,
        208,
        "HeadTimestampRequest",
        REQ_ID,
        *_CONTRACT,
        _EXPIRED,
        _RTH,
        _WHAT,
        Field("format_date", "int"),
    ),
    _unversioned(
        "reqHistogramData", 88, 208, "HistogramDataRequest", REQ_ID, *_CONTRACT, _EXPIRED, _RTH, Field("time_period")
    ),
    _unversioned("cancelHistogramData", 89, 208, "CancelHistogramData", REQ_ID),
    _unversioned("cancelHeadTimeStamp", 90, 208, "CancelHeadTimestamp", REQ_ID),
    _unversioned("reqMarketRule", 91, 212, "MarketRuleRequest", Field("market_rule_id", "int")),
    _unversioned("reqPnL", 92, 210, "PnLRequest", REQ_ID, *_OF_ACCOUNT),
    _unversioned("cancelPnL", 93, 210, "CancelPnL", REQ_ID),
    _unversioned("reqPnLSingle", 94, 210, "PnLSingleRequest", REQ_ID, *_OF_ACCOUNT, Field("con_id", "int")),
    _unversioned("cancelPnLSingle", 95, 210, "CancelPnLSingle", REQ_ID),
    _unversioned(
        "reqHistoricalTicks",
        96,
        208,
        "HistoricalTicksRequest",
        REQ_ID,
        *_CONTRACT,
        _EXPIRED,
        *_SPAN,
        Field("number_of_ticks", "int"),
        _WHAT,
        _RTH,
        Field("ignore_size", "bool"),
        _options("misc_options"),
    ),
    _unversioned(
        "reqTickByTickData",
        97,
        208,
        "TickByTickRequest",
        REQ_ID,
        *_CONTRACT,
        Field("tick_type"),
        Field("number_of_ticks", "int", since=140),
        Field("ignore_size", "bool", since=140),
    ),
    _unversioned("cancelTickByTickData", 98, 208, "CancelTickByTick", REQ_ID),
    _unversioned("reqCompletedOrders", 99, 204, "CompletedOrdersRequest", Field("api_only", "bool")),
    _unversioned("reqWshMetaData", 100, 209, "WshMetaDataRequest", REQ_ID),
    _unversioned("cancelWshMetaData", 101, 209, "CancelWshMetaData", REQ_ID),
    _unversioned(
        "reqWshEventData",
        102,
        209,
        "WshEventDataRequest",
        REQ_ID,
        Field("con_id", "int"),
        Field("filter", since=171),
        *fields("bool", "fill_watchlist fill_portfolio fill_competitors", since=171),
        *(Field(name, since=173) for name in ("start_date", "end_date")),
        Field("total_limit", "int", since=173),
    ),
    _unversioned("cancelWshEventData", 103, 209, "CancelWshEventData", REQ_ID),
    _unversioned("reqUserInfo", 104, 212, "UserInfoRequest", REQ_ID),
    _unversioned("reqCurrentTimeInMillis", 105, 213, "CurrentTimeInMillisRequest"),
    _unversioned("cancelContractData", 106, 215, "CancelContractData", REQ_ID),
    _unversioned("cancelHistoricalTicks", 107, 215, "CancelHistoricalTicks", REQ_ID),
    _unversioned("reqConfig", 108, 219, "ConfigRequest", REQ_ID),
    _unversioned(
        "updateConfig",
        109,
        221,
        "UpdateConfigRequest",
        REQ_ID,
        Field("reset_order_ids", "bool", proto="resetAPIOrderSequence"),
    ),
)

LAYOUTS = {layout.name: layout for layout in _ALL}
"""All layouts, by the request names of ibapi's `EClient`."""
