"""Every layout decodes what it encodes, at any version."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibkr.wire import data_messages, messages
from ibkr.wire.layout import Conditional, Field, Layout, LayoutError, Repeat

VERSIONS = (100, 157, 163, 164, 165, 166, 176, 178, 182, 186, 193, 194, 200)

_VALUES: dict[str, st.SearchStrategy[object]] = {
    "int": st.one_of(st.none(), st.integers(-(2**31), 2**31)),
    "float": st.one_of(st.none(), st.floats(allow_nan=False)),
    "size": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    "bool": st.booleans(),
    "text": st.text(st.characters(min_codepoint=1, max_codepoint=127)),
    "name": st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"])),
}


def values_of(fields: tuple[Field | Repeat, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            item.name: st.lists(values_of(item.fields), max_size=3) if isinstance(item, Repeat) else _VALUES[item.kind]
            for item in fields
            if isinstance(item, Repeat) or (isinstance(item, Field) and item.constant is None)
        }
    )


@pytest.mark.parametrize(
    "layout", [*messages.LAYOUTS.values(), *data_messages.LAYOUTS.values()], ids=lambda layout: layout.name
)
@settings(max_examples=50)
@given(draw=st.data())
def test_what_is_encoded_is_decoded(layout: Layout, draw: st.DataObject) -> None:
    values = draw.draw(values_of(layout.fields))
    version = draw.draw(st.sampled_from(VERSIONS))
    decoded = layout.decode(version, layout.encode(version, **values))
    plain = [item for item in layout.fields if not isinstance(item, Conditional)]
    there = {item.name for item in plain if item.since <= version < item.before}
    for name, value in decoded.items():
        assert value == at_version(layout, name, values[name], version)
    assert decoded.keys() == there & values.keys()


def at_version(owner: Layout | Repeat, name: str, value: Any, version: int) -> Any:
    """Return the value without the fields that its rows do not have at this version."""
    item = next(item for item in owner.fields if not isinstance(item, Conditional) and item.name == name)
    if isinstance(item, Field):
        return value
    there = {field.name for field in item.fields if field.since <= version < field.before}
    return [{key: at_version(item, key, row[key], version) for key in row if key in there} for row in value]


def test_ids_and_names_are_unique() -> None:
    layouts = [*messages.LAYOUTS.values(), *data_messages.LAYOUTS.values()]
    ticks_by_tick = [data_messages.BID_ASK, data_messages.MID_POINT]  # this message has several layouts
    assert len({layout.message_id for layout in layouts}) == len(layouts) - len(ticks_by_tick)
    assert {layout.name: layout for layout in layouts} == messages.LAYOUTS | data_messages.LAYOUTS


@given(version=st.sampled_from(VERSIONS), req_id=st.integers(0, 2**31 - 1), price=st.floats(0, 1e6))
def test_a_body_around_a_field_is_the_body_without_it(version: int, req_id: int, price: float) -> None:
    values = {"tick_type": 1, "price": price, "size": 100, "attributes": 0}
    head, tail = messages.TICK_PRICE.encode_around(version, "req_id", **values)
    assert head + str(req_id).encode() + tail == messages.TICK_PRICE.encode(version, req_id=req_id, **values)
    with pytest.raises(LayoutError, match="no field smell"):
        messages.TICK_PRICE.encode_around(version, "req_id", **values, smell=1)
    with pytest.raises(LayoutError, match="no value for 'size'"):
        messages.TICK_PRICE.encode_around(version, "req_id", tick_type=1, price=price, attributes=0)
    with pytest.raises(LayoutError, match="cannot be encoded around"):
        data_messages.SYMBOL_SAMPLES.encode_around(version, "req_id")
