"""The tables of the journal, and the migration of files of earlier versions.

Each row holds its record as JSON. Its other columns are for searches. Times are ISO texts in UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

APPLICATION = 0x69626B72
"""SQLite's ``application_id`` of a journal: "ibkr"."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE intents (number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,"
        " order_id INTEGER NOT NULL, state TEXT NOT NULL, perm_id INTEGER NOT NULL DEFAULT 0,"
        " knew_ended INTEGER NOT NULL DEFAULT 0, terms TEXT NOT NULL)",
        "CREATE TABLE orders (perm_id INTEGER PRIMARY KEY, state TEXT NOT NULL, client_id INTEGER NOT NULL,"
        " order_id INTEGER NOT NULL, at TEXT NOT NULL, row TEXT)",
        "CREATE TABLE executions (exec_id TEXT PRIMARY KEY, client_id INTEGER NOT NULL, order_id INTEGER NOT NULL,"
        " at TEXT NOT NULL, row TEXT NOT NULL)",
        "CREATE TABLE positions (account TEXT NOT NULL, con_id INTEGER NOT NULL, row TEXT NOT NULL,"
        " PRIMARY KEY (account, con_id)) WITHOUT ROWID",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE gaps (number INTEGER PRIMARY KEY, at TEXT NOT NULL, report TEXT NOT NULL)",
        "CREATE INDEX orders_by_id ON orders (order_id)",
        "CREATE INDEX executions_by_time ON executions (at)",
    ),
)
"""Step n migrates a file of version n to version n + 1. A released step is never changed.

The table of intents has no index: an index would make each order wait longer.
"""


class NotAJournal(Exception):
    """The file cannot be used as a journal. The text says why."""


def migrate(database: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Migrate the file to this version, completely or not at all.

    Raises:
        NotAJournal: The file belongs to another program or to a newer version.
    """
    version = check_version(database, steps)
    if version == len(steps):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[check_version(database, steps) :]:
            for statement in step:
                database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {len(steps)}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def check_version(database: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """The version of the file, 0 if it is empty. Raises ``NotAJournal`` if it is no journal, or a newer version."""
    names = ("application_id", "user_version")
    application, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    if application != APPLICATION:
        if application or version or database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise NotAJournal("it is the SQLite file of another program, not a journal")
        return 0
    if version > len(steps):
        raise NotAJournal(f"a newer version of ibkr has written it (schema {version}, this one knows {len(steps)})")
    return int(version)
