"""Opens, checks and locks the SQLite file of a history."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import ExitStack, closing, suppress

from ibkr.core.errors import ConfigError
from ibkr.core.serialization import to_printable

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


def open_history(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Open and check the database, and create its tables. Raises ``ConfigError``."""
    name = ":memory:" if path is None else os.fspath(path)
    try:
        if path is not None:
            _keep_private(name)
        db = sqlite3.connect(name, timeout=2.0, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        advice = "check that its folder exists, and that this user may write in it"
        raise ConfigError("history", name, f"cannot be opened: {error}; {advice}") from error
    with ExitStack() as files:  # closed again if anything here raises
        files.enter_context(closing(db))
        db.row_factory = sqlite3.Row
        db.text_factory = lambda text: text.decode(errors="replace")
        try:
            # With the write-ahead log, a change costs one write and a reader never waits. FULL keeps the last change
            # even when the power fails.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                cause = "was written by a newer version of ibkr: update, or name another file"
                raise ConfigError("history", name, cause)
            db.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
            if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.OperationalError as error:  # locked, read-only, a full disk
            raise ConfigError("history", name, f"cannot be used: {error}; name another file") from error
        except sqlite3.Error as error:
            raise damaged(path, error) from error
        files.pop_all()
    return db


def damaged(path: str | os.PathLike[str] | None, error: sqlite3.Error) -> ConfigError:
    """Return the error for a damaged file."""
    name, cause = str(path), to_printable(str(error))
    cure = f"is damaged, or not a history: {cause}; move it away (mv '{name}' '{name}.damaged'), and start again"
    return ConfigError("history", name, cure)


def _keep_private(name: str) -> None:
    """Let only our own user read the file, where files have owners: on the page, a token may protect the same data."""
    if sys.platform != "win32" and name != ":memory:":
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        mode = stat.S_IMODE(os.stat(name).st_mode)
        if mode & stat.S_IRWXO:  # an earlier version made it; read access for the group was given on purpose
            with suppress(OSError):
                os.chmod(name, mode & ~stat.S_IRWXO)


def lock_history(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Lock a file beside the history. Raises ``ConfigError`` if another program holds that lock.

    This is SQLite's lock on an empty database. The operating system releases it when its holder ends, also after a
    crash. A lock on the history itself would keep readers out.
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
                cause = "another program keeps its history there (another ibkr serve?): end it, or name another file"
            else:
                advice = "check that this user may write the file and its folder"
                cause = f"its lock file {name} cannot be used: {error}; {advice}"
            raise ConfigError("history", str(path), cause) from error
        files.pop_all()
    return lock
