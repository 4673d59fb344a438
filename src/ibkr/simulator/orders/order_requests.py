"""Answer the requests about orders and executions."""

import calendar
import time
from collections.abc import Mapping, Sequence

from ibkr.simulator.broker import order_checks
from ibkr.simulator.broker.order import Execution, Order, Terms
from ibkr.simulator.broker.order_events import OrderChanged
from ibkr.simulator.broker.order_types import canonical
from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.market.combos import Leg, combo_contract
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.orders import order_fields
from ibkr.simulator.orders.order_reports import event_messages
from ibkr.simulator.requests.field_reader import FieldReader, MalformedField, read_layout
from ibkr.simulator.requests.request_helpers import NO_DEFINITION
from ibkr.wire import messages, order_messages, order_request_layouts

_CONTRACT_FIELDS = ("symbol", "sec_type", "last_trade_date", "right", "multiplier", "exchange", "currency")
_DIGITS = "%Y%m%d%H:%M:%S"


def place(client: ClientSession, fields: FieldReader) -> None:
    """placeOrder: openOrder and orderStatus, or an error with the order's id."""
    values = read_layout(fields, order_request_layouts.PLACE_ORDER, client.server_version)
    order_id, order_handler = _int(values, "order_id"), client.state.order_handler
    if order_id == 0 or (order_id < 0 and client.client_id != 0):
        client.send_error(order_id, *order_checks.invalid_id(order_id))
        return
    try:
        account = _account(client, str(values["account"]))
        instrument, legs = _instrument(client, values)
    except _Refusal as refusal:
        client.send_error(order_id, *refusal.error)
        return
    exchange = str(values["exchange"]) or instrument.exchange
    order = Order(0, client.client_id, order_id, account, instrument, exchange, _terms(values), legs=legs)
    if values["what_if"]:
        order_handler.handle_events(order_handler.engine.preview(order))
    else:
        order_handler.place(order)


def exercise(client: ClientSession, fields: FieldReader) -> None:
    """exerciseOptions: openOrder and orderStatus with the request's id, or an error."""
    values = read_layout(fields, order_request_layouts.EXERCISE_OPTIONS, client.server_version)
    req_id, instruments = _int(values, "req_id"), client.state.instruments
    try:
        account = _account(client, str(values["account"]))
        option, _ = _instrument(client, values)
        underlying = instruments.by_con_id(option.under_con_id)
        if option.sec_type not in ("OPT", "FOP") or underlying is None:
            raise _Refusal(*order_checks.invalid("Only options can be exercised"))
    except _Refusal as refusal:
        client.send_error(req_id, *refusal.error)
        return
    terms = Terms("BUY", float(_int(values, "exercise_quantity")), "LMT", 0.0)
    exchange, action = str(values["exchange"]) or option.exchange, _int(values, "exercise_action")
    order = Order(0, client.client_id, req_id, account, option, exchange, terms, exercise=action)
    client.state.order_handler.exercise(order, underlying, is_forced=bool(values["override"]))


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelOrder: orderStatus and error 202, or 10147 or 10148 if there is nothing to cancel."""
    values = read_layout(fields, order_request_layouts.CANCEL_ORDER, client.server_version)
    order_id = _int(values, "order_id")
    if order_id:
        client.state.order_handler.cancel(client.client_id, order_id)
    else:
        client.send_error(order_id, *order_checks.invalid_id(order_id))


def cancel_all(client: ClientSession, fields: FieldReader) -> None:
    """reqGlobalCancel: cancel the orders of all clients and of TWS. 161 for orders that have ended."""
    read_layout(fields, order_request_layouts.GLOBAL_CANCEL, client.server_version)
    client.state.order_handler.cancel_all(client.client_id)


def open_orders(client: ClientSession, fields: FieldReader) -> None:
    """reqOpenOrders: the client's own orders. For client 0, also bind the orders of TWS."""
    fields.int("Version")
    order_handler = client.state.order_handler
    if client.client_id == 0:
        order_handler.bind_tws_orders(client)
    _send_open(client, [order for order in order_handler.open_orders() if order_handler.may_see(client, order)])


def all_open_orders(client: ClientSession, fields: FieldReader) -> None:
    """reqAllOpenOrders: the orders of all clients, and of TWS."""
    fields.int("Version")
    _send_open(client, client.state.order_handler.open_orders())


def _send_open(client: ClientSession, orders: list[Order]) -> None:
    rows = [body for order in orders for body in event_messages(client, OrderChanged(order))]
    client.send(*rows, client.encode(messages.OPEN_ORDER_END))


def auto_open_orders(client: ClientSession, fields: FieldReader) -> None:
    """reqAutoOpenOrders: for client 0 only, bind new orders of TWS."""
    fields.int("Version")
    is_wanted = fields.bool("Auto Bind")
    if client.client_id == 0:
        client.binds_orders = is_wanted
    else:
        client.send_error(-1, 327, "Only the default client (i.e 0) can auto bind orders.")


