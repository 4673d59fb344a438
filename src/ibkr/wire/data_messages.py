"""The layouts of messages about instruments, market data, and history, for server versions 100 to 226.

Contract details, ticks, and the messages of a session are in `messages`, which says how to add a message. Sources: the
decoders of ib_async 2.1.0 and ibapi 9.81 / 10.46, which agree on all layouts.

This file has over 300 lines because of its layouts.
"""

from ibkr.wire.layout import REQ_ID, Field, Layout, Repeat, fields, texts, version_field

_TIME = Field("time", "int")
_DONE = Field("done", "bool", proto="isDone")
_PROVIDER = Field("provider", proto="providerCode")
_WAP = Field("wap", "float", proto="WAP")

_QUOTE_BITS = "tickAttribBidAsk.bidPastLow tickAttribBidAsk.askPastHigh"
_LAST_BITS = "tickAttribLast.pastLimit tickAttribLast.unreported"
_BID_AND_ASK = (
    Field("bid", "float", proto="priceBid"),
    Field("ask", "float", proto="priceAsk"),
    Field("bid_size", "size", proto="sizeBid"),
    Field("ask_size", "size", proto="sizeAsk"),
)
_FROM_TO = (Field("start", proto="startDateTime"), Field("end", proto="endDateTime"))

# --- instruments ---------------------------------------------------------------------------------

SYMBOL_SAMPLES = Layout(
    "symbolSamples",
    79,
    (
        REQ_ID,
        Repeat(
            "contracts",
            (
                Field("con_id", "int"),
                *texts("symbol sec_type"),
                Field("primary_exchange", proto="primaryExch"),
                Field("currency"),
                Repeat("derivatives", texts("sec_type"), proto="derivativeSecTypes"),
                *(Field(name, since=176) for name in ("description", "issuer_id")),
            ),
            proto="contractDescriptions",
        ),
    ),
    protobuf=(212, "SymbolSamples"),
)
OPTION_PARAMETER = Layout(
    "securityDefinitionOptionParameter",
    75,
    (
        REQ_ID,
        Field("exchange"),
        Field("under_con_id", "int", proto="underlyingConId"),
        *texts("trading_class multiplier"),
        Repeat("expirations", texts("expiration")),
        Repeat("strikes", fields("float", "strike")),
    ),
    protobuf=(212, "SecDefOptParameter"),
)
OPTION_PARAMETER_END = Layout(
    "securityDefinitionOptionParameterEnd", 76, (REQ_ID,), protobuf=(212, "SecDefOptParameterEnd")
)
MARKET_RULE = Layout(
    "marketRule",
    93,
    (
        Field("market_rule_id", "int"),
        Repeat("increments", fields("float", "low_edge increment"), proto="priceIncrements"),
    ),
    protobuf=(212, "MarketRule"),
)
SMART_COMPONENTS = Layout(
    "smartComponents",
    82,
    (
        REQ_ID,
        Repeat(
            "components",
            (Field("bit", "int", proto="bitNumber"), Field("exchange"), Field("letter", proto="exchangeLetter")),
            proto="smartComponents",
        ),
    ),
    protobuf=(212, "SmartComponents"),
)
DEPTH_EXCHANGES = Layout(
    "mktDepthExchanges",
    80,
    (
        Repeat(
            "exchanges",
            (
                *texts("exchange sec_type"),
                Field("listing_exchange", proto="listingExch"),
                Field("service_data_type"),
                Field("agg_group", "int"),
            ),
            proto="depthMarketDataDescriptions",
        ),
    ),
    protobuf=(213, "MarketDepthExchanges"),
)

# --- the user ------------------------------------------------------------------------------------

USER_INFO = Layout("userInfo", 107, (REQ_ID, Field("white_branding_id")), protobuf=(212, "UserInfo"))
FAMILY_CODES = Layout(
    "familyCodes",
    78,
    (Repeat("codes", (Field("account", proto="accountId"), Field("code", proto="familyCode")), proto="familyCodes"),),
    protobuf=(212, "FamilyCodes"),
)
SOFT_DOLLAR_TIERS = Layout(
    "softDollarTiers",
    77,
    (REQ_ID, Repeat("tiers", texts("name value display_name"), proto="softDollarTiers")),
    protobuf=(212, "SoftDollarTiers"),
)

# --- market data ---------------------------------------------------------------------------------

