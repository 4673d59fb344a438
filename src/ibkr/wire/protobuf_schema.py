"""The protobuf messages and their fields, read from `tws.proto` at run time.

The file and the library `protobuf` are loaded when the first message needs them. To add a message: see `messages`.
"""

import functools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ibkr.wire.fields import number_text
from ibkr.wire.layout_items import LayoutError

_FILE: Final = Path(__file__).with_name("tws.proto")
_MESSAGE: Final = re.compile(r"^message (\w+) \{(.*?)\}", re.MULTILINE | re.DOTALL)
_FIELD: Final = re.compile(r"(optional|repeated|map<string, string>) (?:(\w+) )?(\w+) = (\d+);")


class SchemaField(NamedTuple):
    """A field of a protobuf message. `type` is string, double, int32, int64, bool, or the name of a message."""

    number: int
    type: str
    is_repeated: bool
    is_map: bool


class Place(NamedTuple):
    """The place of a field: the path of the messages around it, and its name."""

    path: tuple[str, ...]
    name: str
    field: SchemaField


@functools.cache
def schema() -> dict[str, dict[str, SchemaField]]:
    """Return the fields of every message in `tws.proto`, by name."""
    return {
        message: {
            name: SchemaField(int(number), kind or "string", label != "optional", label.startswith("map"))
            for label, kind, name, number in _FIELD.findall(fields)
        }
        for message, fields in _MESSAGE.findall(_FILE.read_text(encoding="utf-8"))
    }


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="tws.proto", package="tws", syntax="proto3")
    for name, fields in schema().items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind, is_repeated, is_map) in fields.items():
            field = message.field.add(name=field_name, number=number, label=3 if is_repeated else 1)
            if is_map:
                entry = message.nested_type.add(name=f"{field_name[0].upper()}{field_name[1:]}Entry")
                entry.options.map_entry = True
                for at, part in enumerate(("key", "value"), start=1):
                    entry.field.add(name=part, number=at, label=1, type=kinds.TYPE_STRING)
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".tws.{name}.{entry.name}"
            elif kind in schema():
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".tws.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
            if not is_repeated:
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field_name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


@functools.cache
def message_class(name: str) -> Any:
    """Return the class that the library `protobuf` makes for a message."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"tws.{name}"))


def parse(name: str, data: bytes) -> Any:
    """Parse a message of this name. Raises `LayoutError` if that fails."""
    from google.protobuf.message import DecodeError

    try:
        return message_class(name).FromString(data)
    except DecodeError:
        raise LayoutError(f"{name}: {len(data)} bytes are not a message") from None


def proto_name(name: str) -> str:
    """Return the protobuf name for one of our field names: `con_id` is `conId`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


@functools.cache
def find(message: str, name: str) -> Place | None:
    """Find a field by its path, or by its name in the message or in one within it, the nearest first."""
    *path, last = name.split(".")
    kind = message
    for part in path:
        if part not in schema()[kind]:
            return None
        kind = schema()[kind][part].type
    level: list[tuple[tuple[str, ...], str]] = [(tuple(path), kind)]
    while level:
        for way, kind in level:
            if last in schema()[kind]:
                return Place(way, last, schema()[kind][last])
        level = [
            ((*way, part), field.type)
            for way, kind in level
            for part, field in schema()[kind].items()
            if field.type in schema() and not field.is_repeated
        ]
    return None


def taken(message: Any, place: Place) -> Any:
    """Return the value at a place. `None` if the value or a message on its path is absent."""
    for part in place.path:
        if not message.HasField(part):
            return None
        message = getattr(message, part)
    if place.field.is_repeated or message.HasField(place.name):
        return getattr(message, place.name)
    return None


def values_at(message: Any, name: str) -> Sequence[Any]:
    """Return the rows of a repeated field by its name, or () if it is absent."""
    place = find(message.DESCRIPTOR.name, name)
    return (taken(message, place) if place else None) or ()


def text(value: str | float) -> str:
    """Return a value as it would be in a text field."""
    if isinstance(value, str):
        return value
    return "NaN" if math.isnan(value) else number_text(value, whole=True)


def texts(message: Any) -> Iterator[str]:
    """Yield all set values as texts, in the order of their field numbers."""
    for field, value in message.ListFields():
        many = schema()[message.DESCRIPTOR.name][field.name]
        if many.is_map:
            yield from (f"{tag}={found}" for tag, found in value.items())
        else:
            for item in value if many.is_repeated else [value]:
                if many.type in schema():
                    yield from texts(item)
                else:
                    yield text(item)


def varint(number: int) -> bytes:
    """Encode an integer in the encoding of protobuf."""
    left, found = number & (2**64 - 1), bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)
