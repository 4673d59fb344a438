"""A message in protobuf, which it is from its version on (201 to 213): how the fields of a layout stand in it.

A field that is not set is absent, sizes are texts, prices doubles.
"""

import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ibkr.wire.fields import number_text
from ibkr.wire.items import NOWHERE, Field, Given, Item, LayoutError, Owner, Repeat, plan, rows_of
from ibkr.wire.schema import Place, SchemaField, find, message_class, proto_name, schema, taken

Writer: TypeAlias = Callable[[Mapping[str, object]], bytes]
_Convert: TypeAlias = Callable[[Any], object]

_AND, _OR = "a", "o"
"""How text has the conjunction of a condition, which is a bool in protobuf."""
_UNSET_LONG: Final = 2**63 - 1


# --- the place of a field ------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _places(message: str, item: Field | Repeat) -> tuple[Place, ...] | None:
    """The places of a field, more than one if it is made of bits; None if they depend on the values."""
    return None if callable(item.proto) else _named(message, item, item.proto or proto_name(item.name))


def _named(message: str, item: Field | Repeat, names: str) -> tuple[Place, ...]:
    if names == NOWHERE:
        return ()
    found = [find(message, name) for name in names.split()]
    if None in found:
        if isinstance(item, Field) and item.constant is not None:  # the message's own version, which text alone has
            return ()
        raise LayoutError(f"{message} has no field {names}, for {item.name}")
    return tuple(place for place in found if place)


@functools.lru_cache(maxsize=4096)
def _steps(owner: Owner, server_version: int, message: str) -> tuple[tuple[Item, tuple[Place, ...] | None], ...]:
    found = plan(owner, server_version)
    return tuple((item, None if isinstance(item, Given) else _places(message, item)) for item in found)


def _walk(
    owner: Owner, server_version: int, message: str, values: Mapping[str, object]
) -> Iterator[tuple[Field | Repeat, tuple[Place, ...]]]:
    """The fields that are there at a version with these values, and their places."""
    for item, places in _steps(owner, server_version, message):
        if isinstance(item, Given):
            if item.holds(values):
                yield from _walk(item, server_version, message, values)
        elif places is not None:
            yield item, places
        elif callable(item.proto):
            yield item, _named(message, item, item.proto(values))


# --- encoding ------------------------------------------------------------------------------------


def encode(owner: Owner, server_version: int, message: str, values: Mapping[str, object]) -> bytes:
    """A message with these values. Raises `KeyError` for one that is missing, `LayoutError` for one that cannot be."""
    try:
        plain = _plain_fields(owner, server_version, message)
        tree = _tree(owner, server_version, message, values) if plain is None else _plain_tree(plain, values)
        data: bytes = message_class(message)(**tree).SerializeToString()
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError(f"{message}: {error}") from None
    return data


