"""Opens, checks and locks the SQLite file of a history."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import ExitStack, closing, suppress

from ibkr.core.errors import ConfigError
from ibkr.core.serialization import to_printable
from ibkr.observe.history_rows import CHANGE_COLUMNS, OUTAGE_COLUMNS

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_at ON changes (at);
CREATE TABLE IF NOT EXISTS outages (
    id INTEGER PRIMARY KEY, began_at REAL NOT NULL, ended_at REAL, outcome TEXT,
    cause TEXT NOT NULL, reason TEXT NOT NULL, last_error TEXT NOT NULL, gap TEXT
);
CREATE TABLE IF NOT EXISTS alive (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
"""
_TABLES = {"changes", "outages", "alive"}


def open_history(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Open and check the database, and create its tables. Raises ``ConfigError`` if the file cannot be used."""
    name = ":memory:" if path is None else os.fspath(path)
    try:
        if path is not None:
            _keep_private(name)
        db = sqlite3.connect(name, timeout=2.0, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        advice = "check that its folder exists, and that this user may write in it"
        raise ConfigError("history", name, f"cannot be opened: {error}; {advice}") from error
    with ExitStack() as files:  # the files are closed again if anything here raises
        files.enter_context(closing(db))
        db.row_factory = sqlite3.Row
        db.text_factory = lambda text: text.decode(errors="replace")
        try:
            _check_owner(db, name)
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            for columns, table in ((CHANGE_COLUMNS, "changes"), (OUTAGE_COLUMNS, "outages"), ("one, at", "alive")):
                db.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # raises if a column is missing
            db.execute("COMMIT")
            # With the write-ahead log, a change costs one write and a reader never waits. FULL keeps the last change
            # even when the power fails.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.OperationalError as error:  # locked, read-only, a full disk
            raise ConfigError("history", name, f"cannot be used: {error}; name another file") from error
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's text may contain a name from the file
            raise damaged(path, error) from error
        files.pop_all()
    return db


def _check_owner(db: sqlite3.Connection, name: str) -> None:
    """Raise ``ConfigError`` if another program or a newer version has written the file. Changes nothing in it."""
    application, version = (db.execute(f"PRAGMA {key}").fetchone()[0] for key in ("application_id", "user_version"))
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application or (not version and tables - _TABLES):  # our own new or incomplete file has version 0, too
        raise ConfigError("history", name, "is the SQLite file of another program; name another file")
    if version > _VERSION:
        raise ConfigError("history", name, "was written by a newer version of ibkr: update, or name another file")


def damaged(path: str | os.PathLike[str] | None, error: Exception) -> ConfigError:
    """Return the error for a damaged file."""
    name, cause = str(path), to_printable(str(error))
    cure = f"is damaged, or not a history: {cause}; move it away (mv '{name}' '{name}.damaged'), and start again"
    return ConfigError("history", name, cure)


def _keep_private(name: str) -> None:
    """Let only our own user read the file, if files have owners: on the page, a token may protect the same data."""
    if sys.platform != "win32" and name != ":memory:":
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        mode = stat.S_IMODE(os.stat(name).st_mode)
        if mode & stat.S_IRWXO:
            # An earlier version of ibkr made this file, which everybody may read. Do not remove the access of the
            # group, because a person has granted it.
            with suppress(OSError):
                os.chmod(name, mode & ~stat.S_IRWXO)


def lock_history(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Lock a file next to the history. Raises ``ConfigError`` if another program has that lock.

    The lock is SQLite's lock on an empty database. The operating system releases the lock when the program that has it
    ends, also after a crash. A lock on the history itself would also lock out programs that only read.
    """
    name = ":memory:" if path in (None, ":memory:") else f"{os.path.realpath(path)}-owner"
    with ExitStack() as files:
        try:
            if name != ":memory:":
                _keep_private(name)
            lock = sqlite3.connect(name, timeout=0.5, isolation_level=None, check_same_thread=False)
            files.enter_context(closing(lock))
            lock.execute("BEGIN EXCLUSIVE")
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                cause = (
                    "another program, perhaps a second ibkr serve, uses this history file: end that program, or name"
                    " another file"
                )
            else:
                advice = "check that this user may write the file and its folder"
                cause = f"its lock file {name} cannot be used: {error}; {advice}"
            raise ConfigError("history", str(path), cause) from error
        files.pop_all()
    return lock
