"""The messages that the gateway sends, one layout each, at text versions 100 to 200.

Read off the decoders of ib_async 2.1.0 and ibapi 9.81 / 10.46, which agree on all of them; the
numbers in `since` and `before` are the server versions named in ibapi's `server_versions.py`.
"""

from collections.abc import Mapping

from ibkr.wire.layout import REQ_ID, Field, Given, Layout, Repeat, fields, texts, version_field

_CONTRACT_HEAD = (
    Field("con_id", "int"),
    *texts("symbol sec_type last_trade_date"),
    Field("strike", "float"),
    *texts("right multiplier"),
)
_CONTRACT_TAIL = texts("currency local_symbol trading_class")

# --- session -------------------------------------------------------------------------------------

MANAGED_ACCOUNTS = Layout("managedAccounts", 15, (version_field(1), Field("accounts")))
NEXT_VALID_ID = Layout("nextValidId", 9, (version_field(1), Field("order_id", "int")))
CURRENT_TIME = Layout("currentTime", 49, (version_field(1), Field("time", "int")))
CURRENT_TIME_IN_MILLIS = Layout("currentTimeInMillis", 109, (Field("time", "int"),))
ERROR = Layout(
    "error",
    4,
    (
        version_field(2, before=194),
        REQ_ID,
        Field("code", "int"),
        Field("text"),
        Field("advanced_order_reject", since=166),
        Field("error_time", "int", since=194),
    ),
)

# --- positions and account -----------------------------------------------------------------------

POSITION = Layout(
    "position",
    61,
    (
        version_field(3),
        Field("account"),
        *_CONTRACT_HEAD,
        Field("exchange"),
        *_CONTRACT_TAIL,
        Field("position", "size"),
        Field("average_cost", "float"),
    ),
)
POSITION_END = Layout("positionEnd", 62, (version_field(1),))
ACCOUNT_VALUE = Layout("updateAccountValue", 6, (version_field(2), *texts("key value currency account")))
PORTFOLIO_VALUE = Layout(
    "updatePortfolio",
    7,
    (
        version_field(8),
        *_CONTRACT_HEAD,
        Field("primary_exchange"),
        *_CONTRACT_TAIL,
        Field("position", "size"),
        Field("market_price", "float"),
        Field("market_value", "float"),
        Field("average_cost", "float"),
        Field("unrealized_pnl", "float"),
        Field("realized_pnl", "float"),
        Field("account"),
    ),
)
ACCOUNT_TIME = Layout("updateAccountTime", 8, (version_field(1), Field("time")))
ACCOUNT_DOWNLOAD_END = Layout("accountDownloadEnd", 54, (version_field(1), Field("account")))
ACCOUNT_UPDATE_MULTI = Layout(
    "accountUpdateMulti",
    73,
    (version_field(1), REQ_ID, *texts("account model_code key value currency")),
)
ACCOUNT_UPDATE_MULTI_END = Layout("accountUpdateMultiEnd", 74, (version_field(1), REQ_ID))
ACCOUNT_SUMMARY = Layout("accountSummary", 63, (version_field(1), REQ_ID, *texts("account tag value currency")))
ACCOUNT_SUMMARY_END = Layout("accountSummaryEnd", 64, (version_field(1), REQ_ID))

# --- orders --------------------------------------------------------------------------------------

OPEN_ORDER_END = Layout("openOrderEnd", 53, (version_field(1),))
COMPLETED_ORDERS_END = Layout("completedOrdersEnd", 102, ())
EXECUTION_DATA_END = Layout("execDetailsEnd", 55, (version_field(1), REQ_ID))

# --- contracts -----------------------------------------------------------------------------------

_LOTS = fields("size", "min_size size_increment suggested_size_increment", since=164)

_FUND = (
    *texts("fund_name fund_family fund_type fund_front_load fund_back_load fund_back_load_time_interval"),
    Field("fund_management_fee"),
    *fields("bool", "fund_closed fund_closed_for_new_investors fund_closed_for_new_money"),
    *texts("fund_notify_amount fund_minimum_initial_purchase fund_subsequent_minimum_purchase"),
    *texts("fund_blue_sky_states fund_blue_sky_territories fund_distribution_policy fund_asset_type"),
)