OPTION_COMPUTATION = Layout(
    "tickOptionComputation",
    21,
    (
        version_field(6, before=156),
        REQ_ID,
        Field("tick_type", "int"),
        Field("tick_attribute", "int", since=156, proto="tickAttrib"),
        *fields("float", "implied_vol delta"),
        Field("option_price", "float", proto="optPrice"),
        *fields("float", "pv_dividend gamma vega theta"),
        Field("under_price", "float", proto="undPrice"),
    ),
    protobuf=(206, "TickOptionComputation"),
)
TICK_NEWS = Layout(
    "tickNews",
    84,
    (
        REQ_ID,
        Field("time", "int", proto="timestamp"),
        _PROVIDER,
        *texts("article_id headline"),
        Field("extra", proto="extraData"),
    ),
    protobuf=(209, "TickNews"),
)
_ROW = (Field("operation", "int"), Field("side", "int"), Field("price", "float"), Field("size", "size"))
DEPTH = Layout(
    "updateMktDepth", 12, (version_field(1), REQ_ID, Field("position", "int"), *_ROW), protobuf=(206, "MarketDepth")
)
DEPTH_L2 = Layout(
    "updateMktDepthL2",
    13,
    (
        version_field(1),
        REQ_ID,
        Field("position", "int"),
        Field("market_maker"),
        *_ROW,
        Field("is_smart_depth", "bool", since=146),
    ),
    protobuf=(206, "MarketDepthL2"),
)
ALL_LAST = Layout(
    "tickByTickAllLast",
    99,
    (
        REQ_ID,
        Field("tick_type", "int"),
        Field("time", "int", proto="historicalTickLast.time"),
        *fields("float", "price", proto="historicalTickLast.price"),
        Field("size", "size", proto="historicalTickLast.size"),
        Field("attributes", "int", proto=_LAST_BITS.replace("tick", "historicalTickLast.tick")),
        Field("exchange"),
        Field("conditions", proto="specialConditions"),
    ),
    protobuf=(208, "TickByTickData"),
)
BID_ASK = Layout(
    "tickByTickBidAsk",
    99,
    (
        REQ_ID,
        Field("tick_type", "int", constant=3),
        Field("time", "int", proto="historicalTickBidAsk.time"),
        *_BID_AND_ASK,
        Field("attributes", "int", proto=_QUOTE_BITS.replace("tick", "historicalTickBidAsk.tick")),
    ),
    protobuf=(208, "TickByTickData"),
)
MID_POINT = Layout(
    "tickByTickMidPoint",
    99,
    (
        REQ_ID,
        Field("tick_type", "int", constant=4),
        Field("time", "int", proto="historicalTickMidPoint.time"),
        Field("mid_point", "float", proto="historicalTickMidPoint.price"),
    ),
    protobuf=(208, "TickByTickData"),
)
REAL_TIME_BAR = Layout(
    "realtimeBar",
    50,
    (
        version_field(3),
        REQ_ID,
        _TIME,
        *fields("float", "open high low close"),
        Field("volume", "size"),
        _WAP,
        Field("count", "int"),
    ),
    protobuf=(208, "RealTimeBarTick"),
)

# --- history -------------------------------------------------------------------------------------

_COUNT = Field("count", "int", proto="barCount")
_SPAN = tuple(Field(name, before=196) for name in ("start", "end"))
HISTORICAL_DATA = Layout(
    "historicalData",
    17,
    (
        version_field(3, before=124),
        REQ_ID,
        *_SPAN,
        Repeat(
            "bars",
            (
                Field("date"),
                *fields("float", "open high low close"),
                Field("volume", "size"),
                _WAP,
                Field("has_gaps", before=124),
                _COUNT,
            ),
            proto="historicalDataBars",
        ),
    ),
    protobuf=(208, "HistoricalData"),
)
HISTORICAL_DATA_END = Layout(
    "historicalDataEnd",
    108,
    (REQ_ID, Field("start", proto="startDateStr"), Field("end", proto="endDateStr")),
    protobuf=(208, "HistoricalDataEnd"),
)
HISTORICAL_DATA_UPDATE = Layout(
    "historicalDataUpdate",
    90,
    (
        REQ_ID,
        _COUNT,
        Field("date"),
        *fields("float", "open close high low"),
        _WAP,
        Field("volume", "size"),
    ),
    protobuf=(208, "HistoricalDataUpdate"),
)
HEAD_TIMESTAMP = Layout(
    "headTimestamp", 88, (REQ_ID, Field("timestamp", proto="headTimestamp")), protobuf=(208, "HeadTimestamp")
)
HISTOGRAM_DATA = Layout(
    "histogramData",
    89,
    (REQ_ID, Repeat("points", (Field("price", "float"), Field("size", "size")), proto="histogramDataEntries")),
    protobuf=(208, "HistogramData"),
)
HISTORICAL_TICKS = Layout(
    "historicalTicks",
    96,
    (
        REQ_ID,
        Repeat(
            "ticks",
            (_TIME, Field("unused", "int", constant=0), Field("price", "float"), Field("size", "size")),
            proto="historicalTicks",
        ),
        _DONE,
    ),
    protobuf=(208, "HistoricalTicks"),
)
HISTORICAL_TICKS_BID_ASK = Layout(
    "historicalTicksBidAsk",
    97,
    (
        REQ_ID,
        Repeat(
            "ticks",
            (_TIME, Field("attributes", "int", proto=_QUOTE_BITS), *_BID_AND_ASK),
            proto="historicalTicksBidAsk",
        ),
        _DONE,
    ),
    protobuf=(208, "HistoricalTicksBidAsk"),
)
HISTORICAL_TICKS_LAST = Layout(
    "historicalTicksLast",
    98,
    (
        REQ_ID,
        Repeat(
            "ticks",
            (
                _TIME,
                Field("attributes", "int", proto=_LAST_BITS),
                Field("price", "float"),
                Field("size", "size"),
                Field("exchange"),
                Field("conditions", proto="specialConditions"),
            ),
            proto="historicalTicksLast",
        ),
        _DONE,
    ),
    protobuf=(208, "HistoricalTicksLast"),
)
HISTORICAL_SCHEDULE = Layout(
    "historicalSchedule",
    106,
    (
        REQ_ID,
        *_FROM_TO,
        Field("time_zone"),
        Repeat("sessions", (*_FROM_TO, Field("reference_date", proto="refDate")), proto="historicalSessions"),
    ),
    protobuf=(208, "HistoricalSchedule"),
)

