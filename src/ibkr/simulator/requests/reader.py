"""Reads the fields of a request in order, as TWS does, and names the one that cannot be read."""

import math
import re
from collections.abc import Sequence
from typing import TypeAlias

from ibkr.wire.layout import Field, Layout

_INT = re.compile(r"-?[0-9]{1,10}")
_FLOAT = re.compile(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")

_Number: TypeAlias = float | None

_UNSET_INTEGER = "2147483647"
_UNSET_DOUBLE = 1.7976931348623157e308

CONTRACT_FIELDS = (
    "con_id",
    "symbol",
    "sec_type",
    "last_trade_date",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "primary_exchange",
    "currency",
    "local_symbol",
    "trading_class",
)


def printable(text: str) -> str:
    """`text`, in which what a stranger sent cannot control a terminal or begin a line of the log."""
    return text if text.isprintable() else ascii(text)[1:-1]


class Malformed(ValueError):
    """A field is missing or of the wrong kind: TWS answers with error 320."""

    def __init__(self, field: str, found: str | None) -> None:
        what = "the message has ended" if found is None else f'for input string: "{printable(found[:80])}"'
        super().__init__(f"Unable to parse field: '{field}' {what}")


class FieldReader:
    """The fields of one request, after its message id."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._next = 1

    def text(self, name: str) -> str:
        """The next field as it stands."""
        if self._next >= len(self._fields):
            raise Malformed(name, None)
        value = self._fields[self._next]
        self._next += 1
        return value

    def int(self, name: str) -> int:
        """The next field as a 32-bit number."""
        return _to_int(name, self.text(name))

    def bool(self, name: str) -> bool:
        """The next field as 0 or 1; an empty one is 0."""
        found = self.text(name)
        if found not in ("", "0", "1"):
            raise Malformed(name, found)
        return found == "1"

    def float(self, name: str) -> _Number:
        """The next field as a number; None for one that is not set: empty, or the largest double."""
        found = self.text(name)
        if not found:
            return None
        if not _FLOAT.fullmatch(found) or not any(map(str.isdigit, found)):
            raise Malformed(name, found)
        return float(found) if float(found) < _UNSET_DOUBLE else None

    def number(self, name: str) -> _Number:
        """As `float`, and it may be infinite."""
        if self._next < len(self._fields) and self._fields[self._next] in ("Infinity", "Infinite"):
            self._next += 1
            return math.inf
        return self.float(name)

    def end(self) -> None:
        """Nothing may follow."""
        if self._next < len(self._fields):
            raise Malformed("(none, the message should have ended)", self._fields[self._next])

    def skip(self, *names: str) -> None:
        """Fields whose values do not matter."""
        for name in names:
            self.text(name)

    def contract(self, names: Sequence[str] = CONTRACT_FIELDS) -> dict[str, str]:
        """The twelve fields of a contract, or those of them that a request has, by name."""
        found: dict[str, str] = {}
        for name in names:
            if name == "strike":
                found[name] = f"{self.float(name) or 0.0}"
            else:
                found[name] = self.text(name)
        if found["con_id"] and not _INT.fullmatch(found["con_id"]):
            raise Malformed("con_id", found["con_id"])
        return found


def read_layout(fields: FieldReader, layout: Layout, server_version: int) -> dict[str, object]:
    """All fields of a request that has a layout, by name. None is a number that is not set.

    Raises `Malformed` too if fields are left: to TWS, which reads on, they would be the next request.
    """
    values = layout.read(server_version, lambda field: _take(fields, field))
    fields.end()
    return values


def _take(fields: FieldReader, field: Field) -> object:
    name = "Client Req Id" if field.name == "req_id" else field.name.replace("_", " ").title()
    match field.kind:
        case "int":
            found = fields.text(name)
            return None if found in ("", _UNSET_INTEGER) else _to_int(name, found)
        case "bool":
            return fields.bool(name)
        case "float" | "size":
            return fields.number(name)
        case _:
            return fields.text(name)


def _to_int(name: str, found: str) -> int:
    if not _INT.fullmatch(found) or not -(2**31) <= int(found) < 2**31:
        raise Malformed(name, found)
    return int(found)
