"""The clients' decoders read what the gateway writes about orders, with the same values."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibkr.wire.layout import TEXT_ONLY, Field, Item, Layout, Repeat, flatten
from ibkr.wire.order_messages import (
    COMMISSION_REPORT,
    COMPLETED_ORDER,
    EXEC_DETAILS,
    OPEN_ORDER,
    ORDER_BOUND,
    ORDER_STATUS,
    PNL,
    PNL_SINGLE,
    POSITION_MULTI,
    POSITION_MULTI_END,
)

WORDS = st.text("ABCabc019 .-", max_size=6)
_STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(0, 2**31 - 2),
    "float": st.floats(0.25, 1e9),
    "size": st.floats(0.25, 1e9) | st.integers(0, 10**6).map(float),
    "bool": st.booleans(),
    "text": WORDS,
}
_SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "order_type": st.sampled_from(["MKT", "LMT", "PEG BENCH"]),
    "delta_neutral_order_type": st.sampled_from(["None", "", "LMT"]),
    "conditions_type": st.sampled_from([1, 3, 4, 5, 6, 7]),
    "conditions_conjunction": st.sampled_from(["a", "o"]),
    "conditions_value": st.integers(0, 10**6).map(str),
    "time": st.just("20260102 03:04:05 UTC"),
    # In protobuf, these fields are numbers.
    "multiplier": st.integers(1, 1000).map(str),
    "liquidation": st.integers(0, 1),
    **dict.fromkeys(
        (
            f"{kind}_{when}"
            for kind in ("init_margin", "maint_margin", "equity_with_loan")
            for when in ("before", "change", "after")
        ),
        st.integers(1, 10**6).map(str),
    ),
}

_RENAMED = {
    "last_trade_date": "lastTradeDateOrContractMonth",
    "rule_80a": "rule80A",
    "etrade_only": "eTradeOnly",
    "execution_exchange": "exchange",
    "account": "account",
    "exec_id": "execId",
    "stop_price": "trailStopPrice",
    "exchange": "exchange",
}
_COMPARED_ELSEWHERE = {
    "trail_stop_price",  # both decoders replace this value by ``stop_price``
    "has_delta_neutral_contract",
    *(f"soft_dollar_tier_{name}" for name in ("name", "value", "display_name")),
    *(f"delta_neutral_contract_{name}" for name in ("con_id", "delta", "price")),
}
_OF_TEXT_ALONE = {
    item.name for item in flatten(OPEN_ORDER.fields) if isinstance(item, Field) and item.proto == TEXT_ONLY
}
_SKIPPED_BY_SOME = {
    "shares_allocation",
    "fa_profile",
    "etrade_only",
    "firm_quote_only",
    "nbbo_price_cap",
    "customer_account",
    "professional_customer",
    "bond_accrued_interest",
    "include_overnight",
    "ext_operator",
    "manual_order_indicator",
}


def values_of(items: tuple[Item, ...], within: str = "") -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({item.name: _strategy(item, within) for item in flatten(items) if not _constant(item)})


def _constant(item: Field | Repeat) -> bool:
    return isinstance(item, Field) and item.constant is not None


def _strategy(item: Field | Repeat, within: str) -> st.SearchStrategy[Any]:
    if isinstance(item, Repeat):
        return st.lists(values_of(item.fields, item.name), max_size=2)
    name = f"{within}_{item.name}" if within else item.name
    return _SPECIAL[name] if name in _SPECIAL else _STRATEGIES[item.kind]


def drawn(data: st.DataObject, library: Any, layout: Layout) -> tuple[int, dict[str, Any]]:
    """A version that the library speaks, and values for the layout."""
    version, values = data.draw(st.sampled_from(library.versions)), data.draw(values_of(layout.fields))
    if "combo_legs" in values:  # in protobuf, a leg includes its price, and the parameters are a map
        values["order_combo_legs"] = [{"price": 1.5 + at} for at in range(len(values["combo_legs"]))]
        for name in ("algo_params", "smart_combo_routing_params"):
            values[name] = values[name][:1]
    return version, values


def camel(name: str) -> str:
    if name in _RENAMED:
        return _RENAMED[name]
    first, *rest = name.split("_")
    return (first + "".join(word.capitalize() for word in rest)).replace("OutsideRth", "OutsideRTH")


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, Decimal):
        found = float(found)
    if found == wanted or found is None:
        return found == wanted or wanted == ""
    return (
        isinstance(wanted, str) and wanted.isdigit() and float(found) == float(wanted)
    )  # the libraries write a margin as "383.0" or "383"


examples = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class TestOrders:
    @examples
    @given(data=st.data())
    def test_open_order(self, library, data: st.DataObject) -> None:
        version, values = drawn(data, library, OPEN_ORDER)
        order_id, contract, order, state = self.heard(library, OPEN_ORDER, version, values)
        assert order_id == values["order_id"]
        self.compare(OPEN_ORDER, version, values, contract, order, state)

    @examples
    @given(data=st.data())
    def test_completed_order(self, library, data: st.DataObject) -> None:
        version, values = drawn(data, library, COMPLETED_ORDER)
        contract, order, state = self.heard(library, COMPLETED_ORDER, version, values)
        self.compare(COMPLETED_ORDER, version, values, contract, order, state)

    def heard(self, library, layout: Layout, version: int, values: dict[str, Any]) -> tuple[Any, ...]:
        return library.decode(layout, version, layout.encode(version, **values))

    def compare(self, layout: Layout, version: int, values: dict[str, Any], *objects: Any) -> None:
        on_the_wire = layout.decode(version, layout.encode(version, **values))
        for name, wanted in on_the_wire.items():
            if name in _COMPARED_ELSEWHERE or (name in _OF_TEXT_ALONE and layout.protobuf_name(version)):
                continue
            if isinstance(wanted, list):
                self.compare_rows(name, wanted, *objects)
                continue
            names = (camel(name), camel(name).replace("ommission", "ommissionAndFees"))
            holders = [(item, key) for key in names for item in objects if hasattr(item, key)]
            if not holders:
                assert name in _SKIPPED_BY_SOME, name
                continue
            holder, key = holders[0] if name != "status" else (objects[-1], "status")
            assert same(getattr(holder, key), wanted) or name in _SKIPPED_BY_SOME, (name, getattr(holder, key), wanted)
        self.compare_nested(on_the_wire, *objects)

    def compare_rows(self, name: str, wanted: list[dict[str, Any]], *objects: Any) -> None:
        holder = next(item for item in objects if hasattr(item, camel(name)))
        found = getattr(holder, camel(name)) or []
        assert len(found) == len(wanted), name
        for row, values in zip(found, wanted, strict=True):
            for key, value in values.items():
                self.compare_cell(name, row, key, value)

    def compare_cell(self, name: str, row: Any, key: str, value: Any) -> None:
        if name == "conditions" and key == "type":
            assert row.condType == value
        elif name == "conditions" and key == "conjunction":
            assert getattr(row, "conjunction", None) == value or row.isConjunctionConnection is (value == "a")
        elif name == "conditions" and key == "value":
            names = ("price", "time", "percent", "volume", "changePercent")
            assert any(same(getattr(row, name, "-1"), value) for name in names)
        else:
            spellings = (camel(key), {"exchange": "exch"}.get(key, camel(key)))
            assert any(same(getattr(row, each), value) for each in spellings if hasattr(row, each)), (name, key)

    def compare_nested(self, values: dict[str, Any], contract: Any, order: Any, *_: Any) -> None:
        if "soft_dollar_tier_name" in values:
            tier = order.softDollarTier
            assert tier.name == values["soft_dollar_tier_name"]
            assert tier.val == values["soft_dollar_tier_value"]
            assert tier.displayName == values["soft_dollar_tier_display_name"]
        if values["has_delta_neutral_contract"]:
            found = contract.deltaNeutralContract
            wanted = [values[f"delta_neutral_contract_{name}"] for name in ("con_id", "delta", "price")]
            assert [found.conId, found.delta, found.price] == wanted


class TestTheRest:
    """Each argument of the wrapper's call has the value of the field with that name."""

    @examples
    @given(data=st.data())
    @pytest.mark.parametrize(
        ("layout", "names"),
        [
            (
                ORDER_STATUS,
                "order_id status filled remaining avg_fill_price perm_id parent_id last_fill_price client_id "
                "why_held mkt_cap_price",
            ),
            (ORDER_BOUND, "perm_id client_id order_id"),
            (PNL, "req_id daily_pnl unrealized_pnl realized_pnl"),
            (PNL_SINGLE, "req_id position daily_pnl unrealized_pnl realized_pnl value"),
            (POSITION_MULTI_END, "req_id"),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_plain_arguments(self, library, layout: Layout, names: str, data: st.DataObject) -> None:
        version, values = drawn(data, library, layout)
        if layout is PNL_SINGLE:
            values["position"] = round(values["position"])  # ibapi 9.81 accepts integers only
        args = library.decode(layout, version, layout.encode(version, **values))
        for name, found in zip(names.split(), args, strict=True):
            assert same(found, values[name]), name

    @examples
    @given(data=st.data())
    def test_execution_details(self, library, data: st.DataObject) -> None:
        version, values = drawn(data, library, EXEC_DETAILS)
        body = EXEC_DETAILS.encode(version, **values)
        req_id, contract, execution = library.decode(EXEC_DETAILS, version, body)
        assert req_id == values["req_id"]
        named = {"account": "acctNumber", "execution_exchange": "exchange"}
        for name, wanted in EXEC_DETAILS.decode(version, body).items():
            if name in ("req_id", "time"):
                continue
            holder = contract if name == "exchange" or hasattr(contract, camel(name)) else execution
            holder = execution if name == "execution_exchange" else holder
            key = named.get(name, camel(name))
            if name == "submitter" and not hasattr(holder, key):
                continue
            assert same(getattr(holder, key), wanted), name

    @examples
    @given(data=st.data())
    def test_commission_report(self, library, data: st.DataObject) -> None:
        version, values = drawn(data, library, COMMISSION_REPORT)
        (report,) = library.decode(COMMISSION_REPORT, version, COMMISSION_REPORT.encode(version, **values))
        assert report.execId == values["exec_id"]
        assert getattr(report, "commission", None) or report.commissionAndFees == values["commission"]
        assert report.currency == values["currency"]
        assert report.realizedPNL == values["realized_pnl"]
        assert report.yieldRedemptionDate == values["yield_redemption_date"]

    @examples
    @given(data=st.data())
    def test_position_multi(self, library, data: st.DataObject) -> None:
        version, values = drawn(data, library, POSITION_MULTI)
        body = POSITION_MULTI.encode(version, **values)
        req_id, account, model, contract, position, cost = library.decode(POSITION_MULTI, version, body)
        assert (req_id, account, model) == (values["req_id"], values["account"], values["model_code"])
        assert same(position, values["position"])
        assert same(cost, values["average_cost"])
        for name in ("con_id", "symbol", "strike", "right", "multiplier", "exchange", "trading_class"):
            assert same(getattr(contract, camel(name)), values[name]), name
