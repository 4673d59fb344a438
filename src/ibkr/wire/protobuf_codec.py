"""Encode and decode the fields of a layout in protobuf, which each message uses from its version on (201 to 221).

An unset field is absent. Sizes are texts, and prices are doubles. To add a message: see `messages`.
"""

import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ibkr.wire.fields import number_text
from ibkr.wire.layout_items import (
    TEXT_ONLY,
    Conditional,
    Container,
    Field,
    Item,
    LayoutError,
    Repeat,
    items_at,
    rows_of,
)
from ibkr.wire.protobuf_schema import Place, SchemaField, find, message_class, proto_name, schema, taken, varint

Writer: TypeAlias = Callable[[Mapping[str, object]], bytes]
_Convert: TypeAlias = Callable[[Any], object]

_AND, _OR = "a", "o"
"""The conjunction (and, or) of a condition in text. In protobuf, it is a bool."""
_UNSET_LONG: Final = 2**63 - 1


# --- the place of a field ------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _places(message: str, item: Field | Repeat) -> tuple[Place, ...] | None:
    """Return the places of a field, several if it consists of bits. `None` if they depend on the values."""
    return None if callable(item.proto) else _find_places(message, item, item.proto or proto_name(item.name))


def _find_places(message: str, item: Field | Repeat, names: str) -> tuple[Place, ...]:
    if names == TEXT_ONLY:
        return ()
    places = [find(message, name) for name in names.split()]
    if None in places:
        if isinstance(item, Field) and item.constant is not None:  # the message's own version, which only text has
            return ()
        raise LayoutError(f"{message} has no field {names}, for {item.name}")
    return tuple(place for place in places if place)


@functools.lru_cache(maxsize=4096)
def _items_with_places(
    owner: Container, server_version: int, message: str
) -> tuple[tuple[Item, tuple[Place, ...] | None], ...]:
    items = items_at(owner, server_version)
    return tuple((item, None if isinstance(item, Conditional) else _places(message, item)) for item in items)


def _iter_fields(
    owner: Container, server_version: int, message: str, values: Mapping[str, object]
) -> Iterator[tuple[Field | Repeat, tuple[Place, ...]]]:
    """Yield the fields that exist at a version with these values, and their places."""
    for item, places in _items_with_places(owner, server_version, message):
        if isinstance(item, Conditional):
            if item.condition(values):
                yield from _iter_fields(item, server_version, message, values)
        elif places is not None:
            yield item, places
        elif callable(item.proto):
            yield item, _find_places(message, item, item.proto(values))


# --- encoding ------------------------------------------------------------------------------------


def encode(owner: Container, server_version: int, message: str, values: Mapping[str, object]) -> bytes:
    """Encode a message. Raises `KeyError` for a missing value, `LayoutError` for an invalid one."""
    try:
        plain = _plain_fields(owner, server_version, message)
        tree = _to_dict(owner, server_version, message, values) if plain is None else _plain_to_dict(plain, values)
        data: bytes = message_class(message)(**tree).SerializeToString()
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError(f"{message}: {error}") from None
    return data


