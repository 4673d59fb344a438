"""Which orders TWS refuses: error codes and texts."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from ibkr.simulator.broker.fills import round_to_tick
from ibkr.simulator.broker.order import EXERCISE, LAPSE, Order, Terms
from ibkr.simulator.broker.order_types import (
    ALGOS,
    GOOD_TILL_DATE,
    NEED_LIMIT,
    NEED_TRIGGER,
    ON_CLOSE,
    ORDER_TYPES,
    TIMES_IN_FORCE,
    TO_BENCHMARK,
    UNSUPPORTED,
)
from ibkr.simulator.broker.portfolio import Portfolio
from ibkr.simulator.market.contract_details import order_types_of
from ibkr.simulator.market.date_text import invalid_date, parse_date
from ibkr.simulator.market.instrument import Instrument

MAX_ALIKE = 20
"""The largest number of active orders per contract, side, and account (IB's page on order limitations)."""

DUPLICATE = (103, "Duplicate order id")
IS_FILLED = (104, "Can't modify a filled order.")
NOT_THE_SAME = (105, "Order being modified does not match original order.")
NO_PARENT = (10006, "Missing parent order.")
EXERCISE_FAILED = (322, "Error processing request.Exercise/Lapse failed due to server rejection.")
_NOT_IN_MONEY = (322, "Error processing request.Exercise ignored because option is not in-the-money.")
_IN_MONEY = (322, "Error processing request.Lapse ignored because option is in-the-money.")
OCA_REVISED = (10326, "OCA group revision is not allowed.")

_HIGHEST = 1e9
OFF_TICK = (110, "The price does not conform to the minimum price variation for this contract.")
_NO_SIZE = (434, "The order size cannot be zero.")
_UNSUPPORTED = (387, "Unsupported order type for this exchange and security type.")
_NO_ALGO = (439, "The order processing failed. Algorithm definition not found.")
_FRACTION = (10243, "Fractional-sized order cannot be placed via API. Please use desktop version to revise this order.")


def invalid(cause: str) -> tuple[int, str]:
    """Return error 321 with the cause."""
    return 321, f"Error validating request.-'bN' : cause - {cause}"


def invalid_id(order_id: int) -> tuple[int, str]:
    """Return the error for an order id that no client may use."""
    return 10149, f"Invalid order id: {order_id}"


def not_found(order_id: int) -> tuple[int, str]:
    """Return the error for a cancel of an unknown order id."""
    return 10147, f"OrderId {order_id} that needs to be cancelled is not found."


def not_cancellable(order: Order) -> tuple[int, str]:
    """Return the error for a cancel that comes too late."""
    return 10148, f"OrderId {order.order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."


def cancel_attempted(order: Order) -> tuple[int, str]:
    """Return the error of a global cancel for an ended order, and of a second cancel before the first has ended."""
    text = "Cancel attempted when order is not in a cancellable state.  Order permId ="
    return 161, f"{text}{order.perm_id}"


def no_such_order(order_id: int) -> tuple[int, str]:
    """Return the error for a change of an unknown order."""
    return 135, f"Can't find order with id = {order_id}"


def refusal(terms: Terms, instrument: Instrument) -> tuple[int, str] | None:
    """Return the error for these terms, or `None`."""
    if terms.action not in ("BUY", "SELL"):
        return invalid(f"Action is '{terms.action[:20]}', and neither BUY nor SELL")
    if terms.quantity == 0:
        return _NO_SIZE
    if terms.quantity < 0:
        return invalid("Total quantity is negative")
    if not terms.quantity.is_integer():
        return _FRACTION
    return _kind_refusal(terms, instrument) or _price_refusal(terms, instrument)


def _kind_refusal(terms: Terms, instrument: Instrument) -> tuple[int, str] | None:
    """Return the error for the order type, time in force, or algorithm, or `None`."""
    if terms.order_type in UNSUPPORTED:
        return _UNSUPPORTED
    if terms.order_type not in ORDER_TYPES:
        return invalid("Invalid order type was entered")
    if not _is_supported(terms.order_type, instrument.sec_type):
        return _UNSUPPORTED
    if terms.tif not in TIMES_IN_FORCE:
        return 10052, f"Invalid time in force: {terms.tif[:20]}"
    if terms.tif == GOOD_TILL_DATE and not _is_date(str(terms.sent.get("good_till_date") or "")):
        return 391, invalid_date("End Time")  # users of ib_insync have reported this code
    if terms.order_type == TO_BENCHMARK and not terms.sent.get("reference_contract_id"):
        return invalid("Missing reference financial instrument")
    algo = str(terms.sent.get("algo_strategy") or "")
    if algo and algo not in ALGOS:
        return _NO_ALGO
    return None


def _is_supported(order_type: str, sec_type: str) -> bool:
    """Return whether a security type can have this order type. For types in `ON_CLOSE`, check the details."""
    named = order_types_of(sec_type).split(",")
    return named != [""] and sec_type != "CONTFUT" and (order_type not in ON_CLOSE or order_type in named)


def _is_date(text: str) -> bool:
    try:
        parse_date(text, ZoneInfo("UTC"))
    except ValueError:
        return False
    return True


def _price_refusal(terms: Terms, instrument: Instrument) -> tuple[int, str] | None:
    if terms.order_type in NEED_LIMIT and terms.limit_price is None:
        return invalid("Limit price is missing")
    if terms.order_type in NEED_TRIGGER and not terms.aux_price:
        return invalid("Stop price is missing")
    if terms.is_trailing and not terms.aux_price and not terms.trailing_percent:
        return invalid("Trailing amount or percent is missing")
    prices = (terms.limit_price, terms.aux_price, terms.trail_stop_price)
    if any(price and abs(price) > _HIGHEST for price in (*prices, terms.trailing_percent, terms.limit_offset)):
        return invalid("A price is out of range")
    for price in prices:
        if price and abs(round_to_tick(price, instrument) - price) > 1e-9:
            return OFF_TICK
    return None


def exercise_refusal(order: Order, held: float, may_exercise: bool, may_lapse: bool) -> tuple[int, str] | None:
    """Return the error for an instruction about an option, or `None`."""
    if order.exercise not in (EXERCISE, LAPSE):
        return invalid(f"Invalid exercise action: {order.exercise}")
    if order.quantity < 1:
        return invalid(f"Invalid exercise quantity: {order.quantity:g}")
    if held <= 0:
        text = f"No unlapsed position exists in this option in account {order.account}."
        return 322, f"Error processing request.{text}"
    if order.exercise == EXERCISE:
        return None if may_exercise else _NOT_IN_MONEY
    return None if may_lapse else _IN_MONEY


def legs_refusal(rows: Sequence[Mapping[str, object]]) -> tuple[int, str] | None:
    """Return the error for the legs of a combination in a request, or `None`."""
    if not rows:
        return invalid("Security type 'BAG' requires combo leg details.")
    for row in rows:
        if row["action"] not in ("BUY", "SELL"):
            return invalid(f"Invalid leg action: {str(row['action'])[:20]}")
        if not isinstance(row["ratio"], int) or row["ratio"] < 1:
            return invalid(f"Invalid leg ratio: {row['ratio']}")
    return None


def limit_refusal(order: Order, live: Sequence[Order]) -> str:
    """Return the reason of a 201 if there are too many similar orders, otherwise ""."""
    wanted = order.account, order.instruments, order.action
    alike = [item for item in live if item.is_working and (item.account, item.instruments, item.action) == wanted]
    if len(alike) < MAX_ALIKE:
        return ""
    return f"The maximum of {MAX_ALIKE} active orders for this contract, side and account has been reached"


def margin_refusal(order: Order, portfolio: Portfolio) -> str:
    """Return the reason of a 201 if the margin does not suffice, otherwise ""."""
    # An order that reduces a position needs no margin.
    before = portfolio.margin(order.account)
    after = portfolio.margin(order.account, order.changes(order.remaining))
    equity = portfolio.net_liquidation(order.account)
    if after <= max(before, equity):
        return ""
    return (
        "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
        f"[{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{after:.2f} USD]"
    )
