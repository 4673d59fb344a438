"""Every code, found by its number or by words. The big tables are loaded with the first question, not before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from ibkr.core.codes.code import Code
from ibkr.core.codes.reactions import CODES


@cache
def catalogue() -> Mapping[int, Code]:
    """All codes by number, in order."""
    from ibkr.core.codes import client, data, orders_100, orders_300, orders_400, orders_10000, requests

    tables = (client, data, orders_100, orders_300, orders_400, orders_10000, requests)
    rows = {row.code: row for table in (tuple(CODES.values()), *(module.CODES for module in tables)) for row in table}
    return MappingProxyType(dict(sorted(rows.items())))


def find(code: int) -> Code | None:
    """What is known of this code; None for one that is not in the catalogue."""
    return CODES.get(code) or catalogue().get(code)


def search(words: str) -> tuple[Code, ...]:
    """The codes of which every word is in the number, meaning, advice, category or scope; case is ignored."""
    wanted = words.lower().split()
    return tuple(row for row in catalogue().values() if wanted and all(word in _text(row) for word in wanted))


def _text(row: Code) -> str:
    return f"{row.code} {row.meaning} {row.advice} {row.category} {row.scope} {row.severity}".lower()
