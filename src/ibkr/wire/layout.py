"""Layouts: a message as a table of fields, each with the server versions that it is there for."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ibkr.wire.fields import decode_fields, encode_fields, escape_text, unescape_text

_EVER: Final = 1 << 31


class LayoutError(ValueError):
    """Values or fields do not fit the layout of the message."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `kind` is int, float, bool, text, size or name.

    A size is a number written without a needless fraction; a name is a text that clients read
    with `unicode-escape`. The field is there from server version `since` to the one before
    `before`. A field with a `constant` takes no value.
    """

    name: str
    kind: str = "text"
    since: int = 0
    before: int = _EVER
    constant: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A count, and that many times these fields; its value is a sequence of mappings."""

    name: str
    fields: tuple[Field, ...]
    since: int = 0
    before: int = _EVER


def version_field(number: int, before: int = _EVER) -> Field:
    """The message's own version, a constant that most messages have after their id."""
    return Field("version", "int", before=before, constant=number)


def texts(names: str) -> tuple[Field, ...]:
    """Text fields of these names, separated by blanks."""
    return tuple(Field(name) for name in names.split())


@dataclass(frozen=True, slots=True, eq=False)  # each is the only one of its name: cheap to hash
class Layout:
    """A message that the gateway sends: its id and fields, at any server version."""

    name: str
    message_id: int
    fields: tuple[Field | Repeat, ...]

    def encode(self, server_version: int, /, **values: object) -> bytes:
        """The message's body. Raises `LayoutError` for a value that is missing or not known."""
        parts: list[object] = [self.message_id]
        try:
            for item in _plan(self, server_version):
                if isinstance(item, Repeat):
                    parts.extend(_encode_repeat(item, values.pop(item.name)))
                elif item.constant is not None:
                    parts.append(item.constant)
                else:
                    parts.append(_outward(item, values.pop(item.name)))
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        unknown = [name for name in values if not any(name == item.name for item in self.fields)]
        if unknown:
            raise LayoutError(f"{self.name} has no field {', '.join(unknown)}")
        return encode_fields(*parts)

    def decode(self, server_version: int, /, body: bytes) -> dict[str, object]:
        """The values of a body; the reverse of `encode`. Raises `LayoutError` if it does not fit."""
        fields = decode_fields(body)
        source = iter(fields)
        values: dict[str, object] = {}
        try:
            if int(next(source)) != self.message_id:
                raise LayoutError(f"{self.name} has id {self.message_id}, this is {fields[0]}")
            for item in _plan(self, server_version):
                if isinstance(item, Repeat):
                    count = int(next(source))
                    values[item.name] = [_decode_row(item, source) for _ in range(count)]
                elif item.constant is not None:
                    next(source)
                else:
                    values[item.name] = _inward(item, next(source))
        except StopIteration:
            raise LayoutError(f"{self.name}: {len(fields)} fields are too few") from None
        rest = list(source)
        if rest:
            raise LayoutError(f"{self.name}: {len(rest)} fields too many: {rest!r}")
        return values


@functools.lru_cache(maxsize=512)
def _plan(layout: Layout, server_version: int) -> tuple[Field | Repeat, ...]:
    return tuple(item for item in layout.fields if item.since <= server_version < item.before)


def _encode_repeat(item: Repeat, rows: object) -> Iterator[object]:
    if not isinstance(rows, Sequence):
        raise LayoutError(f"{item.name}: a sequence of mappings is needed, not {rows!r}")
    yield len(rows)
    for row in rows:
        if not isinstance(row, Mapping):
            raise LayoutError(f"{item.name}: a mapping is needed, not {row!r}")
        for field in item.fields:
            yield _outward(field, row[field.name])


def _decode_row(item: Repeat, source: Iterator[str]) -> dict[str, object]:
    return {field.name: _inward(field, next(source)) for field in item.fields}


def _outward(field: Field, value: object) -> object:
    if field.kind == "size" and isinstance(value, float) and value.is_integer():
        return int(value)
    if field.kind == "name" and isinstance(value, str):
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
