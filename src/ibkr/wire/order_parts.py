"""Fields that placeOrder, openOrder, and completedOrder have in common."""

import math
from collections.abc import Callable, Mapping

from ibkr.wire.layout_items import TEXT_ONLY, Conditional, Field, Item, Repeat, fields, texts

_PRICE, _EXECUTION, _VOLUME, _PERCENT = 1, 5, 6, 7
_CONDITION_VALUES = {_PRICE: "price", 3: "time", 4: "percent", _VOLUME: "volume", _PERCENT: "changePercent"}


def is_set(name: str) -> Callable[[Mapping[str, object]], bool]:
    """Return a condition: the field of this name is neither empty nor 0."""
    return lambda values: bool(values[name])


def is_any(name: str, *wanted: object) -> Callable[[Mapping[str, object]], bool]:
    """Return a condition: the field of this name has one of these values."""
    return lambda values: values[name] in wanted


def is_scaled(values: Mapping[str, object]) -> bool:
    """Return whether the fields of a scale order follow: its price increment is set and above 0."""
    increment = values["scale_price_increment"]
    return isinstance(increment, float | int) and 0 < increment < 1e308


def has_mid_offsets(values: Mapping[str, object]) -> bool:
    """Return whether placeOrder has the two offsets from the midpoint.

    PEG MID orders have them. PEG BEST orders have them only if they compete up to the midpoint (an infinite offset).
    """
    if values["order_type"] in ("PEG BEST", "PEGBEST"):
        return values["compete_against_best_offset"] == math.inf
    return values["order_type"] in ("PEG MID", "PEGMID")


def _condition_value(values: Mapping[str, object]) -> str:
    """Return the protobuf field for the value of a condition, by its type; `TEXT_ONLY` for other types."""
    kind = values["type"]
    return _CONDITION_VALUES.get(kind, TEXT_ONLY) if isinstance(kind, int) else TEXT_ONLY


TERMS = (
    Field("action"),
    Field("total_quantity", "size"),
    Field("order_type"),
    *fields("float", "lmt_price aux_price"),
    *texts("tif oca_group account open_close"),
    Field("origin", "int"),
    Field("order_ref"),
)
"""What is ordered, and for whom."""

COMBO_LEGS = Repeat(
    "combo_legs",
    (
        *fields("int", "con_id ratio"),
        *texts("action exchange"),
        Field("open_close", "int"),
        Field("short_sale_slot", "int", proto="shortSalesSlot"),
        Field("designated_location"),
        Field("exempt_code", "int"),
    ),
    proto="contract.comboLegs",
)
ORDER_COMBO_LEGS = Repeat("order_combo_legs", fields("float", "price", proto="perLegPrice"), proto="contract.comboLegs")
SMART_COMBO_ROUTING = Repeat("smart_combo_routing_params", texts("tag value"), proto="order.smartComboRoutingParams")

SCALE = Conditional(
    is_scaled,
    (
        Field("scale_price_adjust_value", "float"),
        Field("scale_price_adjust_interval", "int"),
        Field("scale_profit_offset", "float"),
        Field("scale_auto_reset", "bool"),
        *fields("int", "scale_init_position scale_init_fill_qty"),
        Field("scale_random_percent", "bool"),
    ),
)
HEDGE: tuple[Item, ...] = (Field("hedge_type"), Conditional(is_set("hedge_type"), texts("hedge_param")))
DELTA_NEUTRAL_CONTRACT: tuple[Item, ...] = (
    Field("has_delta_neutral_contract", "bool", proto="contract.deltaNeutralContract"),
    Conditional(
        is_set("has_delta_neutral_contract"),
        (
            Field("delta_neutral_contract_con_id", "int", proto="contract.deltaNeutralContract.conId"),
            Field("delta_neutral_contract_delta", "float", proto="contract.deltaNeutralContract.delta"),
            Field("delta_neutral_contract_price", "float", proto="contract.deltaNeutralContract.price"),
        ),
    ),
)
ALGO: tuple[Item, ...] = (
    Field("algo_strategy"),
    Conditional(is_set("algo_strategy"), (Repeat("algo_params", texts("tag value"), proto="order.algoParams"),)),
)
PEGGED_TO_BENCHMARK = Conditional(
    is_any("order_type", "PEG BENCH", "PEGBENCH"),
    (
        Field("reference_contract_id", "int"),
        Field("is_pegged_change_amount_decrease", "bool"),
        *fields("float", "pegged_change_amount reference_change_amount"),
        Field("reference_exchange_id"),
    ),
)
CONDITIONS: tuple[Item, ...] = (
    Repeat(
        "conditions",
        (
            Field("type", "int"),
            Field("conjunction", proto="isConjunctionConnection"),
            Conditional(is_any("type", _EXECUTION), texts("sec_type exchange symbol")),
            Conditional(
                lambda values: values["type"] != _EXECUTION,
                (Field("is_more", "bool"), Field("value", proto=_condition_value)),
            ),
            Conditional(is_any("type", _PRICE, _VOLUME, _PERCENT), (Field("con_id", "int"), Field("exchange"))),
            Conditional(is_any("type", _PRICE), fields("int", "trigger_method")),
        ),
        proto="order.conditions",
    ),
    Conditional(
        is_set("conditions"),
        (
            *fields("bool", "conditions_ignore_rth conditions_cancel_order"),
            Field("conditions_include_overnight", "bool", since=226),
        ),
    ),
)
NEWER_TERMS = (
    *fields("bool", "deactivate post_only allow_pre_open ignore_open_auction", since=216),
    *fields("int", "seek_price_improvement what_if_type", since=217),
    Field("hedge_max_size", "int", since=223),
)
"""Fields of placeOrder and openOrder. Both messages are protobuf at these versions."""
PEGGED: tuple[Item, ...] = (
    *fields("int", "min_trade_qty min_compete_size", since=170),
    *fields("float", "compete_against_best_offset mid_offset_at_whole mid_offset_at_half", since=170),
)
"""Fields of openOrder and completedOrder. placeOrder has them for some orders only."""
