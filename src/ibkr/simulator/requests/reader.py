"""Reads the fields of a request in order, as TWS does, and names the one that cannot be read.

A request in protobuf is read by the same names, each of which is that of its field there: "Use RTH" is `useRTH`. So
what answers a request reads it in one way for both encodings.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from ibkr.wire import protobuf, schema
from ibkr.wire.layout import Field, Layout, LayoutError

_INT = re.compile(r"-?[0-9]{1,10}")
_FLOAT = re.compile(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")

_Number: TypeAlias = float | None
_Int: TypeAlias = int
_Leg: TypeAlias = tuple[int, int, str, str]

_UNSET_INTEGER = "2147483647"
_UNSET_DOUBLE = 1.7976931348623157e308

_PROTO_NAMES = {
    "Client Req Id": "reqId",
    "Account Code": "acctCode",
    "All Msgs": "allMessages",
    "Bar Size": "barSizeSetting barSize",
    "XML": "xml",
}
"""Where protobuf has another name, or one of several."""

_OF_TEXT_ALONE = ("Version", "Delta Neutral")
"""What protobuf does not have: there it is plain from the message."""

_CONTRACT_NAMES = {"last_trade_date": "Last Trade Date Or Contract Month", "primary_exchange": "Primary Exch"}

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

    def id_text(self, at: _Int) -> str:
        """The id of the request, which in text is the field of this index; "" if it is not there."""
        return self._fields[at] if at < len(self._fields) else ""

    def legs(self) -> list[_Leg]:
        """The legs of a combination: contract id, ratio, action, exchange."""
        return [
            (self.int("Leg Con Id"), self.int("Leg Ratio"), self.text("Leg Action"), self.text("Exchange"))
            for _ in range(self.int("Legs"))
        ]

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        """See `read_layout`."""
        values = layout.read(server_version, lambda field: _take(self, field))
        self.end()
        return values

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


class ProtobufReader(FieldReader):
    """The fields of a request in protobuf, read by their names. One that is absent is one that is not set."""

    def __init__(self, message: Any) -> None:
        super().__init__(())
        self._message = message
        self._name: str = message.DESCRIPTOR.name

    def id_text(self, at: _Int) -> str:
        places = (schema.find(self._name, name) for name in ("reqId", "orderId"))
        return next((str(schema.taken(self._message, place)) for place in places if place), "")

    def text(self, name: str) -> str:
        found = self._found(name)
        return "" if found is None else _plain(name, schema.text(found))

    def int(self, name: str) -> int:
        return _to_int(name, self.text(name) or "0")

    def bool(self, name: str) -> bool:
        return bool(self._found(name))

    def float(self, name: str) -> _Number:
        found = self._found(name)
        if found is not None and math.isinf(found):
            raise Malformed(name, str(found))
        return None if found is None else _number(name, found)

    def number(self, name: str) -> _Number:
        found = self._found(name)
        return None if found is None else _number(name, found)

    def end(self) -> None:
        """Fields that are not known are none of ours."""

    def contract(self, names: Sequence[str] = CONTRACT_FIELDS) -> dict[str, str]:
        found = {name: self.text(_CONTRACT_NAMES.get(name) or name.replace("_", " ").title()) for name in names}
        return {**found, "strike": f"{self.float('Strike') or 0.0}"} if "strike" in found else found

    def legs(self) -> list[_Leg]:
        rows = schema.values_at(self._message, "comboLegs")
        return [(leg.conId, leg.ratio, _plain("Leg", leg.action), _plain("Leg", leg.exchange)) for leg in rows]

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        try:
            values = protobuf.decode(layout, server_version, self._message)
        except LayoutError as error:
            raise Malformed(layout.name, str(error)) from None
        return {name: _checked(name, value) for name, value in values.items()}

    def _found(self, name: str) -> Any:
        if name in _OF_TEXT_ALONE:
            return None
        known = _PROTO_NAMES.get(name) or name[:1].lower() + name[1:].replace(" ", "")
        place = next((place for each in known.split() if (place := schema.find(self._name, each))), None)
        assert place, f"{self._name} has no field for {name!r}"
        return schema.taken(self._message, place)


class Unreadable(FieldReader):
    """A request that is not the message that it should be: whatever is read of it is malformed."""

    def __init__(self, why: str) -> None:
        super().__init__(())
        self._why = why

    def text(self, name: str) -> str:
        raise Malformed(name, self._why)

    def id_text(self, at: _Int) -> str:
        return ""

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        raise Malformed(layout.name, self._why)

    def end(self) -> None:
        raise Malformed("(none)", self._why)


def read_layout(fields: FieldReader, layout: Layout, server_version: int) -> dict[str, object]:
    """All fields of a request that has a layout, by name. None is a number that is not set.

    Raises `Malformed` too if fields are left: to TWS, which reads on, they would be the next request.
    """
    return fields.values(layout, server_version)


def _checked(name: str, value: object) -> object:
    """What text cannot hold is malformed; the numbers that text has for what is not set are not set."""
    match value:
        case str():
            return _plain(name, value)
        case float():
            return _number(name, value)
        case [*rows]:
            return [{key: _checked(key, item) for key, item in row.items()} for row in rows if isinstance(row, dict)]
        case 2147483647:
            return None
    return value


def _plain(name: str, text: str) -> str:
    if "\0" in text:
        raise Malformed(name, text)
    return text


def _number(name: str, value: float) -> _Number:
    """A number; None for the largest one, which means that it is not set. Text has no word for NaN."""
    if math.isnan(value) or value == -math.inf:
        raise Malformed(name, str(value))
    return None if value == _UNSET_DOUBLE else value


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
