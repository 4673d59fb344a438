"""Reads the fields of a request in order, as TWS does, and names the one that cannot be read."""

import re
from collections.abc import Sequence

_INT = re.compile(r"-?[0-9]{1,10}")
_FLOAT = re.compile(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")

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


class Malformed(ValueError):
    """A field is missing or of the wrong kind: TWS answers with error 320."""

    def __init__(self, field: str, found: str | None) -> None:
        what = "the message has ended" if found is None else f'for input string: "{found[:80]}"'
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
        found = self.text(name)
        if not _INT.fullmatch(found) or not -(2**31) <= int(found) < 2**31:
            raise Malformed(name, found)
        return int(found)

    def bool(self, name: str) -> bool:
        """The next field as 0 or 1; an empty one is 0."""
        found = self.text(name)
        if found not in ("", "0", "1"):
            raise Malformed(name, found)
        return found == "1"

    def skip_float(self, name: str) -> None:
        """A number whose value does not matter, but that must be one."""
        found = self.text(name)
        if found and (not _FLOAT.fullmatch(found) or not any(map(str.isdigit, found))):
            raise Malformed(name, found)

    def contract(self) -> dict[str, str]:
        """The twelve fields of a contract, by name."""
        found: dict[str, str] = {}
        for name in CONTRACT_FIELDS:
            if name == "strike":
                self.skip_float(name)
            else:
                found[name] = self.text(name)
        if found["con_id"] and not _INT.fullmatch(found["con_id"]):
            raise Malformed("con_id", found["con_id"])
        return found
