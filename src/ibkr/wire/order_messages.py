"""The layouts of messages about orders, executions, and profit and loss.

Sources: the decoders of ib_async 2.1.0 and ibapi 9.81 / 10.46, for server versions from 151 on. The numbers in `since`
and `before` are named in ibapi's `server_versions.py`. Checked against messages of real gateways in rust-ibapi and
ib_insync issue 523. Both decoders store two fields as `trailStopPrice`, so the second field replaces the first.
`stop_price` is the second field. `messages` says how to add a message.

This file has over 300 lines because of its layouts.
"""

from ibkr.wire.layout import (
    REQ_ID,
    TEXT_ONLY,
    Conditional,
    Field,
    Item,
    Layout,
    Repeat,
    fields,
    texts,
    version_field,
)
from ibkr.wire.order_parts import (
    ALGO,
    COMBO_LEGS,
    CONDITIONS,
    DELTA_NEUTRAL_CONTRACT,
    HEDGE,
    NEWER_TERMS,
    ORDER_COMBO_LEGS,
    PEGGED,
    PEGGED_TO_BENCHMARK,
    SCALE,
    SMART_COMBO_ROUTING,
    TERMS,
    is_set,
)
from ibkr.wire.protobuf_schema import proto_name


def _contract(strike_kind: str = "float") -> tuple[Field, ...]:
    return (
        Field("con_id", "int"),
        *texts("symbol sec_type"),
        Field("last_trade_date", proto="lastTradeDateOrContractMonth"),
        Field("strike", strike_kind),
        *texts("right multiplier exchange currency local_symbol trading_class"),
    )


_ORDER_HEAD = (
    *_contract("size"),
    *TERMS,
)
_FLAGS = (*fields("bool", "outside_rth hidden"), Field("discretionary_amt", "size"), Field("good_after_time"))
_ADVISOR = (*texts("fa_group fa_method fa_percentage"), Field("fa_profile", before=177), Field("model_code"))
_SHORT_SALE = (
    Field("good_till_date"),
    Field("rule_80a", proto="rule80A"),
    Field("percent_offset", "float"),
    Field("settling_firm"),
    Field("short_sale_slot", "int"),
    Field("designated_location"),
    Field("exempt_code", "int"),
)
_BOX = (
    *fields("float", "starting_price stock_ref_price"),
    Field("delta", "float", proto="order.delta"),
    *fields("float", "stock_range_lower stock_range_upper"),
)
_VOLATILITY = (
    Field("volatility", "float"),
    Field("volatility_type", "int"),
    Field("delta_neutral_order_type"),
    Field("delta_neutral_aux_price", "float"),
)
_DELTA_NEUTRAL_SHORT = (
    Field("delta_neutral_short_sale", "bool"),
    Field("delta_neutral_short_sale_slot", "int"),
    Field("delta_neutral_designated_location"),
)
_TRAIL = (
    Field("continuous_update", "bool"),
    Field("reference_price_type", "int"),
    Field("trail_stop_price", "float", proto=TEXT_ONLY),
    Field("trailing_percent", "float"),
)
_COMBO: tuple[Item, ...] = (Field("combo_legs_descrip"), COMBO_LEGS, ORDER_COMBO_LEGS, SMART_COMBO_ROUTING)
_SCALE: tuple[Item, ...] = (
    *fields("int", "scale_init_level_size scale_subs_level_size"),
    Field("scale_price_increment", "float"),
    SCALE,
    *HEDGE,
)
_CLEARING: tuple[Item, ...] = (
    *texts("clearing_account clearing_intent"),
    Field("not_held", "bool"),
    *DELTA_NEUTRAL_CONTRACT,
    *ALGO,
)
_RANDOMIZE: tuple[Item, ...] = (*fields("bool", "randomize_size randomize_price"), PEGGED_TO_BENCHMARK, *CONDITIONS)
_MARGINS = texts(
    "init_margin_before maint_margin_before equity_with_loan_before "
    "init_margin_change maint_margin_change equity_with_loan_change "
    "init_margin_after maint_margin_after equity_with_loan_after"
)
_OUTSIDE_HOURS = tuple(
    Field(f"{name}_outside_rth", "float", since=195, proto=f"{proto_name(name)}OutsideRTH")
    for name in (margin.name for margin in _MARGINS)
)
_ALLOCATIONS = Repeat(
    "order_allocations",
    (
        Field("account"),
        *fields("size", "position position_desired position_after desired_alloc_qty allowed_alloc_qty"),
        Field("is_monetary", "bool"),
    ),
    since=195,
)

