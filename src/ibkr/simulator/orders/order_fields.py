"""What openOrder, orderStatus, completedOrder, execDetails and commissionReport say of an order."""

import time

from ibkr.simulator.broker.charges import MAINTENANCE
from ibkr.simulator.broker.events import Previewed
from ibkr.simulator.broker.order import CANCELLED, FILLED, Execution, Order
from ibkr.simulator.market.instrument import Instrument
from ibkr.wire import order_messages
from ibkr.wire.layout import flat

UNSET_INTEGER = 2147483647
UNSET_DOUBLE = 1.7976931348623157e308
_UNSET_MARGIN = "1.7976931348623157E308"

_ZONES_SINCE = 174
"""The server version from which times have a zone (ibapi `MIN_SERVER_VER_INSTRUMENT_TIMEZONE`)."""

_MARGINS = [
    f"{kind}_{when}"
    for when in ("before", "change", "after")
    for kind in ("init_margin", "maint_margin", "equity_with_loan")
]

_AS_TWS_SENDS_THEM: dict[str, object] = {
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
            "manual_order_indicator",
        )
    ),
    "min_compete_size": 100,
    "compete_against_best_offset": 0.02,
}
"""Where a field that nobody has set is not empty or 0: seen in the lines of real gateways."""

_EMPTY: dict[str, object] = {"text": "", "bool": False, "int": 0, "size": 0}


def _defaults() -> dict[str, object]:
    found: dict[str, object] = {}
    for layout in (order_messages.OPEN_ORDER, order_messages.COMPLETED_ORDER):
        for item in flat(layout.fields):
            found[item.name] = _EMPTY.get(getattr(item, "kind", "rows"), None if hasattr(item, "kind") else ())
    return {**found, "lmt_price": 0.0, "aux_price": 0.0, **_AS_TWS_SENDS_THEM}


_DEFAULTS = _defaults()
_OURS = {"order_id", "exchange", "transmit", "what_if", "aux_price", "lmt_price", "trail_stop_price", "account"}


def contract_fields(instrument: Instrument, exchange: str) -> dict[str, object]:
    """The contract as openOrder has it: the right of what is no option is a question mark."""
    found = {**instrument.position_fields(), "exchange": exchange}
    return found if found["right"] in ("C", "P") else {**found, "right": "?"}


def when(seconds: float, server_version: int) -> str:
    """A time as executions and completed orders have it; older clients get that of the gateway's host."""
    if server_version < _ZONES_SINCE:
        return time.strftime("%Y%m%d  %H:%M:%S", time.localtime(seconds))
    return time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime(seconds))


def _common(order: Order) -> dict[str, object]:
    terms = order.terms
    sent = {name: value for name, value in terms.sent.items() if name in _DEFAULTS and name not in _OURS and value}
    return {
        **_DEFAULTS,
        **sent,
        **contract_fields(order.instrument, order.exchange),
        "action": terms.action,
        "order_type": terms.order_type,
        "lmt_price": order.limit_price or terms.limit_price or 0.0,
        "aux_price": terms.aux_price or 0.0,
        "trail_stop_price": order.stop_price if terms.is_trailing else None,
        "trailing_percent": terms.trailing_percent,
        "stop_price": order.stop_price or terms.aux_price or UNSET_DOUBLE,
        "lmt_price_offset": UNSET_DOUBLE if terms.limit_offset is None else terms.limit_offset,
        "tif": terms.tif,
        "oca_group": terms.oca_group,
        "oca_type": terms.oca_type or 3,
        "account": order.account,
        "order_ref": terms.order_ref,
        "perm_id": order.perm_id,
        "status": order.status,
    }


def open_order(order: Order) -> dict[str, object]:
    """The values of openOrder."""
    return {
        **_known(order_messages.OPEN_ORDER.name, _common(order)),
        "order_id": order.order_id,
        "client_id": order.client_id,
        "total_quantity": order.quantity,
        "shares_allocation": f"{order.perm_id}.0/{order.account}/{order.quantity:g}",
        "parent_id": order.terms.parent_id,
    }


def charged_order(execution: Execution) -> dict[str, object]:
    """openOrder as it follows a fill: with what it has cost."""
    cost = {"commission": execution.commission, "commission_currency": execution.order.instrument.currency}
    return {**open_order(execution.order), **cost}


def preview(event: Previewed) -> dict[str, object]:
    """openOrder as the answer to a whatIf order; margins are texts in it."""
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
    """The values of orderStatus."""
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
    """The values of completedOrder; what it gives as total is what was not filled, as TWS does."""
    words = {FILLED: f"Filled Size: {order.filled:g}", CANCELLED: "Cancelled by Trader"}
    return {
        **_known(order_messages.COMPLETED_ORDER.name, _common(order)),
        "rule_80a": "0",
        "total_quantity": order.remaining,
        "filled_quantity": order.filled,
        "parent_perm_id": order.parent_perm_id,
        "completed_time": when(order.ended_at, server_version),
        "completed_status": order.reason or words.get(order.status, order.status),
    }


def execution_details(execution: Execution, server_version: int, req_id: int = -1) -> dict[str, object]:
    """The values of execDetails; the request id is -1 for one that happens now."""
    order = execution.order
    return {
        **order.instrument.position_fields(),
        "req_id": req_id,
        "order_id": order.order_id,
        "exchange": execution.exchange,
        "exec_id": execution.exec_id,
        "time": when(execution.time, server_version),
        "account": order.account,
        "execution_exchange": execution.exchange,
        "side": execution.side,
        "shares": execution.shares,
        "price": execution.price,
        "perm_id": order.perm_id,
        "client_id": order.client_id,
        "liquidation": 0,
        "cum_qty": order.filled,
        "avg_price": order.average_price,
        "order_ref": order.terms.order_ref,
        "ev_rule": "",
        "ev_multiplier": None,
        "model_code": "",
        "last_liquidity": 2,
        "pending_price_revision": False,
        "submitter": "",
    }


def commission_report(execution: Execution) -> dict[str, object]:
    """The values of commissionReport; a fill that closes nothing realizes nothing."""
    realized = execution.realized_pnl
    return {
        "exec_id": execution.exec_id,
        "commission": execution.commission,
        "currency": execution.order.instrument.currency,
        "realized_pnl": UNSET_DOUBLE if realized is None else round(realized, 6),
        "yield": UNSET_DOUBLE,
        "yield_redemption_date": None,
    }


_NAMES = {
    layout.name: {item.name for item in flat(layout.fields)}
    for layout in (order_messages.OPEN_ORDER, order_messages.COMPLETED_ORDER)
}


def _known(layout: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in _NAMES[layout]}