def completed_orders(client: ClientSession, fields: FieldReader) -> None:
    """reqCompletedOrders: the orders of all clients, and the orders of TWS unless only API orders are requested."""
    is_api_only = fields.bool("Api Only")
    ended = [order for order in client.state.order_handler.orders.values() if not order.is_live]
    rows = [
        client.encode(order_messages.COMPLETED_ORDER, **order_fields.completed_order(order, client.server_version))
        for order in sorted(ended, key=lambda order: order.ended_at)
        if not (is_api_only and order.is_from_tws)
    ]
    client.send(*rows, client.encode(messages.COMPLETED_ORDERS_END))


def executions(client: ClientSession, fields: FieldReader) -> None:
    """reqExecutions: the executions that match the filter, each with its commission, then the end."""
    values = read_layout(fields, order_request_layouts.EXECUTIONS, client.server_version)
    req_id, order_handler = _int(values, "req_id"), client.state.order_handler
    since = _parse_time(str(values["time"]))
    rows: list[bytes] = []
    for execution in order_handler.executions:
        if (
            order_handler.may_see(client, execution.order)
            and execution.time >= since
            and _matches_filter(execution, values)
        ):
            details = order_fields.execution_details(execution, client.server_version, req_id)
            rows.append(client.encode(order_messages.EXEC_DETAILS, **details))
            rows.append(client.encode(order_messages.COMMISSION_REPORT, **order_fields.commission_report(execution)))
    client.send(*rows, client.encode(messages.EXECUTION_DATA_END, req_id=req_id))


def _matches_filter(execution: Execution, wanted: Mapping[str, object]) -> bool:
    actual = {
        "client_id": execution.order.client_id,
        "account": execution.order.account,
        "symbol": execution.symbol,
        "sec_type": execution.instrument.sec_type,
        "exchange": execution.exchange,
        "side": execution.action,
    }
    return all(not wanted[name] or wanted[name] == value for name, value in actual.items())


def _parse_time(text: str) -> float:
    """Parse the time of a filter to seconds since the epoch: local time, or UTC if it has a hyphen (and a Z)."""
    if not text:
        return 0.0
    is_utc = "-" in text or text.endswith("UTC")
    try:
        parsed = time.strptime("".join(text.replace("-", " ").removesuffix("Z").split()[:2]), _DIGITS)
    except ValueError:
        raise MalformedField("Time", text) from None
    return calendar.timegm(parsed) if is_utc else time.mktime(parsed)


class _Refusal(Exception):
    """An order cannot be accepted. `error` is code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.error = code, text


def _account(client: ClientSession, wanted: str) -> str:
    """Return the account of an order. Raises `_Refusal` if it is missing or unknown."""
    accounts = client.state.settings.accounts
    if not wanted and len(accounts) > 1:
        raise _Refusal(435, "You must specify an account.")
    if wanted and wanted not in accounts:
        raise _Refusal(*order_checks.invalid(f"Invalid account code '{wanted[:40]}'"))
    return wanted or accounts[0]


def _instrument(client: ClientSession, values: Mapping[str, object]) -> tuple[Instrument, tuple[Leg, ...]]:
    """Return the instrument of an order, and the legs of a combination. Raises `_Refusal` for a wrong contract."""
    instruments = client.state.instruments
    if values["sec_type"] != "BAG":
        matches = instruments.find(_contract(values))
        if len(matches) != 1:
            raise _Refusal(200, NO_DEFINITION)
        return matches[0], ()
    rows = values["combo_legs"]
    assert isinstance(rows, Sequence)
    if wrong := order_checks.legs_refusal(rows):
        raise _Refusal(*wrong)
    legs: list[Leg] = []
    for row in rows:
        item = instruments.by_con_id(row["con_id"] or 0)
        if item is None:
            raise _Refusal(200, NO_DEFINITION)
        legs.append(Leg(item, row["ratio"], 1 if row["action"] == "BUY" else -1))
    symbol, exchange = str(values["symbol"]) or legs[0].instrument.symbol, str(values["exchange"]) or "SMART"
    return combo_contract(symbol, exchange, str(values["currency"]) or "USD"), tuple(legs)


def _contract(values: Mapping[str, object]) -> dict[str, str]:
    fields = {name: str(values[name]) for name in _CONTRACT_FIELDS}
    return {
        **fields,
        "con_id": str(values["con_id"] or ""),
        "local_symbol": str(values["local_symbol"]),
        "strike": str(values["strike"] or ""),
        "trading_class": str(values["trading_class"]),
    }


def _terms(values: Mapping[str, object]) -> Terms:
    order_type, tif = canonical(str(values["order_type"]), str(values["tif"]))
    return Terms(
        action=str(values["action"]),
        quantity=_float(values, "total_quantity") or 0.0,
        order_type=order_type,
        limit_price=_float(values, "lmt_price"),
        aux_price=_float(values, "aux_price"),
        trail_stop_price=_float(values, "trail_stop_price"),
        trailing_percent=_float(values, "trailing_percent"),
        limit_offset=_float(values, "lmt_price_offset"),
        tif=tif,
        oca_group=str(values["oca_group"]),
        oca_type=_int(values, "oca_type"),
        parent_id=_int(values, "parent_id"),
        transmit=bool(values["transmit"]),
        order_ref=str(values["order_ref"]),
        sent=values,
    )


def _int(values: Mapping[str, object], name: str) -> int:
    value = values[name]
    return value if isinstance(value, int) else 0


def _float(values: Mapping[str, object], name: str) -> float | None:
    value = values[name]
    return value if isinstance(value, float) else None