OPEN_ORDER = Layout(
    "openOrder",
    5,
    (
        Field("order_id", "int"),
        *_ORDER_HEAD,
        *fields("int", "client_id perm_id"),
        *_FLAGS,
        Field("shares_allocation", proto=TEXT_ONLY),
        *_ADVISOR,
        *_SHORT_SALE,
        Field("auction_strategy", "int", proto=TEXT_ONLY),
        *_BOX,
        Field("display_size", "int"),
        *fields("bool", "block_order sweep_to_fill all_or_none"),
        *fields("int", "min_qty oca_type"),
        *fields("bool", "etrade_only firm_quote_only", proto=TEXT_ONLY),
        Field("nbbo_price_cap", "float", proto=TEXT_ONLY),
        *fields("int", "parent_id trigger_method"),
        *_VOLATILITY,
        Conditional(
            is_set("delta_neutral_order_type"),
            (
                Field("delta_neutral_con_id", "int"),
                *texts("delta_neutral_settling_firm delta_neutral_clearing_account"),
                *texts("delta_neutral_clearing_intent delta_neutral_open_close"),
                *_DELTA_NEUTRAL_SHORT,
            ),
        ),
        *_TRAIL,
        Field("basis_points", "float", proto=TEXT_ONLY),
        Field("basis_points_type", "int", proto=TEXT_ONLY),
        *_COMBO,
        *_SCALE,
        Field("opt_out_smart_routing", "bool"),
        *_CLEARING,
        *fields("bool", "solicited what_if"),
        Field("status"),
        *_MARGINS,
        Field("commission", "float", proto="commissionAndFees"),
        Field("min_commission", "float", proto="minCommissionAndFees"),
        Field("max_commission", "float", proto="maxCommissionAndFees"),
        Field("commission_currency", proto="commissionAndFeesCurrency"),
        Field("margin_currency", since=195),
        *_OUTSIDE_HOURS,
        Field("suggested_size", "size", since=195),
        Field("reject_reason", since=195),
        _ALLOCATIONS,
        Field("warning_text"),
        *_RANDOMIZE,
        Field("adjusted_order_type"),
        Field("trigger_price", "float"),
        Field("stop_price", "float", proto="trailStopPrice"),
        *fields("float", "lmt_price_offset adjusted_stop_price"),
        *fields("float", "adjusted_stop_limit_price adjusted_trailing_amount"),
        Field("adjustable_trailing_unit", "int"),
        Field("soft_dollar_tier_name", proto="order.softDollarTier.name"),
        Field("soft_dollar_tier_value", proto="order.softDollarTier.value"),
        Field("soft_dollar_tier_display_name", proto="order.softDollarTier.displayName"),
        Field("cash_qty", "size"),
        *fields("bool", "dont_use_auto_price_for_hedge is_oms_container discretionary_up_to_limit_price"),
        Field("use_price_mgmt_algo", "bool"),
        # ib_async reads this field from server version 159 on, ibapi from 158. The constant in ibapi says 158.
        Field("duration", "int", since=158),
        Field("post_to_ats", "int", since=160),
        Field("auto_cancel_parent", "bool", since=162),
        *PEGGED,
        Field("customer_account", since=183),
        Field("professional_customer", "bool", since=184),
        Field("bond_accrued_interest", since=185),
        Field("include_overnight", "bool", since=189),
        Field("ext_operator", since=193),
        Field("manual_order_indicator", "int", since=193),
        Field("submitter", since=198),
        Field("imbalance_only", "bool", since=199),
        *NEWER_TERMS,
    ),
    protobuf=(203, "OpenOrder"),
)

