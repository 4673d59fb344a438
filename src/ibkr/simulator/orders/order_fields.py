"""The field values of openOrder, orderStatus, completedOrder, execDetails, and commissionReport."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

from ibkr.simulator.broker.order import CANCELLED, FILLED, Execution, Order
from ibkr.simulator.broker.order_events import Previewed
from ibkr.simulator.broker.order_types import RELATIVE
from ibkr.simulator.broker.portfolio import MAINTENANCE
from ibkr.simulator.market.combos import describe_legs
from ibkr.simulator.market.instrument import Instrument
from ibkr.wire import order_messages
from ibkr.wire.layout import flatten

UNSET_INTEGER = 2147483647
UNSET_DOUBLE = 1.7976931348623157e308
UNSET_LONG = 9223372036854775807
_UNSET_MARGIN = "1.7976931348623157E308"

_UTC_SINCE = 174
"""The server version from which times are in UTC (ibapi `MIN_SERVER_VER_INSTRUMENT_TIMEZONE`)."""
_NEW_YORK = "America/New_York"

_MARGINS = [
    f"{kind}_{when}"
    for when in ("before", "change", "after")
    for kind in ("init_margin", "maint_margin", "equity_with_loan")
]

_UNSET_VALUES: dict[str, object] = {
    "oca_type": 3,
    "exempt_code": -1,
    "display_size": UNSET_INTEGER,
    "scale_init_level_size": UNSET_INTEGER,
    "scale_subs_level_size": UNSET_INTEGER,
    "ref_futures_con_id": UNSET_INTEGER,
    "delta_neutral_order_type": "None",
    "delta_neutral_open_close": "?",
    "clearing_intent": "IB",
    "adjusted_order_type": "None",
    "dont_use_auto_price_for_hedge": True,
    "shareholder": "Not an insider or substantial shareholder",
    **dict.fromkeys(_MARGINS, _UNSET_MARGIN),
    **dict.fromkeys(
        (
            "trigger_price",
            "stop_price",
            "lmt_price_offset",
            "adjusted_stop_price",
            "adjusted_stop_limit_price",
            "adjusted_trailing_amount",
        ),
        UNSET_DOUBLE,
    ),
    **dict.fromkeys(
        (
            "min_qty",
            "basis_points_type",
            "duration",
            "post_to_ats",
            "min_trade_qty",
        )
    ),
    **dict.fromkeys((f"{margin}_outside_rth" for margin in _MARGINS), UNSET_DOUBLE),
    "suggested_size": -UNSET_LONG - 1,
    "min_compete_size": 100,
    "compete_against_best_offset": 0.02,
}
"""Values of unset fields that are neither empty nor 0, as recorded from real gateways."""

_EMPTY: dict[str, object] = {"text": "", "bool": False, "int": 0, "size": 0}


def _defaults() -> dict[str, object]:
    found: dict[str, object] = {}
    for layout in (order_messages.OPEN_ORDER, order_messages.COMPLETED_ORDER):
        for item in flatten(layout.fields):
            found[item.name] = _EMPTY.get(getattr(item, "kind", "rows"), None if hasattr(item, "kind") else ())
    return {**found, "lmt_price": 0.0, "aux_price": 0.0, **_UNSET_VALUES}


_DEFAULTS = _defaults()
_GATEWAY_FIELDS = {"order_id", "exchange", "transmit", "what_if", "lmt_price", "account"}
"""Fields that the client has sent but the gateway decides."""


def contract_fields(instrument: Instrument, exchange: str) -> dict[str, object]:
    """Return the contract fields of openOrder. Without a call or put right, the right is a question mark."""
    found = {**instrument.position_fields(), "exchange": exchange}
    return found if found["right"] in ("C", "P") else {**found, "right": "?"}


def execution_time(seconds: float, server_version: int) -> str:
    """Return a time as in executions: in UTC, but for older clients in the time of the gateway's host."""
    if server_version < _UTC_SINCE:
        return time.strftime("%Y%m%d  %H:%M:%S", time.localtime(seconds))
    return time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime(seconds))


def completed_time(seconds: float, server_version: int) -> str:
    """Return a time as in completed orders, with its zone: UTC, but New York for older clients."""
    zone = _NEW_YORK if server_version < _UTC_SINCE else "UTC"
    return f"{datetime.fromtimestamp(seconds, ZoneInfo(zone)):%Y%m%d %H:%M:%S} {zone}"


def _sent(order: Order) -> dict[str, object]:
    """Return the terms that the client has set, by the names of openOrder.

    A field that is 0 or false counts as set only if the unset value of this field is empty.
    """
    return {
        name: value
        for name, value in order.terms.sent.items()
        if name in _DEFAULTS and name not in _GATEWAY_FIELDS
        if value or (value == 0 and _DEFAULTS[name] is None)
    }


def _second_trail_stop(order: Order) -> float:
    """Return the second field of `trailStopPrice`. For limit orders, TWS fills it with the limit plus or minus 1."""
    if order.terms.has_trigger:
        return order.stop_price or order.terms.aux_price or UNSET_DOUBLE
    limit = order.terms.limit_price
    return UNSET_DOUBLE if order.order_type != "LMT" or limit is None else limit + order.terms.sign


def _aux_price(order: Order) -> float:
    """Return the auxiliary price. TWS gives a relative order without an offset an offset of one tick."""
    if order.order_type == RELATIVE and not order.terms.sent.get("percent_offset"):
        return order.terms.aux_price or order.instrument.min_tick
    return order.terms.aux_price or 0.0