def _is_fund(values: Mapping[str, object]) -> bool:
    return values["sec_type"] == "FUND"


CONTRACT_DETAILS = Layout(
    "contractDetails",
    10,
    (
        version_field(8, before=164),
        REQ_ID,
        *texts("symbol sec_type last_trade_date_and_time"),
        Field("last_trade_date", since=182),
        Field("strike", "size"),
        *texts("right exchange currency local_symbol market_name trading_class"),
        Field("con_id", "int"),
        Field("min_tick", "float"),
        Field("size_multiplier", "int", since=110, before=164),
        *texts("multiplier order_types valid_exchanges"),
        Field("price_magnifier", "int"),
        Field("under_con_id", "int"),
        Field("long_name", "name"),
        *texts("primary_exchange contract_month industry category subcategory time_zone_id"),
        *texts("trading_hours liquid_hours ev_rule"),
        Field("ev_multiplier", "int"),
        Repeat("sec_ids", texts("tag value")),
        Field("agg_group", "int"),
        *texts("under_symbol under_sec_type market_rule_ids real_expiration_date stock_type"),
        Field("suggested_size", "size", since=163, before=164),
        *_LOTS,
        Given(_is_fund, _FUND, since=179),
        Repeat("ineligibility_reasons", texts("id description"), since=186),
    ),
)
BOND_CONTRACT_DETAILS = Layout(
    "bondContractDetails",
    18,
    (
        version_field(6, before=164),
        REQ_ID,
        *texts("symbol sec_type cusip"),
        Field("coupon", "size"),
        *texts("maturity issue_date ratings bond_type coupon_type"),
        *fields("bool", "convertible callable putable"),
        *texts("desc_append exchange currency market_name trading_class"),
        Field("con_id", "int"),
        Field("min_tick", "float"),
        Field("size_multiplier", "int", since=110, before=164),
        *texts("order_types valid_exchanges next_option_date next_option_type"),
        Field("next_option_partial", "bool"),
        Field("notes"),
        Field("long_name", "name"),
        *fields("text", "time_zone_id trading_hours liquid_hours", since=188),
        Field("ev_rule"),
        Field("ev_multiplier", "int"),
        Repeat("sec_ids", texts("tag value")),
        Field("agg_group", "int"),
        Field("market_rule_ids"),
        *_LOTS,
    ),
)
CONTRACT_DETAILS_END = Layout("contractDetailsEnd", 52, (version_field(1), REQ_ID))

# --- market data ---------------------------------------------------------------------------------

_TICK_TYPE = Field("tick_type", "int")

TICK_PRICE = Layout(
    "tickPrice",
    1,
    (
        version_field(6),
        REQ_ID,
        _TICK_TYPE,
        Field("price", "float"),
        Field("size", "size"),
        Field("attributes", "int"),
    ),
)
TICK_SIZE = Layout("tickSize", 2, (version_field(6), REQ_ID, _TICK_TYPE, Field("size", "size")))
TICK_GENERIC = Layout("tickGeneric", 45, (version_field(6), REQ_ID, _TICK_TYPE, Field("value", "float")))
TICK_STRING = Layout("tickString", 46, (version_field(6), REQ_ID, _TICK_TYPE, Field("value")))
TICK_SNAPSHOT_END = Layout("tickSnapshotEnd", 57, (version_field(1), REQ_ID))
MARKET_DATA_TYPE = Layout("marketDataType", 58, (version_field(1), REQ_ID, Field("market_data_type", "int")))
TICK_REQ_PARAMS = Layout(
    "tickReqParams",
    81,
    (
        REQ_ID,
        Field("min_tick", "float"),
        Field("bbo_exchange"),
        Field("snapshot_permissions", "int"),
    ),
)

LAYOUTS = {item.name: item for item in globals().copy().values() if isinstance(item, Layout)}
"""Every layout by the name that ibapi's `EWrapper` gives the message."""