COMPLETED_ORDER = Layout(
    "completedOrder",
    101,
    (
        *_ORDER_HEAD,
        Field("perm_id", "int"),
        *_FLAGS,
        *_ADVISOR,
        *_SHORT_SALE,
        *_BOX,
        Field("display_size", "int"),
        *fields("bool", "sweep_to_fill all_or_none"),
        *fields("int", "min_qty oca_type trigger_method"),
        *_VOLATILITY,
        Conditional(is_set("delta_neutral_order_type"), (Field("delta_neutral_con_id", "int"), *_DELTA_NEUTRAL_SHORT)),
        *_TRAIL,
        *_COMBO,
        *_SCALE,
        *_CLEARING,
        Field("solicited", "bool"),
        Field("status"),
        *_RANDOMIZE,
        Field("stop_price", "float", proto="trailStopPrice"),
        Field("lmt_price_offset", "float"),
        Field("cash_qty", "size"),
        *fields("bool", "dont_use_auto_price_for_hedge is_oms_container"),
        Field("auto_cancel_date"),
        Field("filled_quantity", "size"),
        Field("ref_futures_con_id", "int"),
        Field("auto_cancel_parent", "bool"),
        Field("shareholder"),
        *fields("bool", "imbalance_only route_marketable_to_bbo"),
        Field("parent_perm_id", "int"),
        *texts("completed_time completed_status"),
        *PEGGED,
        Field("customer_account", since=183),
        Field("professional_customer", "bool", since=184),
        Field("submitter", since=198),
    ),
    protobuf=(204, "CompletedOrder"),
)

ORDER_STATUS = Layout(
    "orderStatus",
    3,
    (
        Field("order_id", "int"),
        Field("status"),
        *fields("size", "filled remaining avg_fill_price"),
        *fields("int", "perm_id parent_id"),
        Field("last_fill_price", "size"),
        Field("client_id", "int"),
        Field("why_held"),
        Field("mkt_cap_price", "size"),
    ),
    protobuf=(203, "OrderStatus"),
)
EXEC_DETAILS = Layout(
    "execDetails",
    11,
    (
        REQ_ID,
        Field("order_id", "int"),
        *_contract(),
        *texts("exec_id time"),
        Field("account", proto="acctNumber"),
        Field("execution_exchange", proto="execution.exchange"),
        Field("side"),
        Field("shares", "size"),
        Field("price", "float"),
        *fields("int", "perm_id client_id"),
        Field("liquidation", "int", proto="isLiquidation"),
        Field("cum_qty", "size"),
        Field("avg_price", "float"),
        *texts("order_ref ev_rule"),
        Field("ev_multiplier", "float"),
        Field("model_code"),
        Field("last_liquidity", "int"),
        Field("pending_price_revision", "bool", since=178, proto="isPriceRevisionPending"),
        Field("submitter", since=198),
    ),
    protobuf=(201, "ExecutionDetails"),
)
COMMISSION_REPORT = Layout(
    "commissionReport",
    59,
    (
        version_field(1),
        Field("exec_id"),
        Field("commission", "float", proto="commissionAndFees"),
        Field("currency"),
        Field("realized_pnl", "float", proto="realizedPNL"),
        Field("yield", "float", proto="bondYield"),
        Field("yield_redemption_date", "int"),
    ),
    protobuf=(201, "CommissionAndFeesReport"),
)
ORDER_BOUND = Layout("orderBound", 100, fields("int", "perm_id client_id order_id"), protobuf=(213, "OrderBound"))

POSITION_MULTI = Layout(
    "positionMulti",
    71,
    (
        version_field(1),
        REQ_ID,
        Field("account"),
        *_contract(),
        Field("position", "size"),
        Field("average_cost", "float", proto="avgCost"),
        Field("model_code"),
    ),
    protobuf=(207, "PositionMulti"),
)
POSITION_MULTI_END = Layout("positionMultiEnd", 72, (version_field(1), REQ_ID), protobuf=(207, "PositionMultiEnd"))
_PROFITS = (
    Field("daily_pnl", "float", proto="dailyPnL"),
    Field("unrealized_pnl", "float", proto="unrealizedPnL"),
    Field("realized_pnl", "float", proto="realizedPnL"),
)
PNL = Layout("pnl", 94, (REQ_ID, *_PROFITS), protobuf=(210, "PnL"))
PNL_SINGLE = Layout(
    "pnlSingle",
    95,
    (REQ_ID, Field("position", "size"), *_PROFITS, Field("value", "float")),
    protobuf=(210, "PnLSingle"),
)

LAYOUTS = {item.name: item for item in globals().copy().values() if isinstance(item, Layout)}
"""All layouts of this module, by the message names of ibapi's `EWrapper`."""
