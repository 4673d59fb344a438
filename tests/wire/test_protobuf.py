"""Messages from server version 201 on: ids of four bytes, and protobuf instead of text, version by version."""

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ibkr.wire import data_messages, messages, order_messages, order_request_layouts, protobuf_codec, protobuf_schema
from ibkr.wire.frame import split_id
from ibkr.wire.layout import Conditional, Field, Layout, LayoutError, Repeat, fields
from ibkr.wire.layout_items import items_at
from ibkr.wire.message_names import message_name

VERSIONS = (201, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 217, 223, 226)
MODULES = (messages, data_messages, order_messages, order_request_layouts)
LAYOUTS = [item for module in MODULES for item in vars(module).values() if isinstance(item, Layout)]
UNSET = 1.7976931348623157e308
SHARED = ("combo_legs", "order_combo_legs")
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from((1, 3, 4, 5, 6, 7)),
    "liquidation": st.integers(0, 1),
    "order_misc_options": st.sampled_from(("", "a=b;")),
}
TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.sampled_from(["", "5", "0.5", "100"])
BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "int": st.none() | st.integers(-(2**31), 2**31 - 1),
    "float": st.none() | st.floats(-1e300, 1e300),
    "size": st.none() | st.floats(-(2.0**62), 2.0**62),
    "bool": st.booleans(),
    "text": TEXT,
    "name": TEXT,
}


def strategy_of(item: Field | Repeat, version: int, message: str) -> st.SearchStrategy[Any]:
    if item.name == "attributes" and message != "TickPrice":
        return st.integers(0, 3)
    if callable(item.proto):
        return st.just("30")  # the value of a condition: a number or a time, depending on its type
    if item.name in SPECIAL:
        return SPECIAL[item.name]
    places = protobuf_codec._places(message, item) or ()
    kind = places[0].field.type if places else "string"
    if isinstance(item, Field):
        if item.name == "conjunction":
            return st.sampled_from(("a", "o"))
        is_number = item.kind == "text" and kind != "string"
        return (NUMBERS if kind == "double" else st.just("20260105")) if is_number else BY_KIND[item.kind]
    if kind in protobuf_schema.schema():
        return st.lists(values_of(item, version, kind), max_size=2)
    names = [field.name for field in fields_of(item, version)]
    if places and places[0].field.is_map:
        rows = st.dictionaries(TEXT, TEXT, max_size=2)
        return rows.map(lambda found: [dict(zip(names, pair, strict=True)) for pair in found.items()])
    value = {"double": st.floats(-1e9, 1e9), "int32": st.just("20260105")}.get(kind, TEXT)
    return st.lists(st.fixed_dictionaries({names[0]: value}), max_size=2)


def fields_of(owner: Layout | Repeat | Conditional, version: int) -> list[Field | Repeat]:
    found: list[Field | Repeat] = []
    for item in items_at(owner, version):
        if isinstance(item, Conditional):
            found += fields_of(item, version)
        elif isinstance(item, Repeat) or item.constant is None:
            found.append(item)
    return found


