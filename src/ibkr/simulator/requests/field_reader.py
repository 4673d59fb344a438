"""Read the fields of a request in order, as TWS does. An error names the field that cannot be read.

`ProtobufReader` finds the same fields by their names in protobuf: "Use RTH" is `useRTH`. So a handler reads a request
in the same way in both encodings.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from ibkr.wire import protobuf_codec, protobuf_schema
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
"""Fields that have another name in protobuf. With several names, the field has one of them."""

_TEXT_ONLY = ("Version", "Delta Neutral")
"""Fields that protobuf does not have, because the message itself implies them."""

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
    """Return `text` without control characters, which could affect a terminal or start a line of the log."""
    return text if text.isprintable() else ascii(text)[1:-1]


class MalformedField(ValueError):
    """A field is missing or of the wrong kind. TWS answers with error 320."""

    def __init__(self, field: str, text: str | None) -> None:
        what = "the message has ended" if text is None else f'for input string: "{printable(text[:80])}"'
        super().__init__(f"Unable to parse field: '{field}' {what}")


class FieldReader:
    """The fields of one request, after its message id."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._next = 1

    def text(self, name: str) -> str:
        """Return the next field unchanged."""
        if self._next >= len(self._fields):
            raise MalformedField(name, None)
        value = self._fields[self._next]
        self._next += 1
        return value

    def int(self, name: str) -> int:
        """Return the next field as a 32-bit integer."""
        return _to_int(name, self.text(name))

    def bool(self, name: str) -> bool:
        """Return the next field as a bool. The field is 0, 1, or empty. Empty means 0."""
        text = self.text(name)
        if text not in ("", "0", "1"):
            raise MalformedField(name, text)
        return text == "1"

    def float(self, name: str) -> _Number:
        """Return the next field as a number, or `None` if it is unset: empty, or the largest double."""
        text = self.text(name)
        if not text:
            return None
        if not _FLOAT.fullmatch(text) or not any(map(str.isdigit, text)):
            raise MalformedField(name, text)
        return float(text) if float(text) < _UNSET_DOUBLE else None

    def number(self, name: str) -> _Number:
        """Return the next field like `float`, but the number can also be infinite."""
        if self._next < len(self._fields) and self._fields[self._next] in ("Infinity", "Infinite"):
            self._next += 1
            return math.inf
        return self.float(name)

    def id_text(self, at: _Int) -> str:
        """Return the request id, or "". In a text request, the id is the field with this index."""
        return self._fields[at] if at < len(self._fields) else ""

    def legs(self) -> list[_Leg]:
        """Return the legs of a combination: contract id, ratio, action, exchange."""
        return [
            (self.int("Leg Con Id"), self.int("Leg Ratio"), self.text("Leg Action"), self.text("Exchange"))
            for _ in range(self.int("Legs"))
        ]

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        """See `read_layout`."""
        values = layout.read(server_version, lambda field: _read_field(self, field))
        self.end()
        return values

    def end(self) -> None:
        """Check that no field follows."""
        if self._next < len(self._fields):
            raise MalformedField("(none, the message should have ended)", self._fields[self._next])

    def skip(self, *names: str) -> None:
        """Skip fields whose values do not matter."""
        for name in names:
            self.text(name)

    def contract(self, names: Sequence[str] = CONTRACT_FIELDS) -> dict[str, str]:
        """Return the twelve fields of a contract by name, or only the fields in `names`."""
        contract: dict[str, str] = {}
        for name in names:
            if name == "strike":
                contract[name] = f"{self.float(name) or 0.0}"
            else:
                contract[name] = self.text(name)
        if contract["con_id"] and not _INT.fullmatch(contract["con_id"]):
            raise MalformedField("con_id", contract["con_id"])
        return contract


