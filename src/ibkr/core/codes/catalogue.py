"""Finds a code of IB's by its number or by words in ``catalogue.toml``.

The file is read when a code is first looked up, because most programs never do that. ``find`` parses only one row: a
code may arrive in a running event loop, and the complete file takes 15 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from ibkr.core.codes.code import Category, Code, Scope, Severity
from ibkr.core.codes.reactions import reaction

_FIELDS: dict[str, type[Any]] = {
    "meaning": str,
    "category": Category,
    "scope": Scope,
    "severity": Severity,
    "advice": str,
    "retry_helps": bool,
}
_REQUIRED = ("meaning", "category", "scope")


@cache
def catalogue() -> Mapping[int, Code]:
    """All codes by number, in ascending order."""
    return MappingProxyType(parse_catalogue(_text()))


@lru_cache(maxsize=256)
def find(code: int) -> Code | None:
    """Return what is known about this code, or ``None`` if it is not in the catalogue."""
    text = _text()
    begin = text.find(f"\n[{code}]\n")
    if begin < 0:
        return None
    end = text.find("\n[", begin + 1)
    return parse_catalogue(text[begin:] if end < 0 else text[begin:end])[code]


def search(words: str) -> tuple[Code, ...]:
    """The codes that have every word in their number, meaning, advice, category or scope. Case is ignored."""
    wanted = words.lower().split()
    return tuple(row for row in catalogue().values() if wanted and all(word in _words(row) for word in wanted))


def parse_catalogue(text: str) -> dict[int, Code]:
    """Parse rows of the catalogue.

    Raises:
        ValueError: A row cannot be used; the message names the row and what to do.
    """
    import tomllib  # imported here, because the import takes 3 ms and is rarely needed

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        cure = "give each code one row, and put each text in double quotes on one line"
        raise ValueError(f"catalogue.toml is not valid: {error}: {cure}") from error
    rows = {row.code: row for row in (_parse_row(name, fields) for name, fields in tables.items())}
    return dict(sorted(rows.items()))


def _parse_row(name: str, fields: Any) -> Code:
    if not name.isdecimal() or not isinstance(fields, dict):
        raise ValueError(f"catalogue.toml: {name}: a row begins with its code in brackets, such as [354]")
    where = f"catalogue.toml, [{name}]"
    for key in fields.keys() - _FIELDS.keys():
        raise ValueError(f"{where}: unknown key {key}: use {', '.join(_FIELDS)}")
    for key in _REQUIRED:
        if key not in fields:
            raise ValueError(f"{where}: {key} is missing: add it")
    values = {key: _parse_value(where, key, value) for key, value in fields.items()}
    return Code(int(name), **values, reaction=reaction(int(name)))


def _parse_value(where: str, key: str, value: Any) -> Any:
    kind = _FIELDS[key]
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise ValueError(f"{where}: {key} = {value!r}: must be one of {', '.join(kind)}")
        return kind(value)
    if type(value) is not kind or value == "":
        raise ValueError(f"{where}: {key} = {value!r}: must be {'true or false' if kind is bool else 'a text'}")
    return value


@cache
def _text() -> str:
    from pathlib import Path

    return Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")


def _words(row: Code) -> str:
    return f"{row.code} {row.meaning} {row.advice} {row.category} {row.scope} {row.severity}".lower()
