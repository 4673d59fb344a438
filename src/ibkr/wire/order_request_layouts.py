"""The layouts of requests about orders: placeOrder, cancelOrder, exerciseOptions, reqGlobalCancel, reqExecutions.

Sources: `EClient.placeOrder`, `cancelOrder`, `exerciseOptions`, and `reqExecutions` of ibapi 9.81 / 10.46 and ib_async
2.1.0, for server versions from 151 on.
"""

from ibkr.wire.layout import TEXT_ONLY, Conditional, Field, Item, Layout, Repeat, fields, texts, version_field
from ibkr.wire.order_parts import (
    ALGO,
    COMBO_LEGS,
    CONDITIONS,
    DELTA_NEUTRAL_CONTRACT,
    HEDGE,
    NEWER_TERMS,
    ORDER_COMBO_LEGS,
    PEGGED_TO_BENCHMARK,
    SCALE,
    SMART_COMBO_ROUTING,
    TERMS,
    has_mid_offsets,
    is_any,
    is_set,
)

_CONTRACT = (
    Field("con_id", "int"),
    *texts("symbol sec_type"),
    Field("last_trade_date", proto="lastTradeDateOrContractMonth"),
    Field("strike", "float"),
    *texts("right multiplier exchange"),
    Field("primary_exchange", proto="primaryExch"),
    *texts("currency local_symbol trading_class"),
    *texts("sec_id_type sec_id"),
)
_MAIN: tuple[Item, ...] = (
    *TERMS,
    Field("transmit", "bool"),
    Field("parent_id", "int"),
    *fields("bool", "block_order sweep_to_fill"),
    *fields("int", "display_size trigger_method"),
    *fields("bool", "outside_rth hidden"),
    Conditional(is_any("sec_type", "BAG"), (COMBO_LEGS, ORDER_COMBO_LEGS, SMART_COMBO_ROUTING)),
)
_EXTENDED = (
    Field("shares_allocation", proto=TEXT_ONLY),
    Field("discretionary_amt", "float"),
    *texts("good_after_time good_till_date fa_group fa_method fa_percentage"),
    Field("fa_profile", before=177),
    Field("model_code"),
    Field("short_sale_slot", "int"),
    Field("designated_location"),
    *fields("int", "exempt_code oca_type"),
    Field("rule_80a", proto="rule80A"),
    Field("settling_firm"),
    Field("all_or_none", "bool"),
    Field("min_qty", "int"),
    Field("percent_offset", "float"),
    *fields("bool", "etrade_only firm_quote_only", proto=TEXT_ONLY),
    Field("nbbo_price_cap", "float", proto=TEXT_ONLY),
    Field("auction_strategy", "int", proto=TEXT_ONLY),
    *fields("float", "starting_price stock_ref_price"),
    Field("delta", "float", proto="order.delta"),
    *fields("float", "stock_range_lower stock_range_upper"),
    Field("override_percentage_constraints", "bool"),
)
_VOLATILITY: tuple[Item, ...] = (
    Field("volatility", "float"),
    Field("volatility_type", "int"),
    Field("delta_neutral_order_type"),
    Field("delta_neutral_aux_price", "float"),
    Conditional(
        is_set("delta_neutral_order_type"),
        (
            Field("delta_neutral_con_id", "int"),
            *texts("delta_neutral_settling_firm delta_neutral_clearing_account"),
            *texts("delta_neutral_clearing_intent delta_neutral_open_close"),
            Field("delta_neutral_short_sale", "bool"),
            Field("delta_neutral_short_sale_slot", "int"),
            Field("delta_neutral_designated_location"),
        ),
    ),
    Field("continuous_update", "bool"),
    Field("reference_price_type", "int"),
    *fields("float", "trail_stop_price trailing_percent"),
)
_STRATEGY: tuple[Item, ...] = (
    *fields("int", "scale_init_level_size scale_subs_level_size"),
    Field("scale_price_increment", "float"),
    SCALE,
    *texts("scale_table active_start_time active_stop_time"),
    *HEDGE,
    Field("opt_out_smart_routing", "bool"),
    *texts("clearing_account clearing_intent"),
    Field("not_held", "bool"),
    *DELTA_NEUTRAL_CONTRACT,
    *ALGO,
    Field("algo_id"),
    Field("what_if", "bool"),
    Field("order_misc_options"),
    *fields("bool", "solicited randomize_size randomize_price"),
    PEGGED_TO_BENCHMARK,
    *CONDITIONS,
)
_ADJUSTED = (
    Field("adjusted_order_type"),
    *fields("float", "trigger_price lmt_price_offset adjusted_stop_price"),
    *fields("float", "adjusted_stop_limit_price adjusted_trailing_amount"),
    Field("adjustable_trailing_unit", "int"),
    Field("ext_operator"),
    Field("soft_dollar_tier_name", proto="order.softDollarTier.name"),
    Field("soft_dollar_tier_value", proto="order.softDollarTier.value"),
    Field("cash_qty", "float"),
    *texts("mifid2_decision_maker mifid2_decision_algo mifid2_execution_trader mifid2_execution_algo"),
    *fields("bool", "dont_use_auto_price_for_hedge is_oms_container discretionary_up_to_limit_price"),
    Field("use_price_mgmt_algo", "bool"),
)
_NEWER: tuple[Item, ...] = (
    Field("duration", "int", since=158),
    Field("post_to_ats", "int", since=160),
    Field("auto_cancel_parent", "bool", since=162),
    Field("advanced_error_override", since=166),
    Field("manual_order_time", since=169),
    Conditional(is_any("exchange", "IBKRATS"), fields("int", "min_trade_qty"), since=170),
    Conditional(
        is_any("order_type", "PEG BEST", "PEGBEST"),
        (Field("min_compete_size", "int"), Field("compete_against_best_offset", "float")),
        since=170,
    ),
    Conditional(has_mid_offsets, fields("float", "mid_offset_at_whole mid_offset_at_half"), since=170),
    Field("customer_account", since=183),
    Field("professional_customer", "bool", since=184),
    Field("rfq_id", since=187, before=190),
    Field("rfq_indicator", "int", since=187, before=190),
    Field("include_overnight", "bool", since=189),
    Field("manual_order_indicator", "int", since=192),
    Field("imbalance_only", "bool", since=199),
    Field("route_marketable_to_bbo", "bool", since=217),
    *NEWER_TERMS,
)

