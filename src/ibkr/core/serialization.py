"""Converts values to JSON, and text from outside to text that is safe to show.

Only this module decides which text may reach a terminal, a log line, JSON or a file. ``sanitize_text`` takes text where
it enters, ``sanitize`` a value with text in it, and ``to_jsonable`` and ``to_json`` what goes out.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar, cast

from ibkr.core.account_masking import mask_account, mask_accounts
from ibkr.core.frozen_record import FrozenRecord, replace

T = TypeVar("T")


def to_jsonable(value: object) -> object:
    """The value as JSON types.

    Records and mappings become objects, tuples become lists, times ISO text, and enums their value. Text is printable.
    NaN, infinity and bytes become ``None``. So the result is valid JSON for any value.
    """
    if isinstance(value, Enum):
        value = str(value.value)
    if isinstance(value, str):
        return to_printable(value)[:_LONGEST_OUT]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, (tuple, list, deque, Set)):
        return [to_jsonable(item) for item in value]
    if is_dataclass(value):
        return {each.name: to_jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {to_printable(str(key)): to_jsonable(item) for key, item in value.items()}
    return None


def to_json(value: object) -> str:
    """The value as one line of JSON."""
    return json.dumps(to_jsonable(value), allow_nan=False, separators=(",", ":"))


def mask_json(value: Any, accounts: tuple[str, ...]) -> Any:
    """A result of ``to_jsonable`` with every account id masked."""
    if isinstance(value, dict):
        return {
            key: mask_account(item) if key == "account" else mask_json(item, accounts) for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_json(item, accounts) for item in value]
    return mask_accounts(value, accounts) if isinstance(value, str) else value


_LONGEST_TEXT, _CUT = 1000, "..."
_LONGEST_OUT = 100_000
"""A reason may contain many orders with their texts."""


def to_printable(text: str) -> str:
    """The text on one line, without control characters."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)


def sanitize_text(text: str) -> str:
    """Text from the gateway for display and storage: printable, on one line, and at most 1,000 characters.

    Sanitized text is returned unchanged.
    """
    is_short = len(text) <= _LONGEST_TEXT + len(_CUT) and (len(text) <= _LONGEST_TEXT or text.endswith(_CUT))
    if is_short and text.isprintable():
        return text
    line = " ".join(to_printable(text[:_LONGEST_TEXT]).split())
    return line if len(text) <= _LONGEST_TEXT else line + _CUT


def sanitize(value: T) -> T:
    """The value with every text in it sanitized. The same object if nothing changes."""
    found = _sanitize(value)
    return value if found is value else cast("T", found)


_NO_TEXT = frozenset({int, float, bool, type(None)})
_NOTHING = ("", ())
"""Most fields have one of these values. This function runs for every event."""


def _sanitize(value: Any) -> Any:
    if isinstance(value, str):
        is_clean = (value.isprintable() and len(value) <= _LONGEST_TEXT) or isinstance(value, Enum)
        return value if is_clean else sanitize_text(value)
    if isinstance(value, tuple):
        if all([type(item) in _NO_TEXT or _sanitize(item) is item for item in value]):
            return value
        return tuple([_sanitize(item) for item in value])
    if isinstance(value, FrozenRecord):
        texts = [(name, old) for name, old in vars(value).items() if type(old) not in _NO_TEXT and old not in _NOTHING]
        changes = {name: new for name, old in texts if (new := _sanitize(old)) is not old}
        return replace(value, **changes) if changes else value
    return value
