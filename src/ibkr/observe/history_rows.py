"""Converts rows of the history file. A row that cannot be read is shown as unreadable, and logged one time."""

from __future__ import annotations

import json
import logging
import math
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from ibkr.core.outage import Outage, OutageCause, Outcome
from ibkr.core.serialization import sanitize_text, to_json
from ibkr.core.states import ConnectionState

_log = logging.getLogger("ibkr.observe")

NOT_WATCHED = "NOT_WATCHED"
"""Used instead of a state when the program did not run."""

UNREADABLE = "unreadable"
"""Used instead of the cause of an outage that cannot be read."""

_STATES = frozenset({*map(str, ConnectionState), NOT_WATCHED})
_MAX_GAP = 4 * 1024 * 1024
CHANGE_COLUMNS = "id, at, substr(state, 1, 100) state, substr(reason, 1, 10000) reason"
OUTAGE_COLUMNS = (
    "id, began_at, ended_at, substr(outcome, 1, 100) outcome, substr(cause, 1, 100) cause,"
    f" substr(reason, 1, 10000) reason, substr(last_error, 1, 10000) last_error, substr(gap, 1, {_MAX_GAP + 1}) gap"
)
_MAX_WARNINGS = 1000
_NON_JSON_NUMBERS = re.compile(r"NaN|Infinity|\d[eE]")
"""Numbers that Python accepts, although they are not valid JSON or are too large."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class StateChange:
    """From ``at`` on, this was the state: a ``ConnectionState`` or ``NOT_WATCHED``."""

    at: datetime
    state: str
    reason: str


class RowReader:
    """Reads rows of one file, and logs each unreadable row only one time."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, object]] = set()

    def outage(self, row: sqlite3.Row, *, as_text: bool = False) -> dict[str, Any]:
        """Return what can be read of the outage, with its ``gap``. With ``as_text``, ``gap`` is a JSON text."""
        result = self._read(row, "outages", _outage)
        if result is None:
            return {
                "id": row["id"],
                "began_at": self._read(row, "outages", lambda row: _to_text(_to_datetime(row["began_at"]))),
                "ended_at": self._read(row, "outages", lambda row: _to_text(_to_datetime(row["ended_at"]))),
                "seconds": None,
                "cause": UNREADABLE,
                "reason": "this row of the history cannot be read",
                "last_error": "",
                "outcome": str(Outcome.UNKNOWN),
                "gap": None,
            }
        return {
            **result,
            "gap": None if row["gap"] is None else self._read(row, "outages", _gap_text if as_text else _gap),
        }

    def change(self, row: sqlite3.Row) -> StateChange | None:
        """Return the change: ``NOT_WATCHED`` if its state cannot be read, ``None`` if its time cannot be read."""
        result = self._read(row, "changes", _change)
        if result is not None:
            return result
        at = self._read(row, "changes", lambda row: _to_datetime(row["at"]))
        return None if at is None else StateChange(at, NOT_WATCHED, "this row of the history cannot be read")

    def _read(self, row: sqlite3.Row, table: str, read: Callable[[sqlite3.Row], _Row]) -> _Row | None:
        try:
            return read(row)
        except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
            key = table, row["id"]
            if key not in self._warned and len(self._warned) < _MAX_WARNINGS:
                self._warned.add(key)
                _log.warning(
                    "Row %s of %s in the history cannot be read: %s", row["id"], table, sanitize_text(repr(error))
                )
            return None


def _outage(row: sqlite3.Row) -> dict[str, Any]:
    ended_at = None if row["ended_at"] is None else _to_datetime(row["ended_at"])
    outcome = None if row["outcome"] is None else Outcome(row["outcome"])
    reason, last_error = (_require_text(row[name]) for name in ("reason", "last_error"))
    outage = Outage(
        row["id"], _to_datetime(row["began_at"]), OutageCause(row["cause"]), reason, last_error, ended_at, outcome
    )
    return {"id": row["id"], **outage.to_dict()}


def _gap(row: sqlite3.Row) -> dict[str, Any]:
    gap = json.loads(_stored_gap(row))
    if not isinstance(gap, dict):
        raise TypeError("a gap report that is not a JSON object")
    return gap


def _gap_text(row: sqlite3.Row) -> str:
    """Return the stored text if it is valid, printable JSON, as we write it. Otherwise convert it to such a text."""
    text = _stored_gap(row)
    gap = _gap(row)
    is_clean = "\\" not in text and text.isprintable() and not _NON_JSON_NUMBERS.search(text)
    return text if is_clean else to_json(gap)


def _stored_gap(row: sqlite3.Row) -> str:
    text = _require_text(row["gap"])
    if len(text) > _MAX_GAP:
        raise ValueError("a gap report that is too long")
    return text


def _change(row: sqlite3.Row) -> StateChange:
    state = row["state"]
    if state not in _STATES:
        raise ValueError(f"state {state!r}")
    return StateChange(_to_datetime(row["at"]), state, _require_text(row["reason"]))


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of a text")
    return value


def _to_datetime(seconds: object) -> datetime:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        raise TypeError(f"{seconds!r} instead of a time")
    return datetime.fromtimestamp(seconds, UTC)


def _to_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
