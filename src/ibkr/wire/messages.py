"""The layouts of messages that the gateway sends in a session, for server versions 100 to 226. How to add a message.

To add a message, in text or protobuf, write one `Layout` here, in `data_messages` or in `order_messages`: its name in
ibapi's `EWrapper`, its id, its fields in the order of the text, and `protobuf=(version, name)` with the server version
from which it is protobuf and its name in `tws.proto`. A new id also needs its name in `message_names`. The names of
fields are the names in protobuf, in snake case; `proto` gives every name that differs. If `tws.proto` lacks the message
or a field, add it there. The file is read at run time, so nothing is compiled. Encode with
`LAYOUT.encode(server_version, name=value, ...)`.

To add a request of clients, add its layout to `_ALL` of `request_layouts`, its row to `_ALL` of
`ibkr.simulator.requests.request_names`, and its handler in `ibkr.simulator.requests.request_handlers`.

Sources: the decoders of ib_async 2.1.0 and ibapi 9.81 / 10.46, which agree on all layouts. The numbers in `since` and
`before` are the server versions of ibapi's `server_versions.py`.
"""

from collections.abc import Mapping

from ibkr.wire.layout import REQ_ID, Conditional, Field, Layout, Repeat, fields, texts, version_field

_CONTRACT_HEAD = (
    Field("con_id", "int"),
    *texts("symbol sec_type"),
    Field("last_trade_date", proto="lastTradeDateOrContractMonth"),
    Field("strike", "float"),
    *texts("right multiplier"),
)
_CONTRACT_TAIL = texts("currency local_symbol trading_class")

# --- session -------------------------------------------------------------------------------------

MANAGED_ACCOUNTS = Layout(
    "managedAccounts",
    15,
    (version_field(1), Field("accounts", proto="accountsList")),
    protobuf=(207, "ManagedAccounts"),
)
NEXT_VALID_ID = Layout("nextValidId", 9, (version_field(1), Field("order_id", "int")), protobuf=(213, "NextValidId"))
CURRENT_TIME = Layout(
    "currentTime", 49, (version_field(1), Field("time", "int", proto="currentTime")), protobuf=(213, "CurrentTime")
)
CURRENT_TIME_IN_MILLIS = Layout(
    "currentTimeInMillis",
    109,
    (Field("time", "int", proto="currentTimeInMillis"),),
    protobuf=(213, "CurrentTimeInMillis"),
)
ERROR = Layout(
    "error",
    4,
    (
        version_field(2, before=194),
        Field("req_id", "int", proto="id"),
        Field("code", "int", proto="errorCode"),
        Field("text", proto="errorMsg"),
        Field("advanced_order_reject", since=166, proto="advancedOrderRejectJson"),
        Field("error_time", "int", since=194),
    ),
    protobuf=(201, "ErrorMessage"),
)

CONFIG_RESPONSE = Layout(
    "configResponse",
    110,
    (
        REQ_ID,
        Field("read_only", "bool", proto="api.settings.readOnlyApi"),
        Field("port", "int", proto="api.settings.socketPort"),
        Field("master_client_id", "int"),
        Field("is_rate_rejected", "bool", proto="api.settings.rejectMessagesAboveMaxRate"),
    ),
    protobuf=(219, "ConfigResponse"),
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
        Field("average_cost", "float", proto="avgCost"),
    ),
    protobuf=(207, "Position"),
)
POSITION_END = Layout("positionEnd", 62, (version_field(1),), protobuf=(207, "PositionEnd"))
ACCOUNT_VALUE = Layout(
    "updateAccountValue",
    6,
    (version_field(2), *texts("key value currency"), Field("account", proto="accountName")),
    protobuf=(207, "AccountValue"),
)
PORTFOLIO_VALUE = Layout(
    "updatePortfolio",
    7,
    (
        version_field(8),
        *_CONTRACT_HEAD,
        Field("primary_exchange", proto="primaryExch"),
        *_CONTRACT_TAIL,
        Field("position", "size"),
        Field("market_price", "float"),
        Field("market_value", "float"),
        Field("average_cost", "float"),
        Field("unrealized_pnl", "float", proto="unrealizedPNL"),
        Field("realized_pnl", "float", proto="realizedPNL"),
        Field("account", proto="accountName"),
    ),
    protobuf=(207, "PortfolioValue"),
)
ACCOUNT_TIME = Layout(
    "updateAccountTime", 8, (version_field(1), Field("time", proto="timeStamp")), protobuf=(207, "AccountUpdateTime")
)
ACCOUNT_DOWNLOAD_END = Layout(
    "accountDownloadEnd",
    54,
    (version_field(1), Field("account", proto="accountName")),
    protobuf=(207, "AccountDataEnd"),
)
ACCOUNT_UPDATE_MULTI = Layout(
    "accountUpdateMulti",
    73,
    (version_field(1), REQ_ID, *texts("account model_code key value currency")),
    protobuf=(207, "AccountUpdateMulti"),
)
ACCOUNT_UPDATE_MULTI_END = Layout(
    "accountUpdateMultiEnd", 74, (version_field(1), REQ_ID), protobuf=(207, "AccountUpdateMultiEnd")
)
ACCOUNT_SUMMARY = Layout(
    "accountSummary",
    63,
    (version_field(1), REQ_ID, *texts("account tag value currency")),
    protobuf=(207, "AccountSummary"),
)
ACCOUNT_SUMMARY_END = Layout("accountSummaryEnd", 64, (version_field(1), REQ_ID), protobuf=(207, "AccountSummaryEnd"))

