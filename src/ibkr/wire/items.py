"""The fields of a message, each with the server versions that it is there for, and its place in both encodings.

In text a message is its fields in their order. In protobuf a field is found by its name: `con_id` is `conId` of the
message, or of a message within it, the nearest one first. `proto` says where that is not so.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

_EVER: Final = 1 << 31
NOWHERE: Final = "-"

Proto: TypeAlias = "str | Callable[[Mapping[str, object]], str] | None"
"""The place of a field in protobuf; None is that of its own name."""


class LayoutError(ValueError):
    """Values or fields do not fit the layout of the message."""


@dataclass(frozen=True, slots=True, eq=False)  # cheap to hash, as are those below
class Field:
    """One field: `kind` is int, float, bool, text, size or name.

    A size is a number written without a needless fraction; a name is a text that clients read
    with `unicode-escape`. The field is there from server version `since` to the one before
    `before`. A field with a `constant` takes no value.

    `proto` is its place in protobuf if that is not its own name: a name, a path ("order.delta"), several of them with
    blanks between for the bits of a number, or a function that gives one of those from the values before it;
    `NOWHERE` for a field that only text has.
    """

    name: str
    kind: str = "text"
    since: int = 0
    before: int = _EVER
    constant: int | None = None
    proto: Proto = None


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A count, and that many times these fields; its value is a sequence of mappings.

    A row may hold repeats of its own, and fields that are not there at every version. In protobuf the value is a
    repeated field, of messages or of the row's only field, or a map of the row's two fields.
    """

    name: str
    fields: "tuple[Item, ...]"
    since: int = 0
    before: int = _EVER
    proto: Proto = None


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


def fields(kind: str, names: str, since: int = 0, proto: Proto = None) -> tuple[Field, ...]:
    """Fields of one kind, their names separated by blanks."""
    return tuple(Field(name, kind, since=since, proto=proto) for name in names.split())


def texts(names: str) -> tuple[Field, ...]:
    """Text fields of these names."""
    return fields("text", names)


class Owner(Protocol):
    """What has fields: a layout, or an item that holds others."""

    @property
    def fields(self) -> tuple[Item, ...]:
        """All of them, at any version."""

    def __hash__(self) -> int: ...


@functools.lru_cache(maxsize=2048)
def plan(owner: Owner, server_version: int) -> tuple[Item, ...]:
    """The items that are there at a version."""
    return tuple(item for item in owner.fields if item.since <= server_version < item.before)


def flat(items: Sequence[Item]) -> list[Field | Repeat]:
    """The items with those of every `Given` in its place; a `Repeat` stays whole."""
    found: list[Field | Repeat] = []
    for item in items:
        if isinstance(item, Given):
            found += flat(item.fields)
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