def _to_dict(owner: Container, server_version: int, message: str, values: Mapping[str, object]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for item, places in _iter_fields(owner, server_version, message, values):
        value = item.constant if isinstance(item, Field) and item.constant is not None else values[item.name]
        for bit, place in enumerate(places):
            if place.path:  # clients ignore an order without contract, order, or state, even if they are empty
                root.setdefault(place.path[0], {})
            if isinstance(item, Repeat):
                if rows := rows_of(item.name, value):
                    _put_rows(item, server_version, place, rows, _at(root, place))
            elif place.field.type in schema():  # a message whose presence is the value
                if value:
                    _at(root, place).setdefault(place.name, {})
            elif len(places) > 1:
                _at(root, place)[place.name] = bool(int(value) >> bit & 1) if isinstance(value, int) else False
            elif (converted := _conversion(item, place.field)(value)) is not None:
                _at(root, place)[place.name] = converted
    return root


def _at(root: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return the message at the path of a place, within the root."""
    for part in place.path:
        root = root.setdefault(part, {})
    return root


def _put_rows(
    item: Repeat, server_version: int, place: Place, rows: Sequence[Mapping[str, object]], target: dict[str, Any]
) -> None:
    names = [field.name for field in item.fields if isinstance(field, Field)]
    if place.field.is_map:
        target[place.name] = {str(row[names[0]]): str(row[names[1]]) for row in rows}
    elif place.field.type in schema():
        # Two `Repeat`s can fill the same rows: the legs of a combination, and the prices of the legs.
        into = target.setdefault(place.name, [])
        into += [{} for _ in rows[len(into) :]]
        for row, target_row in zip(rows, into, strict=False):
            _merge(target_row, _to_dict(item, server_version, place.field.type, row))
    else:
        [field] = [field for field in item.fields if isinstance(field, Field)]
        empty = "" if place.field.type == "string" else 0
        convert = _conversion(field, place.field)
        values = (convert(row[names[0]]) for row in rows)
        target[place.name] = [empty if value is None else value for value in values]


def _merge(into: dict[str, Any], tree: dict[str, Any]) -> None:
    for name, value in tree.items():
        if isinstance(value, dict) and name in into:
            _merge(into[name], value)
        else:
            into[name] = value


# Encoding ticks must be fast, so the decisions that depend only on the field are made one time and cached.


@functools.lru_cache(maxsize=512)
def _plain_fields(owner: Container, server_version: int, message: str) -> tuple[tuple[str, str, _Convert], ...] | None:
    """Return our names, protobuf names, and conversions if the message has only plain fields, otherwise `None`."""
    fields = []
    for item, places in _items_with_places(owner, server_version, message):
        if not isinstance(item, Field) or places is None or any(place.path for place in places) or len(places) > 1:
            return None
        if item.constant is not None and places:
            return None
        fields += [(item.name, place.name, _conversion(item, place.field)) for place in places]
    return tuple(fields)


def _plain_to_dict(fields: tuple[tuple[str, str, _Convert], ...], values: Mapping[str, object]) -> dict[str, object]:
    return {name: converted for ours, name, convert in fields if (converted := convert(values[ours])) is not None}


def writer(owner: Container, server_version: int, message: str, without: str) -> Writer:
    """Return a function that encodes a message of plain fields without one of them. It raises the same as `encode`."""
    fields = _plain_fields(owner, server_version, message)
    if fields is None:
        raise LayoutError(f"{message} has fields that are not plain")
    others = tuple(field for field in fields if field[0] != without)
    make = message_class(message)

    def write(values: Mapping[str, object]) -> bytes:
        try:
            data: bytes = make(**_plain_to_dict(others, values)).SerializeToString()
        except (TypeError, ValueError, OverflowError) as error:
            raise LayoutError(f"{message}: {error}") from None
        return data

    return write


@functools.lru_cache(maxsize=4096)
def _conversion(item: Field, field: SchemaField) -> _Convert:
    """Return the function that converts a value to protobuf. It returns `None` for an unset value."""
    if field.is_map:
        return _pairs
    if field.type == "string":
        return _size_text if item.kind == "size" else _text
    return {"double": _double, "bool": _bool}.get(field.type, _int)


def _pairs(value: Any) -> object:
    return dict(pair.split("=", 1) for pair in str(value or "").split(";") if "=" in pair) or None


def _size_text(value: Any) -> object:
    if isinstance(value, int | float):
        return None if abs(value) >= _UNSET_LONG else number_text(value, whole=True)
    return value or None


def _text(value: Any) -> object:
    if isinstance(value, int | float):
        return None if value == sys.float_info.max else number_text(value)
    return value or None


def _double(value: Any) -> object:
    if value is None or value == "":
        return None
    number = float(value)
    return None if number == sys.float_info.max or math.isnan(number) else number


def _bool(value: Any) -> object:
    if isinstance(value, str):
        return value == _AND if value else None
    return None if value is None else bool(value)


def _int(value: Any) -> object:
    return None if value is None or value == "" or value == _UNSET_LONG else int(value)


def tag(message: str, item: Item) -> bytes:
    """Return the protobuf tag of an integer field."""
    assert isinstance(item, Field)
    [place] = _places(message, item) or ()
    if place.path:
        raise LayoutError(f"{message}.{place.name} is within another message")
    return varint(place.field.number << 3)


# --- decoding ------------------------------------------------------------------------------------


def decode(owner: Container, server_version: int, message: Any) -> dict[str, object]:
    """Decode a message, the reverse of `encode`. An absent text is empty, any other absent value `None` or false.

    Raises `LayoutError` if the text of a number is not a number.
    """
    values: dict[str, object] = {}
    repeats: set[Place] = set()
    for item, places in _iter_fields(owner, server_version, message.DESCRIPTOR.name, values):
        if isinstance(item, Repeat):
            rows = _read_rows(item, server_version, message, places)
            # If two repeats share rows, and no row has a field of the second repeat, the second repeat is empty.
            if repeats.issuperset(places) and not any(value is not None for row in rows for value in row.values()):
                rows = []
            repeats.update(places)
            values[item.name] = rows
        elif item.constant is None:
            parts = [taken(message, place) for place in places]
            if len(parts) > 1:
                values[item.name] = sum(bool(bit) << at for at, bit in enumerate(parts))
            else:
                values[item.name] = _from_wire(item, parts[0] if parts else None)
    return values


def _read_rows(item: Repeat, server_version: int, message: Any, places: tuple[Place, ...]) -> list[dict[str, object]]:
    names = [field.name for field in item.fields if isinstance(field, Field)]
    for place in places:
        rows = taken(message, place)
        if rows is None:
            break
        if place.field.is_map:
            return [dict(zip(names, pair, strict=False)) for pair in rows.items()]
        if place.field.type in schema():
            return [decode(item, server_version, row) for row in rows]
        [field] = [field for field in item.fields if isinstance(field, Field)]
        return [{field.name: _from_wire(field, row)} for row in rows]
    return []


def _from_wire(item: Field, value: Any) -> object:
    if value is None:
        return {"text": "", "name": "", "bool": False}.get(item.kind)
    if item.kind == "bool":
        return bool(value)
    if not isinstance(value, str | int | float):
        return "".join(f"{key}={text};" for key, text in value.items())
    try:
        match item.kind:
            case "text" | "name":
                if isinstance(value, bool):
                    return _AND if value else _OR
                return value if isinstance(value, str) else number_text(value, whole=True)
            case "int":
                return int(value) if value != "" else None
            case _:
                return float(value) if value != "" else None
    except (ValueError, OverflowError):
        raise LayoutError(f"{item.name}: {value!r} is not a number") from None
