"""Layouts: a message in one description, which serves both encodings.

Until server version 200 a message is text. From 201 on its id is four bytes, and each message has a version from which
on it is protobuf; until then the rest is text as before.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ibkr.wire import protobuf, schema
from ibkr.wire.fields import decode_fields, encode_fields, escape_text, unescape_text
from ibkr.wire.frame import BINARY_IDS, PROTOBUF_IDS, binary_id, split_id
from ibkr.wire.items import (
    NOWHERE,
    REQ_ID,
    Field,
    Given,
    Item,
    LayoutError,
    Repeat,
    fields,
    flat,
    plan,
    rows_of,
    texts,
    version_field,
)

__all__ = [
    "NOWHERE",
    "REQ_ID",
    "Field",
    "Given",
    "Item",
    "Layout",
    "LayoutError",
    "Repeat",
    "fields",
    "flat",
    "texts",
    "version_field",
]


@dataclass(frozen=True, slots=True, eq=False)  # each is the only one of its name: cheap to hash
class Layout:
    """A message: its id and fields, at any server version."""

    name: str
    message_id: int
    fields: tuple[Item, ...]
    protobuf: tuple[int, str] | None = None
    """The server version from which on it is protobuf, and its name there; None if it never is."""

    def protobuf_name(self, server_version: int, /) -> str:
        """Its name in protobuf; "" where it is text."""
        return self.protobuf[1] if self.protobuf and server_version >= self.protobuf[0] else ""

    def encode(self, server_version: int, /, **values: object) -> bytes:
        """The message's body. Raises `LayoutError` for a value that is missing or not known."""
        try:
            if name := self.protobuf_name(server_version):
                body = binary_id(PROTOBUF_IDS + self.message_id) + protobuf.encode(self, server_version, name, values)
            else:
                parts: list[object] = []
                _write(self, server_version, values, parts)
                body = _text_id(self, server_version) + encode_fields(*parts)
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        _check_names(self, values)
        return body

    def around(self, server_version: int, field: str, /, **values: object) -> tuple[bytes, bytes]:
        """The body before and after the value of one field, for many messages that differ in it alone.

        Between them belongs `number_bytes` of the value. Only for a field that nothing but constants comes before, in a
        message of plain fields. Raises as `encode`.
        """
        head, rest, write = _around(self, server_version, field)
        try:
            tail = (
                write(values) if write else b"\0" + encode_fields(*[_outward(item, values[item.name]) for item in rest])
            )
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        if len(values) > len(rest):
            _check_names(self, values)
        return head, tail

    def number_bytes(self, server_version: int, number: int) -> bytes:
        """What belongs between the two parts that `around` gives."""
        return protobuf.varint(number) if self.protobuf_name(server_version) else b"%d" % number

    def decode(self, server_version: int, /, body: bytes) -> dict[str, object]:
        """The values of a body; the reverse of `encode`. Raises `LayoutError` if it does not fit."""
        number, is_protobuf, rest = split_id(body, server_version)
        if number != self.message_id:
            raise LayoutError(f"{self.name} has id {self.message_id}, this is {number}")
        if is_protobuf:
            if self.protobuf is None:
                raise LayoutError(f"{self.name} has no form in protobuf")
            return protobuf.decode(self, server_version, schema.parse(self.protobuf[1], rest))
        return self._decode_text(server_version, decode_fields(rest))

    def _decode_text(self, server_version: int, fields: list[str]) -> dict[str, object]:
        source = iter(fields)
        try:
            values = self.read(server_version, lambda field: _inward(field, next(source)))
        except StopIteration:
            raise LayoutError(f"{self.name}: {len(fields)} fields are too few") from None
        rest = list(source)
        if rest:
            raise LayoutError(f"{self.name}: {len(rest)} fields too many: {rest!r}")
        return values

    def read(self, server_version: int, /, take: Callable[[Field], object]) -> dict[str, object]:
        """The values of a text message whose fields `take` hands out one by one, the id aside.

        What `take` raises goes through. The count of a `Repeat` is asked for as an int of its name.
        """
        values: dict[str, object] = {}
        _read(self, server_version, values, take)
        return values


def _text_id(layout: Layout, server_version: int) -> bytes:
    return binary_id(layout.message_id) if server_version >= BINARY_IDS else encode_fields(layout.message_id)


@functools.lru_cache(maxsize=512)
def _around(layout: Layout, server_version: int, field: str) -> tuple[bytes, tuple[Field, ...], protobuf.Writer | None]:
    found = plan(layout, server_version)
    at = [item.name if isinstance(item, Field) else "" for item in found].index(field)
    before = [item.constant for item in found[:at] if isinstance(item, Field) and item.constant is not None]
    rest = tuple(item for item in found[at + 1 :] if isinstance(item, Field) and item.constant is None)
    if len(before) + 1 + len(rest) != len(found):
        raise LayoutError(f"{layout.name} cannot be encoded around {field}")
    if name := layout.protobuf_name(server_version):
        head = binary_id(PROTOBUF_IDS + layout.message_id) + protobuf.tag(name, found[at])
        return head, rest, protobuf.writer(layout, server_version, name, without=field)
    return _text_id(layout, server_version) + encode_fields(*before), rest, None


@functools.cache
def _names(layout: Layout) -> frozenset[str]:
    return frozenset(item.name for item in flat(layout.fields))


def _check_names(layout: Layout, values: Mapping[str, object]) -> None:
    if unknown := values.keys() - _names(layout):
        raise LayoutError(f"{layout.name} has no field {', '.join(sorted(unknown))}")


def _write(
    owner: Layout | Repeat | Given, server_version: int, values: Mapping[str, object], parts: list[object]
) -> None:
    for item in plan(owner, server_version):
        if isinstance(item, Field):
            parts.append(_outward(item, values[item.name]) if item.constant is None else item.constant)
        elif isinstance(item, Given):
            if item.holds(values):
                _write(item, server_version, values, parts)
        else:
            rows = rows_of(item.name, values[item.name])
            parts.append(len(rows))
            for row in rows:
                _write(item, server_version, row, parts)


def _read(
    owner: Layout | Repeat | Given,
    server_version: int,
    values: dict[str, object],
    take: Callable[[Field], object],
) -> None:
    for item in plan(owner, server_version):
        if isinstance(item, Field):
            found = take(item)
            if item.constant is None:
                values[item.name] = found
        elif isinstance(item, Given):
            if item.holds(values):
                _read(item, server_version, values, take)
        else:
            count = take(Field(item.name, "int"))
            rows: list[dict[str, object]] = [{} for _ in range(count if isinstance(count, int) else 0)]
            values[item.name] = rows
            for row in rows:
                _read(item, server_version, row, take)


def _outward(field: Field, value: object) -> object:
    if isinstance(value, float):
        return int(value) if field.kind == "size" and value.is_integer() else value
    if isinstance(value, str) and field.kind == "name":
        return escape_text(value)
    return value


def _inward(field: Field, text: str) -> object:
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