def values_of(owner: Layout | Repeat, version: int, message: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({item.name: strategy_of(item, version, message) for item in fields_of(owner, version)})


def nowhere(layout: Layout, version: int) -> set[str]:
    assert layout.protobuf
    return {item.name for item in fields_of(layout, version) if not protobuf_codec._places(layout.protobuf[1], item)}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@settings(max_examples=20, phases=[Phase.explicit, Phase.generate])  # shrinking an order takes a minute
@given(draw=st.data())
def test_what_is_encoded_is_decoded(layout: Layout, draw: st.DataObject) -> None:
    assert layout.protobuf
    since, message = layout.protobuf
    version = draw.draw(st.sampled_from([version for version in VERSIONS if version >= since]))
    values = draw.draw(values_of(layout, version, message))
    body = layout.encode(version, **values)
    assert body[:4] == (200 + layout.message_id).to_bytes(4, "big")
    decoded = layout.decode(version, body)
    for name in decoded.keys() - nowhere(layout, version) - {*SHARED}:
        rows = decoded[name]
        if isinstance(rows, list):
            was = [{key: row[key] for key in found} for row, found in zip(values[name], rows, strict=True)]
            assert (rows if rows == was else sorted(rows, key=str)) == (was if rows == was else sorted(was, key=str))
        else:
            assert rows == values[name], name


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_before_its_version_it_is_text_behind_an_id_of_four_bytes(layout: Layout) -> None:
    assert layout.protobuf
    since, message = layout.protobuf
    for version in (version for version in VERSIONS if version < since):
        values = {item.name: () if isinstance(item, Repeat) else _EMPTY[item.kind] for item in fields_of(layout, 200)}
        number, is_protobuf, rest = split_id(layout.encode(version, **values), version)
        assert (number, is_protobuf) == (layout.message_id, False)
        assert layout.encode(200, **values) == b"%d\0" % layout.message_id + rest
        layout.decode(version, layout.encode(version, **values))
    for item in fields_of(layout, 226):
        protobuf_codec._places(message, item)  # each field has a place, or its layout says that it has none


_EMPTY: dict[str, object] = {"int": 0, "float": 0.0, "size": 0.0, "bool": False, "text": "x", "name": "x"}


def test_legs_and_their_prices_share_their_rows() -> None:
    legs = [
        {
            **dict.fromkeys(("ratio", "open_close", "short_sale_slot", "exempt_code"), 1),
            "con_id": con_id,
            "action": "BUY",
            "exchange": "SMART",
            "designated_location": "",
        }
        for con_id in (1, 2)
    ]
    items = Repeat("both", (order_request_layouts.COMBO_LEGS, order_request_layouts.ORDER_COMBO_LEGS))
    for prices in ([], [{"price": 1.5}, {"price": None}]):
        values = {"combo_legs": legs, "order_combo_legs": prices}
        encoded = protobuf_codec.encode(items, 226, "PlaceOrderRequest", values)
        assert protobuf_codec.decode(items, 226, protobuf_schema.parse("PlaceOrderRequest", encoded)) == values


@given(version=st.sampled_from((206, 226)), req_id=st.integers(-1, 2**31 - 1), price=st.floats(0, 1e6))
def test_a_body_around_a_number_is_the_body_without_it(version: int, req_id: int, price: float) -> None:
    values = {"tick_type": 1, "price": price, "size": 100, "attributes": 0}
    head, tail = messages.TICK_PRICE.encode_around(version, "req_id", **values)
    body = head + messages.TICK_PRICE.number_bytes(version, req_id) + tail
    assert messages.TICK_PRICE.decode(version, body) == {"req_id": req_id, **values}
    assert body == messages.TICK_PRICE.encode(version, req_id=req_id, **values)


def test_what_is_not_set_is_absent() -> None:
    values = dict.fromkeys(item.name for item in fields_of(order_messages.OPEN_ORDER, 226))
    values |= {"order_combo_legs": (), "combo_legs": (), "conditions": (), "algo_params": ()}
    values |= {
        "smart_combo_routing_params": (),
        "order_allocations": (),
        "sec_type": "",
        "lmt_price": 1.7976931348623157e308,
    }
    message = protobuf_schema.parse("OpenOrder", order_messages.OPEN_ORDER.encode(226, **values)[4:])
    assert [(field.name, value.ListFields()) for field, value in message.ListFields()] == [
        ("contract", []),
        ("order", []),
        ("orderState", []),
    ]


def test_a_value_that_protobuf_cannot_hold_is_an_error() -> None:
    with pytest.raises(LayoutError, match="TickSize"):
        messages.TICK_SIZE.encode(226, req_id=2**40, tick_type=1, size=1)
    with pytest.raises(LayoutError, match="no value for 'size'"):
        messages.TICK_SIZE.encode(226, req_id=1, tick_type=1)
    with pytest.raises(LayoutError, match="no field smell"):
        messages.TICK_SIZE.encode(226, req_id=1, tick_type=1, size=1, smell=2)
    with pytest.raises(LayoutError, match="has no field smell"):
        protobuf_codec.encode(Repeat("row", fields("int", "smell")), 226, "TickSize", {"smell": 1})


@given(st.binary(max_size=40))
def test_bytes_that_are_no_message_are_a_layout_error_or_values(noise: bytes) -> None:
    for layout in (messages.TICK_PRICE, order_request_layouts.PLACE_ORDER, data_messages.HISTORICAL_TICKS_LAST):
        with contextlib.suppress(LayoutError):
            layout.decode(226, (200 + layout.message_id).to_bytes(4, "big") + noise)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (messages.TICK_PRICE.encode(201, req_id=1, tick_type=1, price=1.0, size=1, attributes=0), "tickPrice"),
        (messages.TICK_PRICE.encode(206, req_id=1, tick_type=1, price=1.0, size=1, attributes=0), "tickPrice"),
        (data_messages.MID_POINT.encode(201, req_id=1, time=1, mid_point=1.0), "tickByTickMidPoint"),
        (data_messages.MID_POINT.encode(208, req_id=1, time=1, mid_point=1.0), "tickByTickMidPoint"),
        (b"\0\0\0\x63", "unknown"),
        (b"\0\0", "unknown"),
        (b"\0\0\1\x2b\xff", "unknown"),
    ],
)
def test_names(body: bytes, name: str) -> None:
    assert message_name(body) == name


def test_protobuf_is_not_imported_before_a_message_needs_it() -> None:
    program = (
        "import sys; import ibkr.simulator, ibkr; from ibkr.wire import data_messages; "
        "print('google.protobuf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
