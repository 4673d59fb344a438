"""The messages about instruments, market data and history, one layout each, at text versions 100 to 200.

Read off the decoders of ib_async 2.1.0 and ibapi 9.81 / 10.46, which agree on all of them. Contract details, ticks
and the messages of a session stand in `messages`.
"""

from ibkr.wire.layout import REQ_ID, Field, Layout, Repeat, fields, texts, version_field

_TIME = Field("time", "int")
_DONE = Field("done", "bool")


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
                *texts("symbol sec_type primary_exchange currency"),
                Repeat("derivatives", texts("sec_type")),
                *(Field(name, since=176) for name in ("description", "issuer_id")),
            ),
        ),
    ),
)
OPTION_PARAMETER = Layout(
    "securityDefinitionOptionParameter",
    75,
    (
        REQ_ID,
        Field("exchange"),
        Field("under_con_id", "int"),
        *texts("trading_class multiplier"),
        Repeat("expirations", texts("expiration")),
        Repeat("strikes", fields("float", "strike")),
    ),
)
OPTION_PARAMETER_END = Layout("securityDefinitionOptionParameterEnd", 76, (REQ_ID,))
MARKET_RULE = Layout(
    "marketRule", 93, (Field("market_rule_id", "int"), Repeat("increments", fields("float", "low_edge increment")))
)
SMART_COMPONENTS = Layout(
    "smartComponents", 82, (REQ_ID, Repeat("components", (Field("bit", "int"), *texts("exchange letter"))))
)
DEPTH_EXCHANGES = Layout(
    "mktDepthExchanges",
    80,
    (
        Repeat(
            "exchanges",
            (*texts("exchange sec_type listing_exchange service_data_type"), Field("agg_group", "int")),
        ),
    ),
)

# --- the user ------------------------------------------------------------------------------------

USER_INFO = Layout("userInfo", 107, (REQ_ID, Field("white_branding_id")))
FAMILY_CODES = Layout("familyCodes", 78, (Repeat("codes", texts("account code")),))
SOFT_DOLLAR_TIERS = Layout("softDollarTiers", 77, (REQ_ID, Repeat("tiers", texts("name value display_name"))))

# --- market data ---------------------------------------------------------------------------------

OPTION_COMPUTATION = Layout(
    "tickOptionComputation",
    21,
    (
        version_field(6, before=156),
        REQ_ID,
        Field("tick_type", "int"),
        Field("tick_attribute", "int", since=156),
        *fields("float", "implied_vol delta option_price pv_dividend gamma vega theta under_price"),
    ),
)
TICK_NEWS = Layout("tickNews", 84, (REQ_ID, _TIME, *texts("provider article_id headline extra")))
_ROW = (Field("operation", "int"), Field("side", "int"), Field("price", "float"), Field("size", "size"))
DEPTH = Layout("updateMktDepth", 12, (version_field(1), REQ_ID, Field("position", "int"), *_ROW))
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
)
ALL_LAST = Layout(
    "tickByTickAllLast",
    99,
    (
        REQ_ID,
        Field("tick_type", "int"),
        _TIME,
        Field("price", "float"),
        Field("size", "size"),
        Field("attributes", "int"),
        *texts("exchange conditions"),
    ),
)
BID_ASK = Layout(
    "tickByTickBidAsk",
    99,
    (
        REQ_ID,
        Field("tick_type", "int", constant=3),
        _TIME,
        *fields("float", "bid ask"),
        *fields("size", "bid_size ask_size"),
        Field("attributes", "int"),
    ),
)
MID_POINT = Layout(
    "tickByTickMidPoint", 99, (REQ_ID, Field("tick_type", "int", constant=4), _TIME, Field("mid_point", "float"))
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
        Field("wap", "float"),
        Field("count", "int"),
    ),
)

# --- history -------------------------------------------------------------------------------------

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
                Field("wap", "float"),
                Field("has_gaps", before=124),
                Field("count", "int"),
            ),
        ),
    ),
)
HISTORICAL_DATA_END = Layout("historicalDataEnd", 108, (REQ_ID, *texts("start end")))
HISTORICAL_DATA_UPDATE = Layout(
    "historicalDataUpdate",
    90,
    (
        REQ_ID,
        Field("count", "int"),
        Field("date"),
        *fields("float", "open close high low wap"),
        Field("volume", "size"),
    ),
)
HEAD_TIMESTAMP = Layout("headTimestamp", 88, (REQ_ID, Field("timestamp")))
HISTOGRAM_DATA = Layout(
    "histogramData", 89, (REQ_ID, Repeat("points", (Field("price", "float"), Field("size", "size"))))
)
HISTORICAL_TICKS = Layout(
    "historicalTicks",
    96,
    (
        REQ_ID,
        Repeat("ticks", (_TIME, Field("unused", "int", constant=0), Field("price", "float"), Field("size", "size"))),
        _DONE,
    ),
)
HISTORICAL_TICKS_BID_ASK = Layout(
    "historicalTicksBidAsk",
    97,
    (
        REQ_ID,
        Repeat(
            "ticks",
            (_TIME, Field("attributes", "int"), *fields("float", "bid ask"), *fields("size", "bid_size ask_size")),
        ),
        _DONE,
    ),
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
                Field("attributes", "int"),
                Field("price", "float"),
                Field("size", "size"),
                *texts("exchange conditions"),
            ),
        ),
        _DONE,
    ),
)
HISTORICAL_SCHEDULE = Layout(
    "historicalSchedule",
    106,
    (REQ_ID, *texts("start end time_zone"), Repeat("sessions", texts("start end reference_date"))),
)

# --- what is answered from a file ----------------------------------------------------------------

SCANNER_PARAMETERS = Layout("scannerParameters", 19, (version_field(1), Field("xml")))
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
                *texts("symbol sec_type last_trade_date"),
                Field("strike", "float"),
                *texts("right exchange currency local_symbol market_name trading_class"),
                *texts("distance benchmark projection legs"),
            ),
        ),
    ),
)
NEWS_PROVIDERS = Layout("newsProviders", 85, (Repeat("providers", texts("code name")),))
NEWS_ARTICLE = Layout("newsArticle", 83, (REQ_ID, Field("article_type", "int"), Field("text")))
HISTORICAL_NEWS = Layout("historicalNews", 86, (REQ_ID, *texts("time provider article_id headline")))
HISTORICAL_NEWS_END = Layout("historicalNewsEnd", 87, (REQ_ID, Field("has_more", "bool")))
NEWS_BULLETIN = Layout(
    "updateNewsBulletin",
    14,
    (version_field(1), Field("bulletin_id", "int"), Field("kind", "int"), *texts("text exchange")),
)
FUNDAMENTAL_DATA = Layout("fundamentalData", 51, (version_field(1), REQ_ID, Field("xml")))
RECEIVE_FA = Layout("receiveFA", 16, (version_field(1), Field("kind", "int"), Field("xml")))
REPLACE_FA_END = Layout("replaceFAEnd", 103, (REQ_ID, Field("text")))
DISPLAY_GROUP_LIST = Layout("displayGroupList", 67, (version_field(1), REQ_ID, Field("groups")))
DISPLAY_GROUP_UPDATED = Layout("displayGroupUpdated", 68, (version_field(1), REQ_ID, Field("contract")))
WSH_META_DATA = Layout("wshMetaData", 104, (REQ_ID, Field("json")))
WSH_EVENT_DATA = Layout("wshEventData", 105, (REQ_ID, Field("json")))

LAYOUTS = {item.name: item for item in globals().copy().values() if isinstance(item, Layout)}
"""Every layout by the name that ibapi's `EWrapper` gives the message."""