# --- orders --------------------------------------------------------------------------------------

OPEN_ORDER_END = Layout("openOrderEnd", 53, (version_field(1),), protobuf=(204, "OpenOrdersEnd"))
COMPLETED_ORDERS_END = Layout("completedOrdersEnd", 102, (), protobuf=(204, "CompletedOrdersEnd"))
EXECUTION_DATA_END = Layout("execDetailsEnd", 55, (version_field(1), REQ_ID), protobuf=(201, "ExecutionDetailsEnd"))

# --- contracts -----------------------------------------------------------------------------------

_LOTS = fields("size", "min_size size_increment suggested_size_increment", since=164)

_FUND = (
    *texts("fund_name fund_family fund_type fund_front_load fund_back_load fund_back_load_time_interval"),
    Field("fund_management_fee"),
    *fields("bool", "fund_closed fund_closed_for_new_investors fund_closed_for_new_money"),
    *texts("fund_notify_amount fund_minimum_initial_purchase"),
    Field("fund_subsequent_minimum_purchase", proto="fundMinimumSubsequentPurchase"),
    *texts("fund_blue_sky_states fund_blue_sky_territories"),
    Field("fund_distribution_policy", proto="fundDistributionPolicyIndicator"),
    Field("fund_asset_type"),
)


def _is_fund(values: Mapping[str, object]) -> bool:
    return values["sec_type"] == "FUND"


CONTRACT_DETAILS = Layout(
    "contractDetails",
    10,
    (
        version_field(8, before=164),
        REQ_ID,
        *texts("symbol sec_type"),
        Field("last_trade_date_and_time", proto="lastTradeDateOrContractMonth"),
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
        Field("primary_exchange", proto="primaryExch"),
        *texts("contract_month industry category subcategory time_zone_id"),
        *texts("trading_hours liquid_hours ev_rule"),
        Field("ev_multiplier", "int"),
        Repeat("sec_ids", texts("tag value"), proto="contractDetails.secIdList"),
        Field("agg_group", "int"),
        *texts("under_symbol under_sec_type market_rule_ids real_expiration_date stock_type"),
        Field("suggested_size", "size", since=163, before=164),
        *_LOTS,
        Conditional(_is_fund, _FUND, since=179),
        Repeat(
            "ineligibility_reasons", texts("id description"), since=186, proto="contractDetails.ineligibilityReasonList"
        ),
    ),
    protobuf=(205, "ContractData"),
)
BOND_CONTRACT_DETAILS = Layout(
    "bondContractDetails",
    18,
    (
        version_field(6, before=164),
        REQ_ID,
        *texts("symbol sec_type cusip"),
        Field("coupon", "size"),
        Field("maturity", proto="lastTradeDateOrContractMonth"),
        *texts("issue_date ratings bond_type coupon_type"),
        *fields("bool", "convertible callable"),
        Field("putable", "bool", proto="puttable"),
        *texts("desc_append exchange currency market_name trading_class"),
        Field("con_id", "int"),
        Field("min_tick", "float"),
        Field("size_multiplier", "int", since=110, before=164),
        *texts("order_types valid_exchanges next_option_date next_option_type"),
        Field("next_option_partial", "bool"),
        Field("notes", proto="bondNotes"),
        Field("long_name", "name"),
        *fields("text", "time_zone_id trading_hours liquid_hours", since=188),
        Field("ev_rule"),
        Field("ev_multiplier", "int"),
        Repeat("sec_ids", texts("tag value"), proto="contractDetails.secIdList"),
        Field("agg_group", "int"),
        Field("market_rule_ids"),
        *_LOTS,
    ),
    protobuf=(205, "ContractData"),
)
CONTRACT_DETAILS_END = Layout("contractDetailsEnd", 52, (version_field(1), REQ_ID), protobuf=(205, "ContractDataEnd"))

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
        Field("attributes", "int", proto="attrMask"),
    ),
    protobuf=(206, "TickPrice"),
)
TICK_SIZE = Layout(
    "tickSize", 2, (version_field(6), REQ_ID, _TICK_TYPE, Field("size", "size")), protobuf=(206, "TickSize")
)
TICK_GENERIC = Layout(
    "tickGeneric", 45, (version_field(6), REQ_ID, _TICK_TYPE, Field("value", "float")), protobuf=(206, "TickGeneric")
)
TICK_STRING = Layout(
    "tickString", 46, (version_field(6), REQ_ID, _TICK_TYPE, Field("value")), protobuf=(206, "TickString")
)
TICK_SNAPSHOT_END = Layout("tickSnapshotEnd", 57, (version_field(1), REQ_ID), protobuf=(206, "TickSnapshotEnd"))
MARKET_DATA_TYPE = Layout(
    "marketDataType", 58, (version_field(1), REQ_ID, Field("market_data_type", "int")), protobuf=(206, "MarketDataType")
)
TICK_REQ_PARAMS = Layout(
    "tickReqParams",
    81,
    (
        REQ_ID,
        Field("min_tick", "float"),
        Field("bbo_exchange"),
        Field("snapshot_permissions", "int"),
    ),
    protobuf=(206, "TickReqParams"),
)

LAYOUTS = {item.name: item for item in globals().copy().values() if isinstance(item, Layout)}
"""All layouts of this module, by the message names of ibapi's `EWrapper`."""
