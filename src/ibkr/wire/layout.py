"""`Layout`: the description of one message, which encodes and decodes it in text and in protobuf.

Until server version 200 a message is text. From 201 on, its id is four bytes. Each message becomes protobuf at its own
server version; until then, the part after the id is text.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ibkr.wire import protobuf_codec, protobuf_schema
from ibkr.wire.fields import decode_fields, encode_fields, escape_text, unescape_text
from ibkr.wire.frame import BINARY_IDS, PROTOBUF_IDS, binary_id, split_id
from ibkr.wire.layout_items import (
    REQ_ID,
    TEXT_ONLY,
    Conditional,
    Field,
    Item,
    LayoutError,
    Repeat,
    fields,
    flatten,
    items_at,
    rows_of,
    texts,
    version_field,
)

__all__ = [
    "REQ_ID",
    "TEXT_ONLY",
    "Conditional",
    "Field",
    "Item",
    "Layout",
    "LayoutError",
    "Repeat",
    "field_value",
    "fields",
    "flatten",
    "texts",
    "version_field",
]


@dataclass(frozen=True, slots=True, eq=False)  # each is unique, so compare and hash by identity
class Layout:
    """A message: its id and fields, for every server version."""

    name: str
    message_id: int
    fields: tuple[Item, ...]
    protobuf: tuple[int, str] | None = None
    """The server version from which it is protobuf, and its name there. `None` if it never is."""

    def protobuf_name(self, server_version: int, /) -> str:
        """Return its name in protobuf, or "" at a version at which it is text."""
        return self.protobuf[1] if self.protobuf and server_version >= self.protobuf[0] else ""

    def encode(self, server_version: int, /, **values: object) -> bytes:
        """Encode the body. Raises `LayoutError` for a missing or unknown value."""
        try:
            if name := self.protobuf_name(server_version):
                body = binary_id(PROTOBUF_IDS + self.message_id) + protobuf_codec.encode(
                    self, server_version, name, values
                )
            else:
                parts: list[object] = []
                _write(self, server_version, values, parts)
                body = _text_id(self, server_version) + encode_fields(*parts)
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        _check_names(self, values)
        return body

    def encode_around(self, server_version: int, field: str, /, **values: object) -> tuple[bytes, bytes]:
        """Encode the body before and after one field, for many messages that differ in this field only.

        Put `number_bytes` of the field's value between the two parts. Only constants may come before the field, and all
        fields must be plain. Raises the same as `encode`.
        """
        head, rest, write = _around(self, server_version, field)
        try:
            tail = (
                write(values) if write else b"\0" + encode_fields(*[_to_wire(item, values[item.name]) for item in rest])
            )
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        if len(values) > len(rest):
            _check_names(self, values)
        return head, tail

    def number_bytes(self, server_version: int, number: int) -> bytes:
        """Encode the number that belongs between the two parts of `encode_around`."""
        return protobuf_schema.varint(number) if self.protobuf_name(server_version) else b"%d" % number

    def decode(self, server_version: int, /, body: bytes) -> dict[str, object]:
        """Decode a body, the reverse of `encode`. Raises `LayoutError` if the body does not match."""
        number, is_protobuf, rest = split_id(body, server_version)
        if number != self.message_id:
            raise LayoutError(f"{self.name} has id {self.message_id}, this is {number}")
        if is_protobuf:
            if self.protobuf is None:
                raise LayoutError(f"{self.name} has no form in protobuf")
            return protobuf_codec.decode(self, server_version, protobuf_schema.parse(self.protobuf[1], rest))
        return self._decode_text(server_version, decode_fields(rest))

    def _decode_text(self, server_version: int, fields: list[str]) -> dict[str, object]:
        source = iter(fields)
        try:
            values = self.read(server_version, lambda field: field_value(field, next(source)))
        except StopIteration:
            raise LayoutError(f"{self.name}: {len(fields)} fields are too few") from None
        rest = list(source)
        if rest:
            raise LayoutError(f"{self.name}: {len(rest)} fields too many: {rest!r}")
        return values

    def read(self, server_version: int, /, take: Callable[[Field], object]) -> dict[str, object]:
        """Read the values of a text message. `take` returns one field after the other, without the id.

        Errors of `take` are not caught. The count of a `Repeat` is read as an int field with its name.
        """
        values: dict[str, object] = {}
        _read(self, server_version, values, take)
        return values


def _text_id(layout: Layout, server_version: int) -> bytes:
    return binary_id(layout.message_id) if server_version >= BINARY_IDS else encode_fields(layout.message_id)


@functools.lru_cache(maxsize=512)
def _around(
    layout: Layout, server_version: int, field: str
) -> tuple[bytes, tuple[Field, ...], protobuf_codec.Writer | None]:
    found = items_at(layout, server_version)
    at = [item.name if isinstance(item, Field) else "" for item in found].index(field)
    before = [item.constant for item in found[:at] if isinstance(item, Field) and item.constant is not None]
    rest = tuple(item for item in found[at + 1 :] if isinstance(item, Field) and item.constant is None)
    if len(before) + 1 + len(rest) != len(found):
        raise LayoutError(f"{layout.name} cannot be encoded around {field}")
    if name := layout.protobuf_name(server_version):
        head = binary_id(PROTOBUF_IDS + layout.message_id) + protobuf_codec.tag(name, found[at])
        return head, rest, protobuf_codec.writer(layout, server_version, name, without=field)
    return _text_id(layout, server_version) + encode_fields(*before), rest, None


@functools.cache
def _names(layout: Layout) -> frozenset[str]:
    return frozenset(item.name for item in flatten(layout.fields))


def _check_names(layout: Layout, values: Mapping[str, object]) -> None:
    if unknown := values.keys() - _names(layout):
        raise LayoutError(f"{layout.name} has no field {', '.join(sorted(unknown))}")


def _write(
    owner: Layout | Repeat | Conditional, server_version: int, values: Mapping[str, object], parts: list[object]
) -> None:
    for item in items_at(owner, server_version):
        if isinstance(item, Field):
            parts.append(_to_wire(item, values[item.name]) if item.constant is None else item.constant)
        elif isinstance(item, Conditional):
            if item.condition(values):
                _write(item, server_version, values, parts)
        else:
            rows = rows_of(item.name, values[item.name])
            parts.append(len(rows))
            for row in rows:
                _write(item, server_version, row, parts)


def _read(
    owner: Layout | Repeat | Conditional,
    server_version: int,
    values: dict[str, object],
    take: Callable[[Field], object],
) -> None:
    for item in items_at(owner, server_version):
        if isinstance(item, Field):
            found = take(item)
            if item.constant is None:
                values[item.name] = found
        elif isinstance(item, Conditional):
            if item.condition(values):
                _read(item, server_version, values, take)
        else:
            count = take(Field(item.name, "int"))
            rows: list[dict[str, object]] = []
            values[item.name] = rows
            for _ in range(count if isinstance(count, int) else 0):  # one by one, because the count is not trusted
                rows.append({})
                _read(item, server_version, rows[-1], take)


def _to_wire(field: Field, value: object) -> object:
    if isinstance(value, float):
        return int(value) if field.kind == "size" and value.is_integer() else value
    if isinstance(value, str) and field.kind == "name":
        return escape_text(value)
    return value


def field_value(field: Field, text: str) -> object:
    """Convert the text of a field to its value. Raises `ValueError` if the text of a number is not a number."""
    match field.kind:
        case "text":
            return text
        case "name":
            return unescape_text(text)
        case _ if text == "":
            return None
        case "int":
            return int(text)
        case "bool":
            return text != "0"
        case _:
            return float(text)