def _tree(owner: Owner, server_version: int, message: str, values: Mapping[str, object]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for item, places in _walk(owner, server_version, message, values):
        value = item.constant if isinstance(item, Field) and item.constant is not None else values[item.name]
        for bit, place in enumerate(places):
            if place.path:  # clients ignore an order without its contract, terms or state, even if they are empty
                root.setdefault(place.path[0], {})
            if isinstance(item, Repeat):
                if rows := rows_of(item.name, value):
                    _put_rows(item, server_version, place, rows, _at(root, place))
            elif place.field.type in schema():  # a message that is there or not
                if value:
                    _at(root, place).setdefault(place.name, {})
            elif len(places) > 1:
                _at(root, place)[place.name] = bool(int(value) >> bit & 1) if isinstance(value, int) else False
            elif (found := _conversion(item, place.field)(value)) is not None:
                _at(root, place)[place.name] = found
    return root


def _at(root: dict[str, Any], place: Place) -> dict[str, Any]:
    """The message within the root that a place is in."""
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
        # Two repeats can share their rows: the legs of a combination, and their prices.
        into = target.setdefault(place.name, [])
        into += [{} for _ in rows[len(into) :]]
        for row, given in zip(rows, into, strict=False):
            _merge(given, _tree(item, server_version, place.field.type, row))
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


# A gateway that sends ticks does little else: what can be decided once for a field is.


@functools.lru_cache(maxsize=512)
def _plain_fields(owner: Owner, server_version: int, message: str) -> tuple[tuple[str, str, _Convert], ...] | None:
    """Names of ours, names in protobuf and conversions, if the message is made of plain fields alone."""
    found = []
    for item, places in _steps(owner, server_version, message):
        if not isinstance(item, Field) or places is None or any(place.path for place in places) or len(places) > 1:
            return None
        if item.constant is not None and places:
            return None
        found += [(item.name, place.name, _conversion(item, place.field)) for place in places]
    return tuple(found)


def _plain_tree(fields: tuple[tuple[str, str, _Convert], ...], values: Mapping[str, object]) -> dict[str, object]:
    return {name: found for ours, name, convert in fields if (found := convert(values[ours])) is not None}


def writer(owner: Owner, server_version: int, message: str, without: str) -> Writer:
    """What encodes a message of plain fields but for one of them. It raises as `encode`."""
    fields = _plain_fields(owner, server_version, message)
    if fields is None:
        raise LayoutError(f"{message} has other than plain fields")
    others = tuple(field for field in fields if field[0] != without)
    make = message_class(message)

    def write(values: Mapping[str, object]) -> bytes:
        try:
            data: bytes = make(**_plain_tree(others, values)).SerializeToString()
        except (TypeError, ValueError, OverflowError) as error:
            raise LayoutError(f"{message}: {error}") from None
        return data

    return write


@functools.lru_cache(maxsize=4096)
def _conversion(item: Field, field: SchemaField) -> _Convert:
    """What makes the protobuf of a value; it gives None for one that is not set."""
    if field.is_map:
        return _pairs
    if field.type == "string":
        return _size_text if item.kind == "size" else _text
    return {"double": _double, "bool": _flag}.get(field.type, _whole)


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


def _flag(value: Any) -> object:
    if isinstance(value, str):
        return value == _AND if value else None
    return None if value is None else bool(value)


def _whole(value: Any) -> object:
    return None if value is None or value == "" or value == _UNSET_LONG else int(value)


def varint(number: int) -> bytes:
    """An integer in protobuf's encoding."""
    left, found = number & (2**64 - 1), bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def tag(message: str, item: Item) -> bytes:
    """The tag of this field, for an integer."""
    assert isinstance(item, Field)
    [place] = _places(message, item) or ()
    if place.path:
        raise LayoutError(f"{message}.{place.name} is within another message")
    return varint(place.field.number << 3)


# --- decoding ------------------------------------------------------------------------------------


def decode(owner: Owner, server_version: int, message: Any) -> dict[str, object]:
    """The values of a message; the reverse of `encode`. A text that is absent is empty, any other value None or False.

    Raises `LayoutError` for a text that should be a number.
    """
    values: dict[str, object] = {}
    repeats: set[Place] = set()
    for item, places in _walk(owner, server_version, message.DESCRIPTOR.name, values):
        if isinstance(item, Repeat):
            rows = _taken_rows(item, server_version, message, places)
            # Of rows that two repeats share, the second has none if none of them has a field of its own.
            if repeats.issuperset(places) and not any(value is not None for row in rows for value in row.values()):
                rows = []
            repeats.update(places)
            values[item.name] = rows
        elif item.constant is None:
            found = [taken(message, place) for place in places]
            if len(found) > 1:
                values[item.name] = sum(bool(bit) << at for at, bit in enumerate(found))
            else:
                values[item.name] = _inward(item, found[0] if found else None)
    return values


def _taken_rows(item: Repeat, server_version: int, message: Any, places: tuple[Place, ...]) -> list[dict[str, object]]:
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
        return [{field.name: _inward(field, row)} for row in rows]
    return []


def _inward(item: Field, found: Any) -> object:
    if found is None:
        return {"text": "", "name": "", "bool": False}.get(item.kind)
    if item.kind == "bool":
        return bool(found)
    if not isinstance(found, str | int | float):
        return "".join(f"{tag}={value};" for tag, value in found.items())
    try:
        match item.kind:
            case "text" | "name":
                if isinstance(found, bool):
                    return _AND if found else _OR
                return found if isinstance(found, str) else number_text(found, whole=True)
            case "int":
                return int(found) if found != "" else None
            case _:
                return float(found) if found != "" else None
    except (ValueError, OverflowError):
        raise LayoutError(f"{item.name}: {found!r} is not a number") from None
