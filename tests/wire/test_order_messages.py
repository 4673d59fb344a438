"""Order messages: lines of real gateways, byte for byte, and a round trip of every layout at every version."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.wire import order_messages, order_request_layouts
from ibkr.wire.layout import Field, Item, Layout, LayoutError, Repeat, flatten

VERSIONS = (157, 176, 178, 187, 193, 200)
UNSET = "1.7976931348623157E308"

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.none() | st.integers(-(2**31), 2**40),
    "float": st.none() | st.floats(allow_nan=False),
    "size": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "text": st.sampled_from(["", "None", "PEG BENCH", "PEG BEST", "BAG", "IBKRATS", "a\\b"]),
}
_LAYOUTS = [
    *order_messages.LAYOUTS.values(),
    order_request_layouts.PLACE_ORDER,
    order_request_layouts.CANCEL_ORDER,
    order_request_layouts.EXERCISE_OPTIONS,
    order_request_layouts.GLOBAL_CANCEL,
    order_request_layouts.EXECUTIONS,
]


def values_of(items: tuple[Item, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {item.name: _strategy(item) for item in flatten(items) if isinstance(item, Repeat) or item.constant is None}
    )


def _strategy(item: Field | Repeat) -> st.SearchStrategy[Any]:
    return st.lists(values_of(item.fields), max_size=2) if isinstance(item, Repeat) else _VALUES[item.kind]


@pytest.mark.parametrize("layout", _LAYOUTS, ids=lambda layout: layout.name)
@given(data=st.data())
def test_what_is_encoded_is_decoded(layout: Layout, data: st.DataObject) -> None:
    values = data.draw(values_of(layout.fields))
    version = data.draw(st.sampled_from(VERSIONS))
    decoded = layout.decode(version, layout.encode(version, **values))
    for name, value in decoded.items():
        if not isinstance(value, list):  # a row has fewer fields than were drawn
            assert value == values[name], name
        else:
            assert len(value) == len(values[name])


class TestRealTraces:
    """Messages that were recorded by rust-ibapi (``src/orders``) and in ib_insync issue 523, with masked accounts. A
    NUL is written as |."""

    CONTRACT = "76792991|TSLA|STK||0|?||SMART|USD|TSLA|NMS"
    ORDER = (
        "BUY|100|MKT|0.0|0.0|DAY||DU1234567||0||100|1376327563|0|0|0||1376327563.0/DU1234567/100||||||||||0||-1|0||||||"
        "2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0|2147483647|2147483647|||0||IB|0|0||0|0"
    )
    MARGINS = "|".join([UNSET] * 9)
    END = f"0|0|0|None|{'|'.join([UNSET] * 6)}|0||||0|1|0|0|0"

    @pytest.mark.parametrize(
        ("version", "newer"),
        [(164, "||0|"), (173, "||0||100|0.02|||")],
    )
    def test_open_order(self, version: int, newer: str) -> None:
        line = f"5|13|{self.CONTRACT}|{self.ORDER}|PreSubmitted|{self.MARGINS}||||||{self.END}|{newer}"
        values = self.replayed(order_messages.OPEN_ORDER, version, line)
        assert (values["order_id"], values["client_id"], values["perm_id"]) == (13, 100, 1376327563)
        assert (values["delta_neutral_order_type"], values["status"]) == ("None", "PreSubmitted")
        assert (values["what_if"], values["dont_use_auto_price_for_hedge"]) == (False, True)

    @pytest.mark.parametrize(
        ("layout", "line", "wanted"),
        [
            (
                order_messages.ORDER_STATUS,
                "3|13|Filled|100|0|196.52|1376327563|0|196.52|100||0|",
                {"status": "Filled", "filled": 100.0, "avg_fill_price": 196.52, "client_id": 100},
            ),
            (
                order_messages.EXEC_DETAILS,
                "11|-1|13|76792991|TSLA|STK||0.0|||ISLAND|USD|TSLA|NMS|00025b46.63f8f39c.01.01|20230224  12:04:56|"
                "DU1234567|ISLAND|BOT|100|196.52|1376327563|100|0|100|196.52|||||2|",
                {"exec_id": "00025b46.63f8f39c.01.01", "side": "BOT", "shares": 100.0, "last_liquidity": 2},
            ),
            (
                order_messages.COMMISSION_REPORT,
                f"59|1|00025b46.63f8f39c.01.01|1.0|USD|{UNSET}|{UNSET}||",
                {"commission": 1.0, "currency": "USD", "yield_redemption_date": None},
            ),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_the_rest_of_a_market_order(self, layout: Layout, line: str, wanted: dict[str, object]) -> None:
        values = self.replayed(layout, 164, line)
        assert {name: values[name] for name in wanted} == wanted

    def test_completed_order(self) -> None:
        line = (
            "101|533620577|MYM|FUT|20221216|0|?|0.5|ECBOT|USD|MYM  DEC 22|MYM|SELL|0|STP|0.0|32849.0|DAY|1580482311|"
            "DU1234567||0||1580482313|1|0|0||||||||0|||0||-1||||||2147483647|0|0||3|0||0|None||0|0|0||0|0||||0|0|0|"
            f"2147483647|2147483647||||IB|0|0||0|Filled|0|0|0|32849.0|{UNSET}|0|1|0||1|2147483647|0|"
            "Not an insider or substantial shareholder|0|0|1580482311|20221109 12:12:10 US/Eastern|Filled Size: 1||||||"
        )
        values = self.replayed(order_messages.COMPLETED_ORDER, 176, line)
        assert (values["perm_id"], values["parent_perm_id"], values["filled_quantity"]) == (1580482313, 1580482311, 1.0)
        assert values["oca_group"] == "1580482311"

    def replayed(self, layout: Layout, version: int, line: str) -> dict[str, object]:
        body = line.replace("|", "\0").encode()
        values = layout.decode(version, body)
        assert layout.encode(version, **{**_nothing(layout), **values}) == body
        return values


def _nothing(layout: Layout) -> dict[str, object]:
    return {item.name: None for item in flatten(layout.fields) if isinstance(item, Repeat) or item.constant is None}


class TestGiven:
    """Fields that depend on the value of another field."""

    def test_they_follow_only_if_it_is_so(self) -> None:
        values = {**_nothing(order_request_layouts.CANCEL_ORDER), "order_id": 7}
        assert order_request_layouts.CANCEL_ORDER.encode(157, **values) == b"4\x001\x007\x00"
        assert order_request_layouts.CANCEL_ORDER.encode(178, **values) == b"4\x001\x007\x00\x00"
        assert order_request_layouts.CANCEL_ORDER.encode(187, **values).count(b"\0") == 7
        assert order_request_layouts.CANCEL_ORDER.encode(200, **values) == b"4\x007\x00\x00\x00\x00"

    def test_a_missing_one_is_named(self) -> None:
        values = {
            item.name: [] if isinstance(item, Repeat) else "" for item in flatten(order_messages.OPEN_ORDER.fields)
        }
        values |= {"delta_neutral_order_type": "None"}
        del values["delta_neutral_con_id"]
        with pytest.raises(LayoutError, match="no value for 'delta_neutral_con_id'"):
            order_messages.OPEN_ORDER.encode(178, **values)

    def test_a_count_that_lies_is_refused(self) -> None:
        with pytest.raises(LayoutError, match="too few"):
            order_request_layouts.EXECUTIONS.decode(200, b"7\x003\x001\x000\x00\x00\x00\x00\x00\x00\x00\x0099999\x00")
