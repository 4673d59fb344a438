"""The parts of a layout: `Field`, `Repeat`, and `Conditional`, with their server versions and their places in protobuf.

In text, a message is its fields in order. In protobuf, a field is found by its name: `con_id` is `conId` of the
message, or of a message within it, the nearest first. `proto` is for fields that differ.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

_NO_END: Final = 1 << 31
TEXT_ONLY: Final = "-"

Proto: TypeAlias = "str | Callable[[Mapping[str, object]], str] | None"
"""The place of a field in protobuf. `None` means the place of its own name."""


class LayoutError(ValueError):
    """Values or fields do not match the layout of the message."""


@dataclass(frozen=True, slots=True, eq=False)  # fast to hash, like the classes below
class Field:
    """One field. `kind` is int, float, bool, text, size, or name.

    A size is a number without a needless fraction in text. A name is a text that clients read with `unicode-escape`.
    The field exists from server version `since` to the version before `before`. A field with a `constant` takes no
    value.

    `proto` is its place in protobuf, if that is not its own name: a name, a path ("order.delta"), several of them
    separated by blanks for the bits of a number, or a function that returns one of those from the values before it.
    `TEXT_ONLY` marks a field that only text has.
    """

    name: str
    kind: str = "text"
    since: int = 0
    before: int = _NO_END
    constant: int | None = None
    proto: Proto = None


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A count, and that many rows of these fields. Its value is a sequence of mappings.

    A row can contain repeats, and fields that exist at some versions only. In protobuf, the value is a repeated field
    of messages, a repeated field of the row's only field, or a map of the row's two fields.
    """

    name: str
    fields: "tuple[Item, ...]"
    since: int = 0
    before: int = _NO_END
    proto: Proto = None


@dataclass(frozen=True, slots=True, eq=False)
class Conditional:
    """Fields that exist only if `condition` is true for the values before them."""

    condition: Callable[[Mapping[str, object]], bool]
    fields: "tuple[Item, ...]"
    since: int = 0
    before: int = _NO_END


Item: TypeAlias = Field | Repeat | Conditional

REQ_ID: Final = Field("req_id", "int")


def version_field(number: int, before: int = _NO_END) -> Field:
    """Return the field with the message's own version, a constant that most messages have after their id."""
    return Field("version", "int", before=before, constant=number)


def fields(kind: str, names: str, since: int = 0, proto: Proto = None) -> tuple[Field, ...]:
    """Return fields of one kind, with names separated by blanks."""
    return tuple(Field(name, kind, since=since, proto=proto) for name in names.split())


def texts(names: str) -> tuple[Field, ...]:
    """Return text fields, with names separated by blanks."""
    return fields("text", names)


class Container(Protocol):
    """What has fields: a layout, a repeat, or a conditional."""

    @property
    def fields(self) -> tuple[Item, ...]:
        """All fields, of any version."""

    def __hash__(self) -> int: ...


@functools.lru_cache(maxsize=2048)
def items_at(owner: Container, server_version: int) -> tuple[Item, ...]:
    """Return the items that exist at a server version."""
    return tuple(item for item in owner.fields if item.since <= server_version < item.before)


def flatten(items: Sequence[Item]) -> list[Field | Repeat]:
    """Return the items, with the fields of each `Conditional` in its place. A `Repeat` is one item."""
    found: list[Field | Repeat] = []
    for item in items:
        if isinstance(item, Conditional):
            found += flatten(item.fields)
        else:
            found.append(item)
    return found


def rows_of(name: str, value: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, Sequence):
        raise LayoutError(f"{name}: a sequence of mappings is needed, not {value!r}")
    for row in value:
        if not isinstance(row, Mapping):
            raise LayoutError(f"{name}: a mapping is needed, not {row!r}")
    return value