# --- scanners, news, reports, display groups ------------------------------------------------------

SCANNER_PARAMETERS = Layout(
    "scannerParameters", 19, (version_field(1), Field("xml")), protobuf=(210, "ScannerParameters")
)
SCANNER_DATA = Layout(
    "scannerData",
    20,
    (
        version_field(3),
        REQ_ID,
        Repeat(
            "rows",
            (
                Field("rank", "int"),
                Field("con_id", "int"),
                *texts("symbol sec_type"),
                Field("last_trade_date", proto="lastTradeDateOrContractMonth"),
                Field("strike", "float"),
                *texts("right exchange currency local_symbol market_name trading_class"),
                *texts("distance benchmark projection"),
                Field("legs", proto="comboKey"),
            ),
            proto="scannerDataElement",
        ),
    ),
    protobuf=(210, "ScannerData"),
)
NEWS_PROVIDERS = Layout(
    "newsProviders",
    85,
    (
        Repeat(
            "providers",
            (Field("code", proto="providerCode"), Field("name", proto="providerName")),
            proto="newsProviders",
        ),
    ),
    protobuf=(209, "NewsProviders"),
)
NEWS_ARTICLE = Layout(
    "newsArticle",
    83,
    (REQ_ID, Field("article_type", "int"), Field("text", proto="articleText")),
    protobuf=(209, "NewsArticle"),
)
HISTORICAL_NEWS = Layout(
    "historicalNews",
    86,
    (REQ_ID, Field("time"), _PROVIDER, *texts("article_id headline")),
    protobuf=(209, "HistoricalNews"),
)
HISTORICAL_NEWS_END = Layout(
    "historicalNewsEnd", 87, (REQ_ID, Field("has_more", "bool")), protobuf=(209, "HistoricalNewsEnd")
)
NEWS_BULLETIN = Layout(
    "updateNewsBulletin",
    14,
    (
        version_field(1),
        Field("bulletin_id", "int", proto="newsMsgId"),
        Field("kind", "int", proto="newsMsgType"),
        Field("text", proto="newsMessage"),
        Field("exchange", proto="originatingExch"),
    ),
    protobuf=(209, "NewsBulletin"),
)
FUNDAMENTAL_DATA = Layout(
    "fundamentalData", 51, (version_field(1), REQ_ID, Field("xml", proto="data")), protobuf=(210, "FundamentalsData")
)
RECEIVE_FA = Layout(
    "receiveFA",
    16,
    (version_field(1), Field("kind", "int", proto="faDataType"), Field("xml")),
    protobuf=(211, "ReceiveFA"),
)
REPLACE_FA_END = Layout("replaceFAEnd", 103, (REQ_ID, Field("text")), protobuf=(211, "ReplaceFAEnd"))
DISPLAY_GROUP_LIST = Layout(
    "displayGroupList", 67, (version_field(1), REQ_ID, Field("groups")), protobuf=(213, "DisplayGroupList")
)
DISPLAY_GROUP_UPDATED = Layout(
    "displayGroupUpdated",
    68,
    (version_field(1), REQ_ID, Field("contract", proto="contractInfo")),
    protobuf=(213, "DisplayGroupUpdated"),
)
WSH_META_DATA = Layout("wshMetaData", 104, (REQ_ID, Field("json", proto="dataJson")), protobuf=(209, "WshMetaData"))
WSH_EVENT_DATA = Layout("wshEventData", 105, (REQ_ID, Field("json", proto="dataJson")), protobuf=(209, "WshEventData"))

LAYOUTS = {item.name: item for item in globals().copy().values() if isinstance(item, Layout)}
"""All layouts of this module, by the message names of ibapi's `EWrapper`."""
