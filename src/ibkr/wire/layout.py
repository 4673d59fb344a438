"""Layouts: a message as a table of fields, each with the server versions that it is there for."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

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


@dataclass(frozen=True, slots=True, eq=False)  # cheap to hash, as are the two below
class Repeat:
    """A count, and that many times these fields; its value is a sequence of mappings.

    A row may hold repeats of its own, and fields that are not there at every version.
    """

    name: str
    fields: "tuple[Item, ...]"
    since: int = 0
    before: int = _EVER


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Fields that are there only if `holds` is true of the values before them."""

    holds: Callable[[Mapping[str, object]], bool]
    fields: "tuple[Item, ...]"
    since: int = 0
    before: int = _EVER


Item: TypeAlias = Field | Repeat | Given

REQ_ID: Final = Field("req_id", "int")


def version_field(number: int, before: int = _EVER) -> Field:
    """The message's own version, a constant that most messages have after their id."""
    return Field("version", "int", before=before, constant=number)


def fields(kind: str, names: str, since: int = 0) -> tuple[Field, ...]:
    """Fields of one kind, their names separated by blanks."""
    return tuple(Field(name, kind, since=since) for name in names.split())


def texts(names: str) -> tuple[Field, ...]:
    """Text fields of these names."""
    return fields("text", names)


@dataclass(frozen=True, slots=True, eq=False)  # each is the only one of its name: cheap to hash
class Layout:
    """A message: its id and fields, at any server version."""

    name: str
    message_id: int
    fields: tuple[Item, ...]

    def encode(self, server_version: int, /, **values: object) -> bytes:
        """The message's body. Raises `LayoutError` for a value that is missing or not known."""
        parts: list[object] = [self.message_id]
        try:
            _write(self, server_version, values, parts)
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        _check_names(self, values)
        return encode_fields(*parts)

    def around(self, server_version: int, field: str, /, **values: object) -> tuple[bytes, bytes]:
        """The body before and after the value of one field, for many messages that differ in it alone.

        Only for a field that nothing but constants comes before, in a message of plain fields. Raises as `encode`.
        """
        head, rest = _around(self, server_version, field)
        try:
            tail = [_outward(item, values[item.name]) for item in rest]
        except KeyError as missing:
            raise LayoutError(f"{self.name}: no value for {missing}") from None
        if len(values) > len(rest):
            _check_names(self, values)
        return head, b"\0" + encode_fields(*tail)

    def decode(self, server_version: int, /, body: bytes) -> dict[str, object]:
        """The values of a body; the reverse of `encode`. Raises `LayoutError` if it does not fit."""
        fields = decode_fields(body)
        source = iter(fields)
        try:
            if int(next(source)) != self.message_id:
                raise LayoutError(f"{self.name} has id {self.message_id}, this is {fields[0]}")
            values = self.read(server_version, lambda field: _inward(field, next(source)))
        except StopIteration:
            raise LayoutError(f"{self.name}: {len(fields)} fields are too few") from None
        rest = list(source)
        if rest:
            raise LayoutError(f"{self.name}: {len(rest)} fields too many: {rest!r}")
        return values

    def read(self, server_version: int, /, take: Callable[[Field], object]) -> dict[str, object]:
        """The values of a message whose fields `take` hands out one by one, the id aside.

        What `take` raises goes through. The count of a `Repeat` is asked for as an int of its name.
        """
        values: dict[str, object] = {}
        _read(self, server_version, values, take)
        return values


@functools.lru_cache(maxsize=1024)
def _plan(owner: Layout | Repeat | Given, server_version: int) -> tuple[Item, ...]:
    return tuple(item for item in owner.fields if item.since <= server_version < item.before)


@functools.lru_cache(maxsize=512)
def _around(layout: Layout, server_version: int, field: str) -> tuple[bytes, tuple[Field, ...]]:
    plan = _plan(layout, server_version)
    at = [item.name if isinstance(item, Field) else "" for item in plan].index(field)
    before = [item.constant for item in plan[:at] if isinstance(item, Field) and item.constant is not None]
    rest = tuple(item for item in plan[at + 1 :] if isinstance(item, Field) and item.constant is None)
    if len(before) + 1 + len(rest) != len(plan):
        raise LayoutError(f"{layout.name} cannot be encoded around {field}")
    return encode_fields(layout.message_id, *before), rest


@functools.cache
def _names(layout: Layout) -> frozenset[str]:
    return frozenset(item.name for item in flat(layout.fields))


def _check_names(layout: Layout, values: Mapping[str, object]) -> None:
    if unknown := values.keys() - _names(layout):
        raise LayoutError(f"{layout.name} has no field {', '.join(sorted(unknown))}")


def flat(items: Sequence[Item]) -> list[Field | Repeat]:
    """The items with those of every `Given` in its place; a `Repeat` stays whole."""
    found: list[Field | Repeat] = []
    for item in items:
        if isinstance(item, Given):
            found += flat(item.fields)
        else:
            found.append(item)
    return found


def _write(
    owner: Layout | Repeat | Given, server_version: int, values: Mapping[str, object], parts: list[object]
) -> None:
    for item in _plan(owner, server_version):
        if isinstance(item, Field):
            parts.append(_outward(item, values[item.name]) if item.constant is None else item.constant)
        elif isinstance(item, Given):
            if item.holds(values):
                _write(item, server_version, values, parts)
        else:
            rows = _rows(item.name, values[item.name])
            parts.append(len(rows))
            for row in rows:
                _write(item, server_version, row, parts)


def _rows(name: str, value: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, Sequence):
        raise LayoutError(f"{name}: a sequence of mappings is needed, not {value!r}")
    for row in value:
        if not isinstance(row, Mapping):
            raise LayoutError(f"{name}: a mapping is needed, not {row!r}")
    return value


def _read(
    owner: Layout | Repeat | Given,
    server_version: int,
    values: dict[str, object],
    take: Callable[[Field], object],
) -> None:
    for item in _plan(owner, server_version):
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
