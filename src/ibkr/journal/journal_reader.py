"""Reads a journal for people and programs, without changing it. A program may write it at the same time."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ibkr.core.errors import JournalError
from ibkr.core.serialization import to_jsonable
from ibkr.journal.halt_file import HaltFile
from ibkr.journal.journal_lock import holder_of
from ibkr.journal.journal_schema import MIGRATIONS, NotAJournal, check_version, migrate
from ibkr.journal.rows import UNREADABLE, read_intents, read_lost, read_notes


def read_journal(path: Path, limit: int) -> dict[str, Any]:
    """Read a journal into JSON types.

    Args:
        path: The journal.
        limit: How many of the newest entries of each list to return. The oldest of them comes first.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    try:
        with closing(_open(path)) as database:
            if 0 < check_version(database) < len(MIGRATIONS):
                with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                    database.backup(copy)
                    migrate(copy)
                    return _told(copy, path, limit)
            return _told(database, path, limit)
    except (sqlite3.Error, NotAJournal, OSError) as error:
        raise JournalError(f"the journal {path} cannot be read: {error}") from error
    except UNREADABLE as error:
        raise JournalError(f"the journal {path} has a row that cannot be read: {error!r}") from error


def check_in_use_or_valid(path: Path) -> None:
    """Raise ``JournalError`` if no program uses this journal, and the file is missing or not a journal.

    A running program continues to use a journal that was damaged or deleted. Raises ``OSError`` or ``sqlite3.Error``
    if it is not known whether a program uses the journal.
    """
    try:
        with closing(_open(path)) as database:
            check_version(database)
    except (JournalError, sqlite3.Error, NotAJournal) as error:
        if holder_of(path) is None:
            text = error if isinstance(error, JournalError) else f"the journal {path} cannot be read: {error}"
            raise JournalError(f"{text}. Nothing changed: check the path") from error


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise JournalError(f"there is no journal {path}")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)


def _told(database: sqlite3.Connection, path: Path, limit: int) -> dict[str, Any]:
    notes, holder, halt = read_notes(database), holder_of(path), HaltFile(path).read()
    client_id = notes.get("client_id")
    values = {
        "path": str(path),
        "client_id": client_id,
        "accounts": notes.get("accounts", []),
        "known_until": notes.get("until"),
        "in_use_by": None if holder is None else asdict(holder),
        "halted": None if halt is None else asdict(halt),
        "unconfirmed": [to_jsonable(each.terms[-1]) for each in read_lost(database).values()],
        "orders": _orders(database, client_id, limit),
        "executions": _newest(database, "SELECT row FROM executions ORDER BY at DESC, rowid DESC LIMIT ?", limit),
        "positions": [json.loads(row) for (row,) in database.execute("SELECT row FROM positions")],
        "gaps": _newest(database, "SELECT report FROM gaps ORDER BY number DESC LIMIT ?", limit),
    }
    return cast("dict[str, Any]", to_jsonable(values))


def _newest(database: sqlite3.Connection, statement: str, limit: int) -> list[Any]:
    return [json.loads(row) for (row,) in database.execute(statement, (limit,))][::-1]


def _orders(database: sqlite3.Connection, client_id: int | None, limit: int) -> list[dict[str, Any]]:
    """What was sent, and what the broker last reported about each order."""
    values = []
    newest = "number > (SELECT coalesce(max(number), 0) FROM intents) - ?"
    for intent in read_intents(database, newest, limit):
        sent: Any = to_jsonable(intent.order)
        statement = "SELECT row FROM orders WHERE client_id = ? AND order_id = ? AND row IS NOT NULL ORDER BY at"
        rows = database.execute(statement, (client_id, intent.order.order_id)).fetchall()
        broker = json.loads(rows[-1][0]) if rows else {}
        values.append(
            {
                "number": intent.number,
                "at": intent.at.isoformat(timespec="milliseconds"),
                "kind": intent.kind.value,
                "state": intent.state.value,
                **sent,
                "limit_price": intent.limit_price,
                "stop_price": intent.stop_price,
                "perm_id": broker.get("perm_id", intent.perm_id),
                "status": broker.get("status", ""),
                "filled": broker.get("filled", 0.0),
                "average_price": broker.get("average_price", 0.0),
            }
        )
    return values