class ProtobufReader(FieldReader):
    """The fields of a protobuf request, read by name. An absent field is unset."""

    def __init__(self, message: Any) -> None:
        super().__init__(())
        self._message = message
        self._name: str = message.DESCRIPTOR.name

    def id_text(self, at: _Int) -> str:
        places = (protobuf_schema.find(self._name, name) for name in ("reqId", "orderId"))
        return next((str(protobuf_schema.taken(self._message, place)) for place in places if place), "")

    def text(self, name: str) -> str:
        value = self._get(name)
        return "" if value is None else _check_text(name, protobuf_schema.text(value))

    def int(self, name: str) -> int:
        return _to_int(name, self.text(name) or "0")

    def bool(self, name: str) -> bool:
        return bool(self._get(name))

    def float(self, name: str) -> _Number:
        value = self._get(name)
        if value is not None and math.isinf(value):
            raise MalformedField(name, str(value))
        return None if value is None else _number(name, value)

    def number(self, name: str) -> _Number:
        value = self._get(name)
        return None if value is None else _number(name, value)

    def end(self) -> None:
        """Accept unknown fields."""

    def contract(self, names: Sequence[str] = CONTRACT_FIELDS) -> dict[str, str]:
        contract = {name: self.text(_CONTRACT_NAMES.get(name) or name.replace("_", " ").title()) for name in names}
        return {**contract, "strike": f"{self.float('Strike') or 0.0}"} if "strike" in contract else contract

    def legs(self) -> list[_Leg]:
        rows = protobuf_schema.values_at(self._message, "comboLegs")
        return [
            (leg.conId, leg.ratio, _check_text("Leg", leg.action), _check_text("Leg", leg.exchange)) for leg in rows
        ]

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        try:
            values = protobuf_codec.decode(layout, server_version, self._message)
        except LayoutError as error:
            raise MalformedField(layout.name, str(error)) from None
        return {name: _check_value(name, value) for name, value in values.items()}

    def _get(self, name: str) -> Any:
        if name in _TEXT_ONLY:
            return None
        known = _PROTO_NAMES.get(name) or name[:1].lower() + name[1:].replace(" ", "")
        place = next((place for each in known.split() if (place := protobuf_schema.find(self._name, each))), None)
        assert place, f"{self._name} has no field for {name!r}"
        return protobuf_schema.taken(self._message, place)


class UnreadableRequest(FieldReader):
    """A request that cannot be parsed. Reading any field raises `MalformedField`."""

    def __init__(self, why: str) -> None:
        super().__init__(())
        self._why = why

    def text(self, name: str) -> str:
        raise MalformedField(name, self._why)

    def id_text(self, at: _Int) -> str:
        return ""

    def values(self, layout: Layout, server_version: _Int) -> dict[str, object]:
        raise MalformedField(layout.name, self._why)

    def end(self) -> None:
        raise MalformedField("(none)", self._why)


def read_layout(fields: FieldReader, layout: Layout, server_version: int) -> dict[str, object]:
    """Read all fields of a request by its layout, and return them by name. An unset number is `None`.

    Raises `MalformedField` also if further fields follow, because TWS would read them as the next request.
    """
    return fields.values(layout, server_version)


def _check_value(name: str, value: object) -> object:
    """Check a protobuf value by the rules of text messages: refuse a NUL, and return `None` for unset numbers."""
    match value:
        case str():
            return _check_text(name, value)
        case float():
            return _number(name, value)
        case [*rows]:
            return [
                {key: _check_value(key, item) for key, item in row.items()} for row in rows if isinstance(row, dict)
            ]
        case 2147483647:
            return None
    return value


def _check_text(name: str, text: str) -> str:
    if "\0" in text:
        raise MalformedField(name, text)
    return text


def _number(name: str, value: float) -> _Number:
    """Return a number, or `None` for the largest double (unset). NaN is refused, because text has none."""
    if math.isnan(value) or value == -math.inf:
        raise MalformedField(name, str(value))
    return None if value == _UNSET_DOUBLE else value


def _read_field(fields: FieldReader, field: Field) -> object:
    name = "Client Req Id" if field.name == "req_id" else field.name.replace("_", " ").title()
    match field.kind:
        case "int":
            text = fields.text(name)
            return None if text in ("", _UNSET_INTEGER) else _to_int(name, text)
        case "bool":
            return fields.bool(name)
        case "float" | "size":
            return fields.number(name)
        case _:
            return fields.text(name)


def _to_int(name: str, text: str) -> int:
    if not _INT.fullmatch(text) or not -(2**31) <= int(text) < 2**31:
        raise MalformedField(name, text)
    return int(text)
