"""Read the data files of the simulator: TOML arrays of tables, each entry converted to a frozen dataclass.

Errors name the file, the entry, and the field, and say what to write instead.
"""

import dataclasses
import difflib
import functools
import tomllib
import typing
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")


class DataError(ValueError):
    """A data file cannot be used. The text names the file, the entry, and the field, and says how to correct it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One `[[kind]]` of a file. `number` counts from 1."""

    path: str
    kind: str
    number: int
    values: dict[str, object]

    def error(self, field: str, advice: str) -> DataError:
        """Return the error to raise for a field."""
        name = self.values.get("symbol") or self.values.get("underlying") or self.values.get("id")
        called = f" ({name})" if name else ""
        value = f" = {self.values[field]!r}" if field in self.values else ""
        return DataError(f"{self.path}: [[{self.kind}]] number {self.number}{called}: {field}{value}: {advice}")

    def text(self, field: str) -> str:
        """Return a required text field."""
        value = self.values.get(field)
        if not isinstance(value, str) or not value:
            raise self.error(field, "a text is needed" if field in self.values else "is missing, write a text")
        return value

    def choice(self, field: str, allowed: Collection[str], default: str = "") -> str:
        """Return a text field that must have one of the allowed values."""
        value = self.text(field) if field in self.values or not default else default
        if value not in allowed:
            raise self.error(field, f"write one of {', '.join(allowed)}")
        return value

    def refuse(self, field: str, why: str) -> None:
        """Raise `DataError` if the entry has this field."""
        if field in self.values:
            raise self.error(field, f"does not belong here: {why}")

    def build(self, kind: type[_T], **defaults: object) -> _T:
        """Convert the entry to a dataclass. Raises `DataError` if a field is unknown, missing, or of another type."""
        types = _types_of(typing.cast("Hashable", kind))
        fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for name in self.values:
            if name not in fields:
                near = difflib.get_close_matches(name, fields, n=1) or sorted(fields)
                raise self.error(name, f"no such field, perhaps: {', '.join(near)}")
        values = {**defaults, **self.values}
        for name, item in fields.items():
            if name in values:
                values[name] = self._check(name, values[name], types[name])
            elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                raise self.error(name, f"is missing, write a {_type_name(types[name])}")
        return kind(**values)

    def _check(self, name: str, value: object, wanted: Any) -> object:
        if type(value) is wanted:
            return value
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        plain = typing.get_origin(wanted) or wanted
        if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
            raise self.error(name, f"a {_type_name(wanted)} is needed")
        inner = typing.get_args(wanted)
        if plain is list:
            assert isinstance(value, list)
            return [self._check(name, item, inner[0]) for item in value]
        return value


def read(path: str | Path, kinds: Sequence[str]) -> dict[str, list[Entry]]:
    """Return the entries of a file by kind, in order. Raises `DataError`, also if the file does not exist."""
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not TOML: {error}") from error
    found: dict[str, list[Entry]] = {kind: [] for kind in kinds}
    for kind, rows in document.items():
        if kind not in found:
            raise DataError(f"{path}: [[{kind}]]: no such kind of entry, write one of: {', '.join(kinds)}")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{path}: {kind}: write its entries under [[{kind}]]")
        found[kind] = [Entry(str(path), kind, number, row) for number, row in enumerate(rows, start=1)]
    return found


def check_unique(path: str | Path, kind: str, field: str, values: Sequence[object]) -> None:
    """Raise `DataError` if a value occurs twice."""
    for value, count in Counter(values).items():
        if count > 1:
            raise DataError(f"{path}: [[{kind}]]: {field} = {value!r} occurs {count} times, but must be unique")


@functools.cache
def _types_of(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _type_name(kind: Any) -> str:
    plain = typing.get_origin(kind) or kind
    return {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list"}[plain]