PLACE_ORDER = Layout(
    "placeOrder",
    3,
    (Field("order_id", "int"), *_CONTRACT, *_MAIN, *_EXTENDED, *_VOLATILITY, *_STRATEGY, *_ADJUSTED, *_NEWER),
    protobuf=(203, "PlaceOrderRequest"),
)
CANCEL_ORDER = Layout(
    "cancelOrder",
    4,
    (
        version_field(1, before=192),
        Field("order_id", "int"),
        Field("manual_cancel_order_time", since=169, proto="manualOrderCancelTime"),
        *(Field(name, since=187, before=190) for name in ("rfq_id", "rfq_operator")),
        Field("rfq_indicator", "int", since=187, before=190),
        Field("ext_operator", since=192),
        Field("manual_order_indicator", "int", since=192),
    ),
    protobuf=(203, "CancelOrderRequest"),
)
EXERCISE_OPTIONS = Layout(
    "exerciseOptions",
    21,
    (
        version_field(2),
        Field("req_id", "int", proto="orderId"),
        *(item for item in _CONTRACT if item.name not in ("primary_exchange", "sec_id_type", "sec_id")),
        *fields("int", "exercise_action exercise_quantity"),
        Field("account"),
        Field("override", "bool"),
        Field("manual_order_time", since=180),
        Field("customer_account", since=183),
        Field("professional_customer", "bool", since=184),
    ),
    protobuf=(211, "ExerciseOptionsRequest"),
)
GLOBAL_CANCEL = Layout(
    "reqGlobalCancel",
    58,
    (
        version_field(1, before=192),
        Field("ext_operator", since=192),
        Field("manual_order_indicator", "int", since=192),
    ),
    protobuf=(203, "GlobalCancelRequest"),
)
EXECUTIONS = Layout(
    "reqExecutions",
    7,
    (
        version_field(3),
        *fields("int", "req_id client_id"),
        Field("account", proto="acctCode"),
        *texts("time symbol sec_type exchange side"),
        Field("last_n_days", "int", since=200, proto="lastNDays"),
        Repeat("specific_dates", texts("date"), since=200, proto="executionFilter.specificDates"),
    ),
    protobuf=(201, "ExecutionRequest"),
)
