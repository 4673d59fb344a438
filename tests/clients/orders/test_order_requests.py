"""The gateway reads each field of an order as the clients write it, with the same values."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibkr.simulator.requests.field_reader import read_layout
from ibkr.simulator.requests.request_names import parse_request
from ibkr.wire.layout import Layout
from ibkr.wire.order_request_layouts import CANCEL_ORDER, EXECUTIONS, EXERCISE_OPTIONS, GLOBAL_CANCEL, PLACE_ORDER

ORDER_TYPES = ("MKT", "LMT", "TRAIL LIMIT", "PEG BENCH", "PEG BEST", "PEG MID")
WORDS = st.text("ABCabc019 .-", max_size=6)
PRICES = st.floats(0.25, 1e6)
COUNTS = st.integers(1, 10**6)

_FIELDS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "orderType": ("order_type", st.sampled_from(ORDER_TYPES)),
    "action": ("action", st.sampled_from(["BUY", "SELL"])),
    "lmtPrice": ("lmt_price", PRICES),
    "auxPrice": ("aux_price", PRICES),
    "tif": ("tif", WORDS),
    "ocaGroup": ("oca_group", WORDS),
    "ocaType": ("oca_type", st.integers(0, 3)),
    "account": ("account", WORDS),
    "orderRef": ("order_ref", WORDS),
    "transmit": ("transmit", st.booleans()),
    "parentId": ("parent_id", COUNTS),
    "outsideRth": ("outside_rth", st.booleans()),
    "goodTillDate": ("good_till_date", WORDS),
    "minQty": ("min_qty", COUNTS),
    "deltaNeutralOrderType": ("delta_neutral_order_type", st.sampled_from(["", "MKT"])),
    "trailStopPrice": ("trail_stop_price", PRICES),
    "trailingPercent": ("trailing_percent", PRICES),
    "scalePriceIncrement": ("scale_price_increment", PRICES),
    "scaleInitPosition": ("scale_init_position", COUNTS),
    "hedgeType": ("hedge_type", st.sampled_from(["", "D"])),
    "hedgeParam": ("hedge_param", WORDS),
    "notHeld": ("not_held", st.booleans()),
    "algoStrategy": ("algo_strategy", st.sampled_from(["", "Adaptive"])),
    "whatIf": ("what_if", st.booleans()),
    "referenceChangeAmount": ("reference_change_amount", PRICES),
    "adjustedStopPrice": ("adjusted_stop_price", PRICES),
    "lmtPriceOffset": ("lmt_price_offset", PRICES),
    "cashQty": ("cash_qty", PRICES),
    "mifid2ExecutionAlgo": ("mifid2_execution_algo", WORDS),
    "usePriceMgmtAlgo": ("use_price_mgmt_algo", st.booleans()),
    "duration": ("duration", COUNTS),
    "postToAts": ("post_to_ats", COUNTS),
    "autoCancelParent": ("auto_cancel_parent", st.booleans()),
    "manualOrderTime": ("manual_order_time", WORDS),
    "minTradeQty": ("min_trade_qty", COUNTS),
    "competeAgainstBestOffset": ("compete_against_best_offset", PRICES | st.just(math.inf)),
    "midOffsetAtHalf": ("mid_offset_at_half", PRICES),
    "customerAccount": ("customer_account", WORDS),
    "includeOvernight": ("include_overnight", st.booleans()),
    "manualOrderIndicator": ("manual_order_indicator", COUNTS),
    "imbalanceOnly": ("imbalance_only", st.booleans()),
    "postOnly": ("post_only", st.booleans()),
    "seekPriceImprovement": ("seek_price_improvement", st.integers(0, 1)),
    "routeMarketableToBbo": ("route_marketable_to_bbo", st.booleans()),
    "whatIfType": ("what_if_type", COUNTS),
    "hedgeMaxSize": ("hedge_max_size", COUNTS),
}
_SINCE = {
    "duration": 158,
    "postToAts": 160,
    "autoCancelParent": 162,
    "manualOrderTime": 169,
    "minTradeQty": 170,
    "competeAgainstBestOffset": 170,
    "midOffsetAtHalf": 170,
    "customerAccount": 183,
    "includeOvernight": 189,
    "manualOrderIndicator": 192,
    "imbalanceOnly": 199,
    "postOnly": 216,
    "seekPriceImprovement": 217,
    "routeMarketableToBbo": 217,
    "whatIfType": 217,
    "hedgeMaxSize": 223,
}
"""A client refuses to send these fields to a gateway that is older than this version."""

examples = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(body: bytes, layout: Layout, version: int) -> dict[str, Any]:
    """Return what the gateway reads. Raises an error if the gateway did not read all fields."""
    request = parse_request(body, version)
    assert request.name == layout.name
    return read_layout(request.fields, layout, version)


@examples
@given(data=st.data())
@pytest.mark.parametrize("sec_type", ["STK", "BAG"])
def test_place_order(library, sec_type: str, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(library.spoken))
    order = library.classes.Order()
    fits = {name: field for name, field in _FIELDS.items() if hasattr(order, name) and _SINCE.get(name, 0) <= version}
    chosen = data.draw(st.fixed_dictionaries({}, optional={name: field[1] for name, field in fits.items()}))
    order.orderType, order.totalQuantity = "MKT", 100
    for name, value in chosen.items():
        setattr(order, name, value)
    contract = a_contract(library, sec_type, data)
    values = read(library.sent(version, lambda client: client.placeOrder(7, contract, order)), PLACE_ORDER, version)
    assert (values["order_id"], values["con_id"], values["total_quantity"]) == (7, 265598, 100)
    assert (values["exchange"], values["sec_type"]) == (contract.exchange, sec_type)
    for name, value in chosen.items():
        if fits[name][0] in values:
            assert values[fits[name][0]] == value, name
    if sec_type == "BAG":
        assert [leg["con_id"] for leg in values["combo_legs"]] == [1, 2]


def a_contract(library, sec_type: str, data: st.DataObject) -> Any:
    contract = library.classes.Contract()
    contract.conId, contract.symbol, contract.secType = 265598, "AAPL", sec_type
    contract.exchange = data.draw(st.sampled_from(["SMART", "IBKRATS"]))
    if sec_type == "BAG":
        contract.comboLegs = [library.classes.ComboLeg(), library.classes.ComboLeg()]
        for con_id, leg in enumerate(contract.comboLegs, start=1):
            leg.conId, leg.ratio, leg.action, leg.exchange = con_id, 1, "BUY", "SMART"
    return contract


def test_conditions_and_algo_parameters(library) -> None:
    order = library.classes.Order()
    order.orderType, order.totalQuantity, order.algoStrategy = "LMT", 1, "Adaptive"
    order.algoParams = [library.classes.TagValue("adaptivePriority", "Urgent")]
    condition = library.classes.PriceCondition()
    condition.conId, condition.price, condition.isMore, condition.triggerMethod = 265598, 230.5, True, 2
    condition.exch = condition.exchange = "SMART"
    time = library.classes.TimeCondition()
    time.isMore, time.time = False, "20260102 03:04:05 UTC"
    order.conditions = [condition, time]
    contract = library.classes.Contract()
    for version in library.spoken:
        body = library.sent(version, lambda client: client.placeOrder(7, contract, order))
        values = read(body, PLACE_ORDER, version)
        assert values["algo_params"] == [{"tag": "adaptivePriority", "value": "Urgent"}]
        price, moment = values["conditions"]
        assert (price["type"], price["value"], price["con_id"], price["trigger_method"]) == (1, "230.5", 265598, 2)
        assert (moment["type"], moment["is_more"], moment["value"]) == (3, False, "20260102 03:04:05 UTC")


def test_cancels_and_executions(library) -> None:
    for version in library.spoken:
        wanted = library.classes.ExecutionFilter()
        wanted.symbol, wanted.side = "AAPL", "BUY"
        body = library.sent(version, lambda client, wanted=wanted: client.reqExecutions(5, wanted))
        values = read(body, EXECUTIONS, version)
        assert (values["req_id"], values["symbol"], values["side"]) == (5, "AAPL", "BUY")
        body = library.sent(version, lambda client: client.cancelOrder(7, *library.cancel_arguments))
        assert read(body, CANCEL_ORDER, version)["order_id"] == 7
        body = library.sent(version, lambda client: client.reqGlobalCancel(*library.cancel_arguments))
        read(body, GLOBAL_CANCEL, version)


def test_exercise_of_an_option(library) -> None:
    contract = library.classes.Contract()
    contract.conId, contract.symbol, contract.secType, contract.strike = 7, "AAPL", "OPT", 200.0
    more = ("", "", False) if library.cancel_arguments else ()
    for version in library.spoken:
        body = library.sent(version, lambda client: client.exerciseOptions(5, contract, 2, 3, "DU1", 1, *more))
        values = read(body, EXERCISE_OPTIONS, version)
        wanted = {"req_id": 5, "con_id": 7, "strike": 200.0, "exercise_action": 2, "exercise_quantity": 3}
        assert {name: values[name] for name in wanted} == wanted
        assert (values["account"], values["override"]) == ("DU1", True)