def _common(order: Order) -> dict[str, object]:
    terms = order.terms
    limit = terms.limit_price if order.limit_price is None else order.limit_price
    return {
        **_DEFAULTS,
        **_sent(order),
        **contract_fields(order.instrument, order.exchange),
        "action": terms.action,
        "order_type": terms.order_type,
        "lmt_price": limit or 0.0,
        "aux_price": _aux_price(order),
        "trail_stop_price": order.stop_price if terms.is_trailing else terms.trail_stop_price,
        "trailing_percent": terms.trailing_percent,
        "stop_price": _second_trail_stop(order),
        "lmt_price_offset": UNSET_DOUBLE if terms.limit_offset is None else terms.limit_offset,
        "tif": terms.tif,
        "oca_group": terms.oca_group,
        "oca_type": terms.oca_type or 3,
        "combo_legs_descrip": describe_legs(order.legs) if not order.exercise else "",
        "account": order.account,
        "order_ref": terms.order_ref,
        "perm_id": order.perm_id,
        "status": order.status,
    }


def open_order(order: Order) -> dict[str, object]:
    """Return the values of openOrder."""
    return {
        **_select(order_messages.OPEN_ORDER.name, _common(order)),
        "order_id": order.order_id,
        "client_id": order.client_id,
        "total_quantity": order.quantity,
        "shares_allocation": f"{order.perm_id}.0/{order.account}/{order.quantity:g}",
        "parent_id": order.terms.parent_id,
    }


def charged_order(execution: Execution) -> dict[str, object]:
    """Return the values of openOrder after a fill, with its commission."""
    cost = {"commission": execution.commission, "commission_currency": execution.instrument.currency}
    return {**open_order(execution.order), **cost}


def preview(event: Previewed) -> dict[str, object]:
    """Return the values of openOrder as the answer to a whatIf order. In this answer, margins are texts."""
    before, after, equity, fee = event.margin_before, event.margin_after, event.equity, event.commission
    numbers = {
        "init_margin": (before, after),
        "maint_margin": (MAINTENANCE * before, MAINTENANCE * after),
        "equity_with_loan": (equity, equity - fee),
    }
    values = open_order(event.order)
    for name, (first, last) in numbers.items():
        amounts = {"before": first, "change": last - first, "after": last}
        values |= {f"{name}_{moment}": f"{amount:.2f}" for moment, amount in amounts.items()}
        values |= {f"{name}_{moment}_outside_rth": round(amount, 2) for moment, amount in amounts.items()}
    currency = event.order.instrument.currency
    return {
        **values,
        "what_if": True,
        "commission": fee,
        "min_commission": fee,
        "max_commission": fee,
        "commission_currency": currency,
        "margin_currency": currency,
    }


def status(order: Order) -> dict[str, object]:
    """Return the values of orderStatus."""
    return {
        "order_id": order.order_id,
        "status": order.status,
        "filled": order.filled,
        "remaining": order.remaining,
        "avg_fill_price": order.average_price,
        "perm_id": order.perm_id,
        "parent_id": order.terms.parent_id,
        "last_fill_price": order.last_price,
        "client_id": order.client_id,
        "why_held": order.why_held,
        "mkt_cap_price": 0.0,
    }


def completed_order(order: Order, server_version: int) -> dict[str, object]:
    """Return the values of completedOrder. Its total quantity is what was not filled, as in TWS."""
    words = {FILLED: f"Filled Size: {order.filled:g}", CANCELLED: "Cancelled by Trader"}
    return {
        **_select(order_messages.COMPLETED_ORDER.name, _common(order)),
        "total_quantity": order.remaining,
        "filled_quantity": order.filled,
        "parent_perm_id": order.parent_perm_id or UNSET_LONG,
        "completed_time": completed_time(order.ended_at, server_version),
        "completed_status": order.reason or words.get(order.status, order.status),
    }


def execution_details(execution: Execution, server_version: int, req_id: int = -1) -> dict[str, object]:
    """Return the values of execDetails. The request id is -1 for a new execution.

    The order id of an order from TWS is unset, 2147483647.
    """
    order, instrument = execution.order, execution.instrument
    return {
        **instrument.position_fields(),
        "right": instrument.right,
        "req_id": req_id,
        "order_id": order.order_id or UNSET_INTEGER,
        "exchange": execution.exchange,
        "exec_id": execution.exec_id,
        "time": execution_time(execution.time, server_version),
        "account": order.account,
        "execution_exchange": execution.exchange,
        "side": execution.side,
        "shares": execution.shares,
        "price": execution.price,
        "perm_id": order.perm_id,
        "client_id": order.client_id,
        "liquidation": 0,
        "cum_qty": execution.cumulative,
        "avg_price": execution.average_price,
        "order_ref": order.terms.order_ref,
        "ev_rule": "",
        "ev_multiplier": None,
        "model_code": "",
        "last_liquidity": 2,
        "pending_price_revision": False,
        "submitter": "",
    }


def commission_report(execution: Execution) -> dict[str, object]:
    """Return the values of commissionReport. The realized profit is unset for a fill that closes nothing."""
    realized = execution.realized_pnl
    return {
        "exec_id": execution.exec_id,
        "commission": execution.commission,
        "currency": execution.instrument.currency,
        "realized_pnl": UNSET_DOUBLE if realized is None else round(realized, 6),
        "yield": UNSET_DOUBLE,
        "yield_redemption_date": None,
    }


_NAMES = {
    layout.name: {item.name for item in flatten(layout.fields)}
    for layout in (order_messages.OPEN_ORDER, order_messages.COMPLETED_ORDER)
}


def _select(layout: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in _NAMES[layout]}
