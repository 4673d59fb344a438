"""Locks a journal, so that one connector uses it at a time. The lock ends with the process, also after a crash."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ibkr.core.errors import JournalInUse


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who uses the journal. ``since`` is an ISO time."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class JournalLock:
    """A lock on a file next to the journal. The constructor locks the file.

    A second file names the holder, because some systems do not allow others to read a locked file.

    Raises:
        JournalInUse: Another process has the lock.
        OSError: The file cannot be opened or written.
        sqlite3.Error: SQLite cannot lock the file.
    """

    def __init__(self, journal: Path) -> None:
        with ExitStack() as opened:
            self._lock = _connect(journal, timeout=0.2)
            opened.enter_context(closing(self._lock))
            try:
                self._lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if _is_busy(error):
                    raise JournalInUse(str(journal), str(_read_holder(journal) or "another process")) from error
                raise
            holder = LockHolder(os.getpid(), socket.gethostname(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
            values = json.dumps({"pid": holder.pid, "host": holder.host, "since": holder.since})
            _holder_file(journal).write_text(values, encoding="utf-8")
            opened.pop_all()

    def release(self) -> None:
        """Release the lock."""
        self._lock.close()


def holder_of(journal: Path) -> LockHolder | None:
    """Who uses the journal now, or ``None``. Raises ``OSError`` or ``sqlite3.Error``."""
    if not _lock_file(journal).exists():
        return None
    with closing(_connect(journal, timeout=0)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            return _read_holder(journal) or LockHolder(0, "an unknown host", "an unknown time")
    return None


def _connect(journal: Path, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(_lock_file(journal), timeout=timeout, isolation_level=None, check_same_thread=False)


def _lock_file(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-lock")


def _holder_file(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-holder.json")


def _read_holder(journal: Path) -> LockHolder | None:
    """What the holder has written about itself, or ``None`` if that cannot be read."""
    try:
        values = json.loads(_holder_file(journal).read_text(encoding="utf-8"))
        return LockHolder(int(values["pid"]), str(values["host"])[:100], str(values["since"])[:40])
    except (OSError, ValueError, OverflowError, KeyError, TypeError, RecursionError):
        return None


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
